// A model wherever it lies: detects Hugging Face directory or GGUF file and opens it by headers
// only.
#ifndef CALDERA_COMMON_MODEL_MODEL_DIRECTORY_H_
#define CALDERA_COMMON_MODEL_MODEL_DIRECTORY_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/allowed_roots.h"
#include "common/model/byte_source.h"
#include "common/model/gguf.h"
#include "common/model/model_config.h"
#include "common/model/tensor_source.h"

namespace caldera::model {

enum class ModelFormat { kHuggingFace, kGguf };

// Move-only; members may be used from several threads at once.
struct OpenedModel {
  ModelFormat format = ModelFormat::kHuggingFace;
  ModelConfig config;
  std::unique_ptr<TensorSource> tensors;  // never null; Hugging Face names
  std::shared_ptr<const FileSet> files;   // never null; tokenizer files are read from here
  std::shared_ptr<const GgufFile> gguf;   // null unless kGguf; tokenizer metadata is read from here
  std::string quantization_method;        // quantization_config.quant_method, "" when absent
  std::string fingerprint_sha256;         // 64 hex digits, see Fingerprint below
  std::uint64_t source_bytes = 0;         // sum of the sizes of the weight files
  std::uint64_t bfloat16_bytes = 0;       // 2 bytes for each element of a float tensor
};

// Opens the model in `files`: config.json makes it a Hugging Face directory; otherwise it must hold
// exactly one *.gguf. Reads headers, configuration and a few kilobytes of samples, never all data.
// NOT_FOUND names the file set when it holds no model; the errors of the readers otherwise.
//
// Fingerprint: SHA-256 over name and size of every weight and tokenizer file, the configuration,
// the headers of weight files, and 16 evenly spaced samples of 4 KiB of each weight file: it tells
// models apart (also two fine-tunes of one shape), it does not prove integrity.
absl::StatusOr<OpenedModel> OpenModel(std::shared_ptr<const FileSet> files);
// The same for a path or file:// URI on this machine; PERMISSION_DENIED outside `roots`.
absl::StatusOr<OpenedModel> OpenModel(const std::string& uri_or_path,
                                      const base::AllowedRoots& roots = {});

// Every tensor of the architecture exists, has the shape that the configuration asks for, and a
// float or GGUF block dtype; the weights are not quantised by another method. INVALID_ARGUMENT or
// NOT_FOUND names the tensor, the found and the expected shape; UNIMPLEMENTED names the method.
absl::Status ValidateModelTensors(const OpenedModel& model);

}  // namespace caldera::model

#endif  // CALDERA_COMMON_MODEL_MODEL_DIRECTORY_H_
