// A compressed checkpoint seen as the model it stands for: the original tensor names, decoded on
// read.
//
//   P.weight           from P.q_codes ... P.sign_out (W = D_out B_out (q Q + L R) B_in D_in)
//   E.weight           from E.codes, E.scale ... (embedding and head at 8 or 4 bits)
//   anything else      passed through
//
// so evaluation and dense export run on it like on any model. The codes of the matrix read last and
// of the embeddings stay in memory (about half a byte and up to one byte per value), so reading a
// tensor in several row ranges reads its codes once. Thread rule: as TensorSource.
#ifndef CALDERA_NUMERICS_LLAMA_COMPRESSED_SOURCE_H_
#define CALDERA_NUMERICS_LLAMA_COMPRESSED_SOURCE_H_

#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/model/byte_source.h"
#include "common/model/model_directory.h"
#include "common/model/tensor_source.h"

namespace caldera::llama {

// Prefix of a matrix ("model.layers.0.self_attn.q_proj") or a table ("model.embed_tokens") -> its
// header as JSON, which the metadata of its shard holds under that key
// (common/model/compressed_matrix_io.h, embedding_table.h).
using MatrixHeaders = std::map<std::string, std::string>;

// Wraps the stored tensors of a checkpoint. DATA_LOSS naming the tensor when the parts of a matrix
// or an embedding are missing or do not fit each other; errors of model::ParseMatrixHeader and
// ParseEmbeddingHeader. Decoded
// tensors say F32 and [m, n] and have no raw bytes (UNIMPLEMENTED).
absl::StatusOr<std::unique_ptr<model::TensorSource>> MakeCompressedSource(
    std::unique_ptr<model::TensorSource> stored, const MatrixHeaders& headers);

// quantization_config.quant_method of our checkpoints.
inline constexpr char kCalderaMethod[] = "caldera";
inline bool IsCompressed(const model::OpenedModel& model) {
  return model.quantization_method == kCalderaMethod;
}

// model::OpenModel for a Hugging Face directory, a GGUF file or a published checkpoint; for the
// last, `tensors` is the compressed source. Errors of both; UNIMPLEMENTED names any other
// quant_method.
absl::StatusOr<model::OpenedModel> OpenAnyModel(const std::string& uri_or_path);
absl::StatusOr<model::OpenedModel> OpenAnyModel(std::shared_ptr<const model::FileSet> files);

}  // namespace caldera::llama

#endif  // CALDERA_NUMERICS_LLAMA_COMPRESSED_SOURCE_H_
