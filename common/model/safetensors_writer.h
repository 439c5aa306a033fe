// Writer of safetensors files: all tensors are declared first, then their bytes stream through.
//
// Deterministic: the header lists metadata and tensors by name and is padded with spaces to a
// multiple of 8; the data lies in the order element size (largest first), then name, so every
// tensor is aligned to its own element size (torch needs that to view it). Nothing is held in
// memory.
#ifndef CALDERA_COMMON_MODEL_SAFETENSORS_WRITER_H_
#define CALDERA_COMMON_MODEL_SAFETENSORS_WRITER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/model/dtype.h"
#include "common/model/tensor_source.h"

namespace caldera::model {

// A tensor to be written: plain dtypes only, row-major.
struct SafetensorsDeclaration {
  std::string name;
  Dtype dtype = Dtype::kF32;
  std::vector<std::int64_t> shape;
};

// One thread at a time.
class SafetensorsWriter {
 public:
  using Metadata = std::map<std::string, std::string>;
  // Takes the next bytes of the file; its error ends the writing.
  using Sink = std::function<absl::Status(std::span<const std::byte>)>;

  // Writes length and header to `sink`. INVALID_ARGUMENT names the tensor for a duplicate or empty
  // name, "__metadata__", a negative dimension, a block dtype, or text that is not UTF-8.
  static absl::StatusOr<SafetensorsWriter> Start(const Metadata& metadata,
                                                 const std::vector<SafetensorsDeclaration>& tensors,
                                                 Sink sink);

  // The tensors in the order in which their data must come.
  const std::vector<TensorInfo>& order() const { return order_; }
  // Size of the whole file.
  std::uint64_t file_bytes() const { return file_bytes_; }

  // The next bytes of `tensor`: any number of calls per tensor, tensors in order(). Tensors without
  // elements need no call. INVALID_ARGUMENT when the tensor is not next or gets too many bytes.
  absl::Status Append(const std::string& tensor, std::span<const std::byte> bytes);

  // FAILED_PRECONDITION naming the first incomplete tensor, if any.
  absl::Status Finish() const;

 private:
  SafetensorsWriter(std::vector<TensorInfo> order, Sink sink);
  void SkipComplete();

  std::vector<TensorInfo> order_;
  Sink sink_;
  std::uint64_t file_bytes_ = 0;
  std::size_t current_ = 0;    // index into order_
  std::uint64_t written_ = 0;  // bytes of order_[current_]
};

// A tensor with its bytes, for files small enough to be made in memory.
struct SafetensorsTensor {
  SafetensorsDeclaration declaration;
  std::vector<std::byte> bytes;
};
absl::StatusOr<std::vector<std::byte>> WriteSafetensors(
    const SafetensorsWriter::Metadata& metadata, const std::vector<SafetensorsTensor>& tensors);

}  // namespace caldera::model

#endif  // CALDERA_COMMON_MODEL_SAFETENSORS_WRITER_H_
