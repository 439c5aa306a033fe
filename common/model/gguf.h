// Reader of one GGUF file (versions 2 and 3, little-endian): typed metadata and tensors as stored.
//
// Names, row order and metadata keys are the file's own; common/model/gguf_model turns them into a
// Hugging Face shaped model. Layout (github.com/ggml-org/ggml, docs/gguf.md): "GGUF", u32 version,
// u64 tensor count, u64 metadata count, metadata, tensor entries, padding to general.alignment,
// data. Every count and length is checked against the bytes that remain before memory is taken for
// it.
#ifndef CALDERA_COMMON_MODEL_GGUF_H_
#define CALDERA_COMMON_MODEL_GGUF_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/model/byte_source.h"
#include "common/model/tensor_source.h"

namespace caldera::model {

// A metadata value. Integers of every width are int64 (UINT64 above 2^63 - 1 is rejected), float32
// becomes the double of equal value, arrays of integers or bools are vector<int64>. Arrays of
// arrays are UNIMPLEMENTED.
using GgufValue = std::variant<bool, std::int64_t, double, std::string, std::vector<std::int64_t>,
                               std::vector<double>, std::vector<std::string>>;

// Metadata by key. Get: NOT_FOUND (file and key) when absent, INVALID_ARGUMENT when of another
// type. T is one of the types of GgufValue; an integer also serves where T = double.
class GgufMetadata {
 public:
  GgufMetadata() = default;
  GgufMetadata(std::string file, std::map<std::string, GgufValue> values);

  bool Has(const std::string& key) const { return values_.contains(key); }
  const std::map<std::string, GgufValue>& values() const { return values_; }

  template <typename T>
  absl::StatusOr<T> Get(const std::string& key) const;
  // nullopt when absent; still an error when of another type.
  template <typename T>
  absl::StatusOr<std::optional<T>> Find(const std::string& key) const;

 private:
  std::string file_;
  std::map<std::string, GgufValue> values_;
};

// Everything before the tensor data.
struct GgufHeader {
  std::uint32_t version = 0;
  GgufMetadata metadata;
  std::vector<TensorInfo> tensors;  // sorted by name; shape outermost first (file order reversed)
  std::vector<std::uint64_t> offsets;  // of tensors[i], from the start of the file
  std::uint64_t data_offset = 0;       // first byte of the data section
};

// INVALID_ARGUMENT names the file and what is wrong; UNIMPLEMENTED for a version or tensor type
// that we do not read (the message names tensor and type).
absl::StatusOr<GgufHeader> ParseGgufHeader(const ByteSource& source);

// Tensors under the file's own names ("blk.0.attn_q.weight"), rows as stored.
class GgufFile : public TensorSource {
 public:
  static absl::StatusOr<std::unique_ptr<GgufFile>> Open(std::unique_ptr<ByteSource> source);

  const GgufHeader& header() const { return header_; }
  const GgufMetadata& metadata() const { return header_.metadata; }
  const ByteSource& source() const { return *source_; }

  const std::string& name() const override { return source_->name(); }
  const std::vector<TensorInfo>& tensors() const override { return header_.tensors; }
  absl::Status ReadRows(const std::string& tensor, std::int64_t first_row, std::int64_t row_count,
                        std::span<float> out) const override;
  absl::StatusOr<std::vector<std::byte>> ReadRaw(const std::string& tensor) const override;

 private:
  GgufFile(std::unique_ptr<ByteSource> source, GgufHeader header);
  absl::StatusOr<std::size_t> IndexOf(const std::string& tensor) const;

  const std::unique_ptr<ByteSource> source_;
  const GgufHeader header_;
};

}  // namespace caldera::model

#endif  // CALDERA_COMMON_MODEL_GGUF_H_
