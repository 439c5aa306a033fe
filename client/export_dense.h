// Dense export: the decoded weights of a checkpoint (or of any model) as a plain Hugging Face
// directory.
#ifndef CALDERA_CLIENT_EXPORT_DENSE_H_
#define CALDERA_CLIENT_EXPORT_DENSE_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "common/model/dtype.h"

namespace caldera::client {

struct DenseExportOptions {
  model::Dtype dtype = model::Dtype::kBF16;  // kBF16, kF16 or kF32
  std::int64_t shard_bytes = std::int64_t{4}
                             << 30;  // a shard is closed before it would exceed this
};

// Reads `checkpoint` by path or URI (store::OpenFiles) and writes `output`, a directory that must
// not exist or be empty: config.json (without quantization_config), tokenizer files,
// model.safetensors or shards with their index. Memory: one tensor. Errors name the tensor or file;
// ALREADY_EXISTS when `output` holds files. FAILED_PRECONDITION for a model without config.json
// (export of a GGUF file).
absl::Status ExportDense(const std::string& checkpoint, const std::string& output,
                         const DenseExportOptions& options);

}  // namespace caldera::client

#endif  // CALDERA_CLIENT_EXPORT_DENSE_H_
