// ParseGgufHeader of common/model/gguf.h.
#include <algorithm>
#include <limits>
#include <set>
#include <utility>

#include "common/base/status.h"
#include "common/model/gguf.h"
#include "common/model/gguf_cursor.h"
#include "common/model/stored_tensor.h"

namespace caldera::model {
namespace {

constexpr std::uint32_t kMagic = 0x46554747;  // "GGUF"
constexpr std::uint64_t kDefaultAlignment = 32;
constexpr std::uint64_t kMaxAlignment = 1 << 16;
constexpr std::uint32_t kMaxDimensions = 4;
// Smallest encodings: key length, type, one byte; name length, dimension count, type, offset.
constexpr std::uint64_t kMinValueBytes = 8 + 4 + 1;
constexpr std::uint64_t kMinTensorBytes = 8 + 4 + 4 + 8;

// Types of metadata values, as numbered in the file.
enum class ValueType : std::uint32_t {
  kU8,
  kI8,
  kU16,
  kI16,
  kU32,
  kI32,
  kF32,
  kBool,
  kString,
  kArray,
  kU64,
  kI64,
  kF64,
};

std::uint64_t MinBytesOf(ValueType type) {
  switch (type) {
    case ValueType::kU16:
    case ValueType::kI16:
      return 2;
    case ValueType::kU32:
    case ValueType::kI32:
    case ValueType::kF32:
      return 4;
    case ValueType::kString:
    case ValueType::kU64:
    case ValueType::kI64:
    case ValueType::kF64:
      return 8;
    default:
      return 1;
  }
}

template <typename T>
absl::StatusOr<std::int64_t> ReadInteger(GgufCursor& cursor) {
  CALDERA_ASSIGN_OR_RETURN(const T value, cursor.Number<T>());
  if (!std::in_range<std::int64_t>(value)) {
    return base::InvalidArgument("the integer {} is beyond 2^63 - 1", value);
  }
  return static_cast<std::int64_t>(value);
}

absl::StatusOr<std::int64_t> ReadBool(GgufCursor& cursor) {
  CALDERA_ASSIGN_OR_RETURN(const auto value, cursor.Number<std::uint8_t>());
  if (value > 1) return base::InvalidArgument("{} is no bool", value);
  return value;
}

bool IsFloating(ValueType type) { return type == ValueType::kF32 || type == ValueType::kF64; }

absl::StatusOr<double> ReadFloating(GgufCursor& cursor, ValueType type) {
  if (type == ValueType::kF64) return cursor.Number<double>();
  CALDERA_ASSIGN_OR_RETURN(const float value, cursor.Number<float>());
  return static_cast<double>(value);
}

absl::StatusOr<std::int64_t> ReadWhole(GgufCursor& cursor, ValueType type) {
  switch (type) {
    case ValueType::kU8:
      return ReadInteger<std::uint8_t>(cursor);
    case ValueType::kI8:
      return ReadInteger<std::int8_t>(cursor);
    case ValueType::kU16:
      return ReadInteger<std::uint16_t>(cursor);
    case ValueType::kI16:
      return ReadInteger<std::int16_t>(cursor);
    case ValueType::kU32:
      return ReadInteger<std::uint32_t>(cursor);
    case ValueType::kI32:
      return ReadInteger<std::int32_t>(cursor);
    case ValueType::kU64:
      return ReadInteger<std::uint64_t>(cursor);
    case ValueType::kI64:
      return ReadInteger<std::int64_t>(cursor);
    case ValueType::kBool:
      return ReadBool(cursor);
    default:
      return base::InvalidArgument("unknown value type {}", static_cast<std::uint32_t>(type));
  }
}

template <typename T, typename ReadOne>
absl::StatusOr<GgufValue> ReadList(std::uint64_t count, ReadOne read_one) {
  std::vector<T> values;
  for (std::uint64_t i = 0; i < count; ++i) {
    CALDERA_ASSIGN_OR_RETURN(values.emplace_back(), read_one());
  }
  return GgufValue(std::move(values));
}

absl::StatusOr<GgufValue> ReadArray(GgufCursor& cursor) {
  CALDERA_ASSIGN_OR_RETURN(const auto code, cursor.Number<std::uint32_t>());
  const auto type = static_cast<ValueType>(code);
  if (type == ValueType::kArray) return base::Unimplemented("arrays of arrays are not supported");
  CALDERA_ASSIGN_OR_RETURN(const std::uint64_t count, cursor.Count(MinBytesOf(type)));
  if (type == ValueType::kString) {
    return ReadList<std::string>(count, [&cursor] { return cursor.String(); });
  }
  if (IsFloating(type)) {
    return ReadList<double>(count, [&cursor, type] { return ReadFloating(cursor, type); });
  }
  return ReadList<std::int64_t>(count, [&cursor, type] { return ReadWhole(cursor, type); });
}

absl::StatusOr<GgufValue> ReadValue(GgufCursor& cursor) {
  CALDERA_ASSIGN_OR_RETURN(const auto code, cursor.Number<std::uint32_t>());
  const auto type = static_cast<ValueType>(code);
  if (type == ValueType::kArray) return ReadArray(cursor);
  if (type == ValueType::kString) {
    CALDERA_ASSIGN_OR_RETURN(std::string text, cursor.String());
    return GgufValue(std::move(text));
  }
  if (IsFloating(type)) {
    CALDERA_ASSIGN_OR_RETURN(const double value, ReadFloating(cursor, type));
    return GgufValue(value);
  }
  CALDERA_ASSIGN_OR_RETURN(const std::int64_t value, ReadWhole(cursor, type));
  if (type == ValueType::kBool) return GgufValue(value == 1);
  return GgufValue(value);
}

absl::StatusOr<GgufMetadata> ReadMetadata(GgufCursor& cursor, std::uint64_t count,
                                          const std::string& file) {
  std::map<std::string, GgufValue> values;
  for (std::uint64_t i = 0; i < count; ++i) {
    auto key = cursor.String();
    if (!key.ok()) return key.status();
    auto value = ReadValue(cursor);
    if (!value.ok()) {
      return base::WithContext(value.status(), file + ": metadata key \"" + *key + "\"");
    }
    if (!values.emplace(*key, *std::move(value)).second) {
      return base::InvalidArgument("{}: metadata key \"{}\" occurs twice", file, *key);
    }
  }
  return GgufMetadata(file, std::move(values));
}

// Types of tensors as numbered by ggml; the names of those we do not read make the error useful.
struct TensorType {
  std::uint32_t code;
  const char* name;
  std::optional<Dtype> dtype;
};
const TensorType kTensorTypes[] = {
    {0, "F32", Dtype::kF32},    {1, "F16", Dtype::kF16},
    {2, "Q4_0", Dtype::kQ4_0},  {3, "Q4_1", Dtype::kQ4_1},
    {6, "Q5_0", Dtype::kQ5_0},  {7, "Q5_1", Dtype::kQ5_1},
    {8, "Q8_0", Dtype::kQ8_0},  {9, "Q8_1", {}},
    {10, "Q2_K", {}},           {11, "Q3_K", {}},
    {12, "Q4_K", Dtype::kQ4_K}, {13, "Q5_K", {}},
    {14, "Q6_K", Dtype::kQ6_K}, {15, "Q8_K", {}},
    {16, "IQ2_XXS", {}},        {17, "IQ2_XS", {}},
    {18, "IQ3_XXS", {}},        {19, "IQ1_S", {}},
    {20, "IQ4_NL", {}},         {21, "IQ3_S", {}},
    {22, "IQ2_S", {}},          {23, "IQ4_XS", {}},
    {24, "I8", Dtype::kI8},     {25, "I16", Dtype::kI16},
    {26, "I32", Dtype::kI32},   {27, "I64", Dtype::kI64},
    {28, "F64", Dtype::kF64},   {29, "IQ1_M", {}},
    {30, "BF16", Dtype::kBF16}, {34, "TQ1_0", {}},
    {35, "TQ2_0", {}},          {39, "MXFP4", {}},
};

absl::StatusOr<Dtype> DtypeOfCode(std::uint32_t code) {
  for (const TensorType& type : kTensorTypes) {
    if (type.code != code) continue;
    if (type.dtype) return *type.dtype;
    return base::Unimplemented(
        "type {} is not supported; supported are F32, F16, BF16, Q8_0, "
        "Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q6_K",
        type.name);
  }
  return base::InvalidArgument("unknown type {}", code);
}

// The file lists dimensions innermost first.
absl::StatusOr<std::vector<std::int64_t>> ReadShape(GgufCursor& cursor) {
  CALDERA_ASSIGN_OR_RETURN(const auto dimensions, cursor.Number<std::uint32_t>());
  if (dimensions > kMaxDimensions) {
    return base::InvalidArgument("{} dimensions, at most {} are allowed", dimensions,
                                 kMaxDimensions);
  }
  std::vector<std::int64_t> shape;
  for (std::uint32_t i = 0; i < dimensions; ++i) {
    CALDERA_ASSIGN_OR_RETURN(shape.emplace_back(), ReadInteger<std::uint64_t>(cursor));
    if (shape.back() < 1) return base::InvalidArgument("a dimension is 0");
  }
  std::reverse(shape.begin(), shape.end());
  return shape;
}

struct Entry {
  TensorInfo info;
  std::uint64_t offset = 0;  // relative to the data section
};

// What follows the name of a tensor entry.
absl::Status ReadEntry(GgufCursor& cursor, Entry& entry) {
  CALDERA_ASSIGN_OR_RETURN(entry.info.shape, ReadShape(cursor));
  CALDERA_ASSIGN_OR_RETURN(const auto code, cursor.Number<std::uint32_t>());
  CALDERA_ASSIGN_OR_RETURN(entry.offset, cursor.Number<std::uint64_t>());
  CALDERA_ASSIGN_OR_RETURN(entry.info.dtype, DtypeOfCode(code));
  CALDERA_ASSIGN_OR_RETURN(const TensorExtent extent, ExtentOf(entry.info.dtype, entry.info.shape));
  entry.info.bytes = extent.bytes;
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Entry>> ReadEntries(GgufCursor& cursor, std::uint64_t count,
                                               const std::string& file) {
  std::vector<Entry> entries;
  for (std::uint64_t i = 0; i < count; ++i) {
    Entry& entry = entries.emplace_back();
    CALDERA_ASSIGN_OR_RETURN(entry.info.name, cursor.String());
    CALDERA_RETURN_IF_ERROR(
        base::WithContext(ReadEntry(cursor, entry), file + ": tensor " + entry.info.name));
  }
  return entries;
}

absl::StatusOr<std::uint64_t> AlignmentOf(const GgufMetadata& metadata, const std::string& file) {
  CALDERA_ASSIGN_OR_RETURN(const auto found, metadata.Find<std::int64_t>("general.alignment"));
  const auto alignment = static_cast<std::uint64_t>(found.value_or(kDefaultAlignment));
  if (alignment >= 8 && alignment <= kMaxAlignment && alignment % 8 == 0) return alignment;
  return base::InvalidArgument("{}: general.alignment is {}, no multiple of 8 up to {}", file,
                               alignment, kMaxAlignment);
}

// Every tensor lies aligned within the data section and shares no byte with another.
absl::Status CheckPlaces(std::vector<Entry>& entries, std::uint64_t alignment,
                         std::uint64_t data_bytes) {
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return a.offset < b.offset; });
  std::uint64_t used = 0;
  for (const Entry& entry : entries) {
    const std::string& name = entry.info.name;
    if (entry.offset % alignment != 0) {
      return base::InvalidArgument("tensor {}: offset {} is not aligned to {}", name, entry.offset,
                                   alignment);
    }
    if (entry.offset < used) {
      return base::InvalidArgument("tensor {}: its data overlaps another tensor's", name);
    }
    if (entry.offset > data_bytes || entry.info.bytes > data_bytes - entry.offset) {
      return base::InvalidArgument("tensor {}: {} bytes at {} run past the end of the file", name,
                                   entry.info.bytes, entry.offset);
    }
    used = entry.offset + entry.info.bytes;
  }
  return absl::OkStatus();
}

// Moves entries into the header by name.
absl::Status StoreEntries(std::vector<Entry> entries, GgufHeader& header) {
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return a.info.name < b.info.name; });
  for (Entry& entry : entries) {
    if (!header.tensors.empty() && header.tensors.back().name == entry.info.name) {
      return base::InvalidArgument("tensor {} occurs twice", entry.info.name);
    }
    header.offsets.push_back(header.data_offset + entry.offset);
    header.tensors.push_back(std::move(entry.info));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::uint32_t> ReadVersion(GgufCursor& cursor, const std::string& file) {
  CALDERA_ASSIGN_OR_RETURN(const auto magic, cursor.Number<std::uint32_t>());
  if (magic != kMagic) return base::InvalidArgument("{}: no GGUF file", file);
  CALDERA_ASSIGN_OR_RETURN(const auto version, cursor.Number<std::uint32_t>());
  if (version == 2 || version == 3) return version;
  return base::Unimplemented("{}: GGUF version {} is not supported, only 2 and 3 (little-endian)",
                             file, version);
}

}  // namespace

