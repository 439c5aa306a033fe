#include "tests/fuzz/inputs.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <span>

#include "common/base/check.h"
#include "common/model/local_files.h"

namespace caldera::fuzz {
namespace {

constexpr std::size_t kMostData = 1 << 14;

// ReadRows of the second half of the rows agrees with ReadAll.
void ReadSecondHalf(const model::TensorSource& source, const model::TensorInfo& info,
                    const std::vector<float>& all) {
  const std::int64_t first = info.rows() / 2;
  const std::int64_t count = info.rows() - first;
  std::vector<float> half(static_cast<std::size_t>(count * info.row_elements()));
  const absl::Status read = source.ReadRows(info.name, first, count, half);
  CALDERA_CHECK(read.ok(), "rows {} to the end of {} cannot be read", first, info.name);
  CALDERA_CHECK(half.empty() || std::memcmp(half.data(), all.data() + all.size() - half.size(),
                                            half.size() * sizeof(float)) == 0,
                "{} reads differently from row {} on", info.name, first);
}

}  // namespace

std::unique_ptr<model::ByteSource> SourceOf(std::string_view bytes) {
  const auto view = std::as_bytes(std::span(bytes.data(), bytes.size()));
  return std::make_unique<model::MemoryByteSource>(
      "input", std::vector<std::byte>(view.begin(), view.end()));
}

std::string TextOf(const std::vector<std::byte>& bytes) {
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

std::vector<std::string> Parts(const std::string& input, char separator, std::size_t count) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  while (parts.size() + 1 < count) {
    const std::size_t end = input.find(separator, begin);
    if (end == std::string::npos) break;
    parts.push_back(input.substr(begin, end - begin));
    begin = end + 1;
  }
  parts.push_back(input.substr(begin));
  parts.resize(count);
  return parts;
}

std::string FillerBytes(std::size_t count) {
  std::string bytes(count, '\0');
  for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<char>(i * 37 + i / 256);
  return bytes;
}

std::size_t LargestNumber(std::string_view text, std::size_t limit) {
  std::size_t largest = 0;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t number = 0;
    const auto parsed = std::from_chars(text.data() + at, text.data() + text.size(), number);
    const bool in_word = at > 0 && std::isalpha(static_cast<unsigned char>(text[at - 1])) != 0;
    if (parsed.ec == std::errc() && !in_word && number <= limit)
      largest = std::max(largest, number);
    const auto end = static_cast<std::size_t>(parsed.ptr - text.data());
    at = end > at ? end : at + 1;
  }
  return largest;
}

std::string SafetensorsAround(const std::string& header) {
  const std::uint64_t length = header.size();
  std::string file(sizeof(length), '\0');
  std::memcpy(file.data(), &length, sizeof(length));
  return file + header + FillerBytes(LargestNumber(header, kMostData));
}

std::vector<model::SafetensorsTensor> TensorsFrom(
    const std::vector<model::SafetensorsDeclaration>& declarations, const std::string& bytes) {
  std::vector<model::SafetensorsTensor> tensors;
  std::size_t at = 0;
  for (const model::SafetensorsDeclaration& declaration : declarations) {
    std::int64_t size = model::BlockBytes(declaration.dtype);
    for (const std::int64_t dimension : declaration.shape) size *= dimension;
    std::vector<std::byte> data(static_cast<std::size_t>(size));
    const std::size_t given = std::min(bytes.size() - at, data.size());
    if (given > 0) std::memcpy(data.data(), bytes.data() + at, given);
    at += given;
    tensors.push_back({declaration, std::move(data)});
  }
  return tensors;
}

void ReadEveryTensor(const model::TensorSource& source) {
  for (const model::TensorInfo& info : source.tensors()) {
    CALDERA_CHECK(source.Find(info.name) == &info, "{} is not found by its name", info.name);
    const auto raw = source.ReadRaw(info.name);
    CALDERA_CHECK(raw.ok() || absl::IsUnimplemented(raw.status()), "{} cannot be read", info.name);
    CALDERA_CHECK(!raw.ok() || raw->size() == info.bytes, "{}: {} bytes, the header says {}",
                  info.name, raw->size(), info.bytes);
    const auto values = source.ReadAll(info.name);
    CALDERA_CHECK(values.ok() == model::HasFloatValue(info.dtype), "{} of {} cannot be read",
                  info.name, model::DtypeName(info.dtype));
    if (!values.ok()) continue;
    ReadSecondHalf(source, info, *values);
    std::vector<float> beyond(static_cast<std::size_t>(info.row_elements()));
    CALDERA_CHECK(!source.ReadRows(info.name, info.rows(), 1, beyond).ok(),
                  "{} has a row beyond its last", info.name);
  }
}

}  // namespace caldera::fuzz
