// Named tensors, read by rows: the one way any program sees weights.
//
// Implementations: safetensors (single or sharded), GGUF, memory (tests), and
// numerics/llama/compressed_source (decodes Q + L R), so evaluation and export of a compressed
// checkpoint are the same code as for the original. Names are Hugging Face names
// ("model.layers.0.self_attn.q_proj.weight"), whatever the file calls them; GGUF q/k rows come
// un-permuted. Thread rule: const methods may be called from several threads at once.
#ifndef CALDERA_COMMON_MODEL_TENSOR_SOURCE_H_
#define CALDERA_COMMON_MODEL_TENSOR_SOURCE_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/model/dtype.h"

namespace caldera::model {

// What the header says of one tensor. `shape` is row-major, outermost first; a weight of a linear
// layer is [outputs, inputs]. A scalar has an empty shape.
struct TensorInfo {
  std::string name;
  Dtype dtype = Dtype::kF32;  // as stored (block types for GGUF)
  std::vector<std::int64_t> shape;
  std::uint64_t bytes = 0;  // as stored

  std::int64_t rows() const { return shape.empty() ? 1 : shape.front(); }
  std::int64_t row_elements() const;  // product of shape[1:]
  std::int64_t elements() const { return rows() * row_elements(); }
};

class TensorSource {
 public:
  virtual ~TensorSource() = default;

  // What error messages call it (directory or file).
  virtual const std::string& name() const = 0;

  // All tensors, sorted by name. Headers only: no tensor data is read.
  virtual const std::vector<TensorInfo>& tensors() const = 0;

  // Decodes rows [first_row, first_row + row_count) to float32, row-major, into `out`
  // (row_count * row_elements() floats). A one-dimensional tensor of n elements has n rows of one
  // element. NOT_FOUND names source and tensor; OUT_OF_RANGE for rows beyond the tensor;
  // DATA_LOSS for corrupt data; INVALID_ARGUMENT when the dtype has no float value.
  virtual absl::Status ReadRows(const std::string& tensor, std::int64_t first_row,
                                std::int64_t row_count, std::span<float> out) const = 0;

  // The stored bytes of the whole tensor, for copying without conversion. UNIMPLEMENTED where the
  // stored bytes are not this tensor's (permuted GGUF rows, decoded matrices).
  virtual absl::StatusOr<std::vector<std::byte>> ReadRaw(const std::string& tensor) const = 0;

  // Conveniences over the above. Find: nullptr when absent.
  const TensorInfo* Find(const std::string& tensor) const;
  absl::StatusOr<std::vector<float>> ReadAll(const std::string& tensor) const;
};

}  // namespace caldera::model

#endif  // CALDERA_COMMON_MODEL_TENSOR_SOURCE_H_
