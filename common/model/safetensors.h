// Reader of one safetensors file: the header is read once, tensor data by row ranges.
//
// Layout: u64 little-endian N (2 <= N <= 100 MB), N bytes of JSON that start with '{' and may end
// in spaces, then the data. Each entry is {"dtype", "shape", "data_offsets": [begin, end)} relative
// to the data; "__metadata__" maps strings to strings. Accepted are only files whose tensors cover
// the data exactly (from 0, no hole, no overlap, nothing after), with distinct names, and with
// shape x dtype = bytes. See docs/formats/models.md.
#ifndef CALDERA_COMMON_MODEL_SAFETENSORS_H_
#define CALDERA_COMMON_MODEL_SAFETENSORS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/model/byte_source.h"
#include "common/model/tensor_source.h"

namespace caldera::model {

inline constexpr std::uint64_t kMaxSafetensorsHeaderBytes = 100'000'000;

// What the header says, without data.
struct SafetensorsHeader {
  std::map<std::string, std::string> metadata;  // "__metadata__"; empty when absent
  std::vector<TensorInfo> tensors;              // sorted by name
  std::vector<std::uint64_t> offsets;           // of tensors[i], from the start of the file
  std::uint64_t data_offset = 0;                // 8 + N
};

// Parses the JSON of a header for a file of `file_bytes`. `name` is what errors call the file.
// INVALID_ARGUMENT names file and tensor for anything that breaks the rules above.
absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(const std::string& json,
                                                         std::uint64_t file_bytes,
                                                         const std::string& name);

// The raw JSON of a file's header (for fingerprints). INVALID_ARGUMENT when the length is wrong.
absl::StatusOr<std::string> ReadSafetensorsHeaderText(const ByteSource& source);

class SafetensorsFile : public TensorSource {
 public:
  // Reads the header only. Cost: one pass over N bytes.
  static absl::StatusOr<std::unique_ptr<SafetensorsFile>> Open(std::unique_ptr<ByteSource> source);

  const std::map<std::string, std::string>& metadata() const { return header_.metadata; }

  const std::string& name() const override { return source_->name(); }
  const std::vector<TensorInfo>& tensors() const override { return header_.tensors; }
  absl::Status ReadRows(const std::string& tensor, std::int64_t first_row, std::int64_t row_count,
                        std::span<float> out) const override;
  absl::StatusOr<std::vector<std::byte>> ReadRaw(const std::string& tensor) const override;

  // Bytes [offset, offset + out.size()) of the tensor's data; OUT_OF_RANGE past its end.
  absl::Status ReadRawRange(const std::string& tensor, std::uint64_t offset,
                            std::span<std::byte> out) const;

 private:
  SafetensorsFile(std::unique_ptr<ByteSource> source, SafetensorsHeader header);
  // Index into header_.tensors, or NOT_FOUND naming file and tensor.
  absl::StatusOr<std::size_t> IndexOf(const std::string& tensor) const;

  const std::unique_ptr<ByteSource> source_;
  const SafetensorsHeader header_;
};

}  // namespace caldera::model

#endif  // CALDERA_COMMON_MODEL_SAFETENSORS_H_