absl::StatusOr<GgufHeader> ParseGgufHeader(const ByteSource& source) {
  const std::string& file = source.name();
  GgufCursor cursor(source);
  GgufHeader header;
  CALDERA_ASSIGN_OR_RETURN(header.version, ReadVersion(cursor, file));
  CALDERA_ASSIGN_OR_RETURN(const std::uint64_t tensor_count, cursor.Count(kMinTensorBytes));
  CALDERA_ASSIGN_OR_RETURN(const std::uint64_t value_count, cursor.Count(kMinValueBytes));
  CALDERA_ASSIGN_OR_RETURN(header.metadata, ReadMetadata(cursor, value_count, file));
  CALDERA_ASSIGN_OR_RETURN(std::vector<Entry> entries, ReadEntries(cursor, tensor_count, file));
  CALDERA_ASSIGN_OR_RETURN(const std::uint64_t alignment, AlignmentOf(header.metadata, file));
  header.data_offset = (cursor.position() + alignment - 1) / alignment * alignment;
  const std::uint64_t data_bytes =
      source.size() > header.data_offset ? source.size() - header.data_offset : 0;
  CALDERA_RETURN_IF_ERROR(base::WithContext(CheckPlaces(entries, alignment, data_bytes), file));
  CALDERA_RETURN_IF_ERROR(base::WithContext(StoreEntries(std::move(entries), header), file));
  return header;
}

}  // namespace caldera::model
