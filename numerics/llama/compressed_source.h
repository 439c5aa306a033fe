// A compressed checkpoint seen as the model it stands for: the original tensor names, decoded on
// read.
//
//   P.weight           from P.q_codes ... P.sign_out (W = D_out B_out (q Q + L R) B_in D_in)
//   E.weight           from E.codes and E.scale (embedding and head at 8 bits)
//   anything else      passed through
//
// so evaluation and dense export run on it like on any model. The matrix decoded last is kept, so
// reading one in several row ranges decodes it once. Thread rule: as TensorSource; decoding is
// serialised.
#ifndef CALDERA_NUMERICS_LLAMA_COMPRESSED_SOURCE_H_
#define CALDERA_NUMERICS_LLAMA_COMPRESSED_SOURCE_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/model/model_config.h"
#include "common/model/tensor_source.h"

namespace caldera::llama {

// Wraps the stored tensors of a checkpoint. DATA_LOSS naming the tensor when the parts of a matrix
// are missing or do not fit each other. Decoded tensors say F32 and [m, n].
absl::StatusOr<std::unique_ptr<model::TensorSource>> MakeCompressedSource(
    std::unique_ptr<model::TensorSource> stored);

// Configuration and weights of a model, whatever its form.
struct AnyModel {
  model::ModelConfig config;
  std::unique_ptr<model::TensorSource> tensors;
  bool compressed = false;  // quantization_config.quant_method == "caldera"
};

// `path`: a Hugging Face directory, a GGUF file, or a published checkpoint. Errors of
// model::OpenModel; UNIMPLEMENTED names any other quant_method or a format version this build does
// not know.
absl::StatusOr<AnyModel> OpenAnyModel(const std::string& path);

}  // namespace caldera::llama

#endif  // CALDERA_NUMERICS_LLAMA_COMPRESSED_SOURCE_H_
