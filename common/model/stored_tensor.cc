#include "common/model/stored_tensor.h"

#include <algorithm>
#include <limits>

#include "common/base/status.h"

namespace caldera::model {
namespace {

constexpr std::int64_t kChunkBytes = std::int64_t{4} << 20;

// Values [first, first + out.size()) of the tensor, in row-major order.
absl::Status ReadElements(const StoredTensor& tensor, std::int64_t first, std::span<float> out) {
  const Dtype dtype = tensor.info.dtype;
  const std::int64_t per_block = BlockElements(dtype);
  const std::int64_t chunk_blocks = kChunkBytes / BlockBytes(dtype);
  const std::int64_t end = first + static_cast<std::int64_t>(out.size());
  std::vector<std::byte> bytes;
  std::vector<float> values;
  for (std::int64_t at = first; at < end;) {
    const std::int64_t block = at / per_block;
    const std::int64_t blocks = std::min(chunk_blocks, (end - 1) / per_block - block + 1);
    const std::int64_t stop = std::min(end, (block + blocks) * per_block);
    bytes.resize(static_cast<std::size_t>(blocks * BlockBytes(dtype)));
    values.resize(static_cast<std::size_t>(blocks * per_block));
    const auto start = static_cast<std::uint64_t>(block * BlockBytes(dtype));
    CALDERA_RETURN_IF_ERROR(tensor.source.Read(tensor.offset + start, bytes));
    CALDERA_RETURN_IF_ERROR(DecodeToFloat(dtype, bytes, values));
    std::copy_n(values.begin() + (at - block * per_block), stop - at, out.begin() + (at - first));
    at = stop;
  }
  return absl::OkStatus();
}

// Plain float32 needs no decoding and no second buffer.
absl::Status ReadFloats(const StoredTensor& tensor, std::int64_t first, std::span<float> out) {
  const auto start = static_cast<std::uint64_t>(first) * sizeof(float);
  return tensor.source.Read(tensor.offset + start, std::as_writable_bytes(out));
}

}  // namespace

absl::StatusOr<TensorExtent> ExtentOf(Dtype dtype, const std::vector<std::int64_t>& shape) {
  // Zeros are left out of the product, so that no partial product of a shape can overflow later.
  std::int64_t product = 1;
  bool empty = false;
  for (const std::int64_t dimension : shape) {
    if (dimension < 0) return base::InvalidArgument("dimension {} is negative", dimension);
    if (dimension == 0) {
      empty = true;
    } else if (__builtin_mul_overflow(product, dimension, &product)) {
      return base::InvalidArgument("the number of elements overflows");
    }
  }
  const std::int64_t elements = empty ? 0 : product;
  const std::int64_t row = shape.empty() ? 1 : shape.back();
  if (row % BlockElements(dtype) != 0) {
    return base::InvalidArgument("rows of {} are no whole blocks of {}", row, DtypeName(dtype));
  }
  std::int64_t bytes = 0;
  if (__builtin_mul_overflow(elements / BlockElements(dtype), BlockBytes(dtype), &bytes)) {
    return base::InvalidArgument("the number of bytes overflows");
  }
  return TensorExtent{elements, static_cast<std::uint64_t>(bytes)};
}

absl::Status ReadStoredRows(const StoredTensor& tensor, std::int64_t first_row,
                            std::int64_t row_count, std::span<float> out) {
  const TensorInfo& info = tensor.info;
  const std::string& file = tensor.source.name();
  if (!HasFloatValue(info.dtype)) {
    return base::InvalidArgument("{}: tensor {}: dtype {} has no float value", file, info.name,
                                 DtypeName(info.dtype));
  }
  if (first_row < 0 || row_count < 0 || first_row > info.rows() ||
      row_count > info.rows() - first_row) {
    return base::OutOfRange("{}: tensor {}: {} rows from row {}, it has {}", file, info.name,
                            row_count, first_row, info.rows());
  }
  const std::int64_t wanted = row_count * info.row_elements();
  if (out.size() != static_cast<std::size_t>(wanted)) {
    return base::InvalidArgument("{}: tensor {}: room for {} values, {} rows have {}", file,
                                 info.name, out.size(), row_count, wanted);
  }
  if (wanted == 0) return absl::OkStatus();
  const std::int64_t first = first_row * info.row_elements();
  return base::WithContext(
      info.dtype == Dtype::kF32 ? ReadFloats(tensor, first, out) : ReadElements(tensor, first, out),
      "tensor " + info.name);
}

absl::StatusOr<std::vector<std::byte>> ReadStoredBytes(const StoredTensor& tensor) {
  std::vector<std::byte> bytes(static_cast<std::size_t>(tensor.info.bytes));
  CALDERA_RETURN_IF_ERROR(
      base::WithContext(tensor.source.Read(tensor.offset, bytes), "tensor " + tensor.info.name));
  return bytes;
}

}  // namespace caldera::model
