// Reading a tensor that lies in one piece of a byte source: what safetensors and GGUF share.
#ifndef CALDERA_COMMON_MODEL_STORED_TENSOR_H_
#define CALDERA_COMMON_MODEL_STORED_TENSOR_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/model/byte_source.h"
#include "common/model/tensor_source.h"

namespace caldera::model {

// Where `info` lies. References only; used within one call.
struct StoredTensor {
  const ByteSource& source;
  const TensorInfo& info;
  std::uint64_t offset;  // of its first byte in `source`
};

// Elements and bytes of a shape: INVALID_ARGUMENT for a negative dimension, for a product (zeros
// left out) beyond int64, and for a row that is no whole number of blocks. A shape with a 0 has no
// elements.
struct TensorExtent {
  std::int64_t elements = 0;
  std::uint64_t bytes = 0;
};
absl::StatusOr<TensorExtent> ExtentOf(Dtype dtype, const std::vector<std::int64_t>& shape);

// TensorSource::ReadRows and ReadRaw for it. Block types are read in whole blocks. Temporary
// memory: at most 4 MiB, whatever the size of the range.
absl::Status ReadStoredRows(const StoredTensor& tensor, std::int64_t first_row,
                            std::int64_t row_count, std::span<float> out);
absl::StatusOr<std::vector<std::byte>> ReadStoredBytes(const StoredTensor& tensor);

}  // namespace caldera::model

#endif  // CALDERA_COMMON_MODEL_STORED_TENSOR_H_
