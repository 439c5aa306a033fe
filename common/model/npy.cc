#include "common/model/npy.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <set>
#include <string_view>
#include <utility>

#include "common/base/status.h"
#include "common/model/stored_tensor.h"

namespace caldera::model {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::size_t kVersionBytes = 2;
constexpr std::size_t kAlignment = 64;  // of the data, as NumPy pads

struct DescrName {
  std::string_view name;  // without the byte order
  Dtype dtype;
};
constexpr std::array<DescrName, 11> kDescrs = {{{"f2", Dtype::kF16},
                                                {"f4", Dtype::kF32},
                                                {"f8", Dtype::kF64},
                                                {"i1", Dtype::kI8},
                                                {"i2", Dtype::kI16},
                                                {"i4", Dtype::kI32},
                                                {"i8", Dtype::kI64},
                                                {"u1", Dtype::kU8},
                                                {"u2", Dtype::kU16},
                                                {"u4", Dtype::kU32},
                                                {"u8", Dtype::kU64}}};

absl::StatusOr<Dtype> ParseDescr(const std::string& descr, const std::string& name) {
  for (const DescrName& known : kDescrs) {
    if (descr.empty() || descr.substr(1) != known.name) continue;
    // '|': the order of bytes does not matter.
    if (descr[0] == '<' || (descr[0] == '|' && BlockBytes(known.dtype) == 1)) return known.dtype;
    if (descr[0] == '>') return base::Unimplemented("{}: descr '{}' is big-endian", name, descr);
  }
  return base::Unimplemented(
      "{}: descr '{}' is none of float16, float32, float64 and the integers of 1 to 8 bytes", name,
      descr);
}

// The dictionary literal of a header, as far as NumPy writes it.
class LiteralParser {
 public:
  LiteralParser(std::string_view text, const std::string& name) : text_(text), name_(name) {}

  absl::StatusOr<NpyHeader> Run() {
    CALDERA_RETURN_IF_ERROR(Expect('{'));
    while (!Takes('}')) {
      CALDERA_RETURN_IF_ERROR(Entry());
      if (Takes(',')) continue;
      CALDERA_RETURN_IF_ERROR(Expect('}'));
      break;
    }
    if (text_.find_first_not_of(" \n", at_) != std::string_view::npos) return Unexpected();
    for (const char* key : {"descr", "fortran_order", "shape"}) {
      if (!seen_.contains(key)) {
        return base::InvalidArgument("{}: npy header: no key '{}'", name_, key);
      }
    }
    return std::move(header_);
  }

 private:
  absl::Status Unexpected() const {
    return base::InvalidArgument("{}: npy header: not what NumPy writes at byte {}", name_, at_);
  }
  void SkipSpaces() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
  }
  bool Takes(char expected) {
    SkipSpaces();
    if (at_ == text_.size() || text_[at_] != expected) return false;
    ++at_;
    return true;
  }
  absl::Status Expect(char expected) { return Takes(expected) ? absl::OkStatus() : Unexpected(); }
  bool TakesWord(std::string_view word) {
    SkipSpaces();
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }

  absl::StatusOr<std::string> Text() {
    const char quote = Takes('\'') ? '\'' : '"';
    if (quote == '"') CALDERA_RETURN_IF_ERROR(Expect('"'));
    const std::size_t end = text_.find(quote, at_);
    if (end == std::string_view::npos) return Unexpected();
    std::string value(text_.substr(at_, end - at_));
    at_ = end + 1;
    return value;
  }

  absl::Status Shape() {
    CALDERA_RETURN_IF_ERROR(Expect('('));
    while (!Takes(')')) {
      SkipSpaces();
      std::int64_t size = 0;
      const auto result = std::from_chars(text_.data() + at_, text_.data() + text_.size(), size);
      if (result.ec != std::errc() || size < 0) return Unexpected();
      at_ = static_cast<std::size_t>(result.ptr - text_.data());
      header_.shape.push_back(size);
      if (Takes(',')) continue;
      CALDERA_RETURN_IF_ERROR(Expect(')'));
      break;
    }
    return absl::OkStatus();
  }

  absl::Status Entry() {
    CALDERA_ASSIGN_OR_RETURN(const std::string key, Text());
    if (!seen_.insert(key).second) {
      return base::InvalidArgument("{}: npy header: '{}' occurs twice", name_, key);
    }
    CALDERA_RETURN_IF_ERROR(Expect(':'));
    if (key == "shape") return Shape();
    if (key == "fortran_order") {
      const bool fortran = TakesWord("True");
      if (!fortran && !TakesWord("False")) return Unexpected();
      header_.order = fortran ? ArrayOrder::kColumnMajor : ArrayOrder::kRowMajor;
      return absl::OkStatus();
    }
    if (key != "descr") {
      return base::InvalidArgument("{}: npy header: unknown key '{}'", name_, key);
    }
    if (Takes('[')) return base::Unimplemented("{}: descr: records are not read", name_);
    CALDERA_ASSIGN_OR_RETURN(const std::string descr, Text());
    CALDERA_ASSIGN_OR_RETURN(header_.dtype, ParseDescr(descr, name_));
    return absl::OkStatus();
  }

  std::string_view text_;
  const std::string& name_;
  std::size_t at_ = 0;
  std::set<std::string> seen_;
  NpyHeader header_;
};

// Reads `count` bytes, INVALID_ARGUMENT naming what is missing when the file ends before.
absl::StatusOr<std::string> ReadPart(const ByteSource& source, std::uint64_t offset,
                                     std::uint64_t count) {
  if (offset > source.size() || count > source.size() - offset) {
    return base::InvalidArgument("{}: npy file ends inside its header, at {} bytes", source.name(),
                                 source.size());
  }
  std::string part(static_cast<std::size_t>(count), '\0');
  CALDERA_RETURN_IF_ERROR(source.Read(offset, std::as_writable_bytes(std::span(part))));
  return part;
}

struct HeaderText {
  std::string text;
  std::uint64_t data_offset = 0;
};

absl::StatusOr<HeaderText> ReadHeaderText(const ByteSource& source) {
  CALDERA_ASSIGN_OR_RETURN(const std::string start,
                           ReadPart(source, 0, kMagic.size() + kVersionBytes));
  if (!start.starts_with(kMagic)) {
    return base::InvalidArgument("{}: does not begin as a npy file", source.name());
  }
  const auto major = static_cast<unsigned char>(start[kMagic.size()]);
  const auto minor = static_cast<unsigned char>(start[kMagic.size() + 1]);
  if (major < 1 || major > 3 || minor != 0) {
    return base::Unimplemented("{}: npy version {}.{} is not read", source.name(), major, minor);
  }
  const std::uint64_t width = major == 1 ? 2 : 4;
  CALDERA_ASSIGN_OR_RETURN(const std::string bytes, ReadPart(source, start.size(), width));
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data(), bytes.size());
  if (length > kMaxNpyHeaderBytes) {
    return base::InvalidArgument("{}: npy header of {} bytes, at most {} are accepted",
                                 source.name(), length, kMaxNpyHeaderBytes);
  }
  HeaderText header;
  CALDERA_ASSIGN_OR_RETURN(header.text, ReadPart(source, start.size() + width, length));
  header.data_offset = start.size() + width + length;
  return header;
}

// Values [first, first + count) in the order of the file.
absl::Status ReadValues(const ByteSource& source, const NpyHeader& header, std::uint64_t offset,
                        std::span<double> values) {
  constexpr std::size_t kChunk = std::size_t{1} << 18;
  const auto width = static_cast<std::size_t>(BlockBytes(header.dtype));
  std::vector<std::byte> bytes;
  for (std::size_t first = 0; first < values.size(); first += kChunk) {
    const std::span<double> part = values.subspan(first, std::min(kChunk, values.size() - first));
    bytes.resize(part.size() * width);
    CALDERA_RETURN_IF_ERROR(source.Read(offset + first * width, bytes));
    CALDERA_RETURN_IF_ERROR(DecodeToDouble(header.dtype, bytes, part));
  }
  return absl::OkStatus();
}

// columns x rows -> rows x columns.
void Transpose(DataMatrix& matrix) {
  std::vector<double> transposed(matrix.values.size());
  for (std::int64_t i = 0; i < matrix.rows; ++i) {
    for (std::int64_t j = 0; j < matrix.columns; ++j) {
      transposed[static_cast<std::size_t>(i * matrix.columns + j)] =
          matrix.values[static_cast<std::size_t>(j * matrix.rows + i)];
    }
  }
  matrix.values = std::move(transposed);
}

}  // namespace

absl::StatusOr<NpyHeader> ParseNpyHeader(const std::string& text, const std::string& name) {
  return LiteralParser(text, name).Run();
}

absl::StatusOr<DataMatrix> ReadNpy(const ByteSource& source) {
  CALDERA_ASSIGN_OR_RETURN(const HeaderText text, ReadHeaderText(source));
  CALDERA_ASSIGN_OR_RETURN(const NpyHeader header, ParseNpyHeader(text.text, source.name()));
  if (header.shape.size() != 2) {
    return base::InvalidArgument("{}: the array has {} dimensions, expected 2", source.name(),
                                 header.shape.size());
  }
  const auto extent = ExtentOf(header.dtype, header.shape);
  if (!extent.ok()) return base::WithContext(extent.status(), source.name());
  const std::uint64_t stored = source.size() - text.data_offset;
  if (stored != extent->bytes) {
    return base::InvalidArgument("{}: {} bytes of data, dtype and shape ask for {}", source.name(),
                                 stored, extent->bytes);
  }
  DataMatrix matrix{header.shape[0], header.shape[1], {}};
  matrix.values.resize(static_cast<std::size_t>(extent->elements));
  CALDERA_RETURN_IF_ERROR(ReadValues(source, header, text.data_offset, matrix.values));
  // One dimension of an empty matrix may be any number.
  if (header.order == ArrayOrder::kColumnMajor && !matrix.values.empty()) Transpose(matrix);
  return matrix;
}

std::vector<std::byte> EncodeNpy(std::int64_t rows, std::int64_t columns,
                                 std::span<const float> values) {
  std::string head =
      fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", rows, columns);
  const std::size_t before = kMagic.size() + kVersionBytes + sizeof(std::uint16_t);
  head.append((kAlignment - (before + head.size() + 1) % kAlignment) % kAlignment, ' ');
  head.push_back('\n');
  const auto length = static_cast<std::uint16_t>(head.size());
  std::string start(kMagic);
  start += {'\1', '\0', static_cast<char>(length & 0xFF), static_cast<char>(length >> 8)};
  start += head;
  std::vector<std::byte> bytes(start.size() + values.size_bytes());
  std::memcpy(bytes.data(), start.data(), start.size());
  if (!values.empty()) {
    std::memcpy(bytes.data() + start.size(), values.data(), values.size_bytes());
  }
  return bytes;
}

}  // namespace caldera::model
