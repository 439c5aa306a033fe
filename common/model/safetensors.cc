#include "common/model/safetensors.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "common/base/status.h"
#include "common/model/json_object.h"
#include "common/model/stored_tensor.h"

namespace caldera::model {
namespace {

constexpr char kMetadataKey[] = "__metadata__";
constexpr std::uint64_t kLengthBytes = 8;

// A tensor with the place of its data, relative to the data section.
struct Entry {
  TensorInfo info;
  std::uint64_t begin = 0;
};

absl::StatusOr<std::map<std::string, std::string>> ParseMetadata(const JsonObject& header) {
  std::map<std::string, std::string> metadata;
  if (!header.Has(kMetadataKey)) return metadata;
  CALDERA_ASSIGN_OR_RETURN(const JsonObject object, header.Object(kMetadataKey));
  for (const std::string& key : object.Keys()) {
    CALDERA_ASSIGN_OR_RETURN(metadata[key], object.String(key));
  }
  return metadata;
}

absl::StatusOr<Entry> ParseEntry(const JsonObject& object, const std::string& tensor) {
  Entry entry;
  entry.info.name = tensor;
  CALDERA_ASSIGN_OR_RETURN(const std::string dtype, object.String("dtype"));
  CALDERA_ASSIGN_OR_RETURN(entry.info.dtype, ParseSafetensorsDtype(dtype));
  CALDERA_ASSIGN_OR_RETURN(entry.info.shape, object.Integers("shape"));
  CALDERA_ASSIGN_OR_RETURN(const auto offsets, object.Integers("data_offsets"));
  if (offsets.size() != 2 || offsets[0] < 0 || offsets[1] < offsets[0]) {
    return base::InvalidArgument("data_offsets are no range");
  }
  CALDERA_ASSIGN_OR_RETURN(const TensorExtent extent, ExtentOf(entry.info.dtype, entry.info.shape));
  entry.begin = static_cast<std::uint64_t>(offsets[0]);
  entry.info.bytes = static_cast<std::uint64_t>(offsets[1] - offsets[0]);
  if (entry.info.bytes != extent.bytes) {
    return base::InvalidArgument("data_offsets span {} bytes, dtype and shape ask for {}",
                                 entry.info.bytes, extent.bytes);
  }
  return entry;
}

absl::StatusOr<std::vector<Entry>> ParseEntries(const JsonObject& header) {
  std::vector<Entry> entries;
  for (const std::string& key : header.Keys()) {
    if (key == kMetadataKey) continue;
    CALDERA_ASSIGN_OR_RETURN(const JsonObject object, header.Object(key));
    auto entry = ParseEntry(object, key);
    if (!entry.ok()) {
      return base::WithContext(entry.status(), header.name() + ": tensor " + key);
    }
    entries.push_back(*std::move(entry));
  }
  return entries;
}

// The data of all entries, in file order, is [0, data_bytes) without hole or overlap.
absl::Status CheckCoverage(const std::vector<Entry>& entries, std::uint64_t data_bytes,
                           const std::string& name) {
  std::vector<const Entry*> by_offset;
  for (const Entry& entry : entries) by_offset.push_back(&entry);
  std::sort(by_offset.begin(), by_offset.end(), [](const Entry* a, const Entry* b) {
    return std::pair(a->begin, a->info.bytes) < std::pair(b->begin, b->info.bytes);
  });
  std::uint64_t expected = 0;
  for (const Entry* entry : by_offset) {
    if (entry->begin != expected) {
      return base::InvalidArgument("{}: tensor {}: data begins at {}, expected {}", name,
                                   entry->info.name, entry->begin, expected);
    }
    expected += entry->info.bytes;
    if (expected > data_bytes) {
      return base::InvalidArgument(
          "{}: tensor {}: data ends at {}, the file holds {} bytes of data", name, entry->info.name,
          expected, data_bytes);
    }
  }
  if (expected == data_bytes) return absl::OkStatus();
  return base::InvalidArgument("{}: tensors cover {} bytes of {} bytes of data", name, expected,
                               data_bytes);
}

}  // namespace

absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(const std::string& json,
                                                         std::uint64_t file_bytes,
                                                         const std::string& name) {
  SafetensorsHeader header;
  header.data_offset = kLengthBytes + json.size();
  if (!json.starts_with('{')) {
    return base::InvalidArgument("{}: the header does not start with '{{'", name);
  }
  if (file_bytes < header.data_offset) {
    return base::InvalidArgument("{}: the header of {} bytes runs past the end of the file", name,
                                 json.size());
  }
  CALDERA_ASSIGN_OR_RETURN(const JsonObject object, JsonObject::Parse(json, name));
  CALDERA_ASSIGN_OR_RETURN(header.metadata, ParseMetadata(object));
  CALDERA_ASSIGN_OR_RETURN(std::vector<Entry> entries, ParseEntries(object));
  CALDERA_RETURN_IF_ERROR(CheckCoverage(entries, file_bytes - header.data_offset, name));
  for (Entry& entry : entries) {  // Keys() is sorted, so entries are
    header.offsets.push_back(header.data_offset + entry.begin);
    header.tensors.push_back(std::move(entry.info));
  }
  return header;
}

absl::StatusOr<std::string> ReadSafetensorsHeaderText(const ByteSource& source) {
  std::uint64_t length = 0;
  if (source.size() < kLengthBytes) {
    return base::InvalidArgument("{}: {} bytes are no safetensors file", source.name(),
                                 source.size());
  }
  CALDERA_RETURN_IF_ERROR(source.Read(0, std::as_writable_bytes(std::span(&length, 1))));
  if (length < 2 || length > kMaxSafetensorsHeaderBytes) {
    return base::InvalidArgument("{}: a header of {} bytes, accepted are 2 to {}", source.name(),
                                 length, kMaxSafetensorsHeaderBytes);
  }
  if (length > source.size() - kLengthBytes) {
    return base::InvalidArgument("{}: the header of {} bytes runs past the end of the file",
                                 source.name(), length);
  }
  std::string json(static_cast<std::size_t>(length), '\0');
  CALDERA_RETURN_IF_ERROR(source.Read(kLengthBytes, std::as_writable_bytes(std::span(json))));
  return json;
}

SafetensorsFile::SafetensorsFile(std::unique_ptr<ByteSource> source, SafetensorsHeader header)
    : source_(std::move(source)), header_(std::move(header)) {}

absl::StatusOr<std::unique_ptr<SafetensorsFile>> SafetensorsFile::Open(
    std::unique_ptr<ByteSource> source) {
  CALDERA_ASSIGN_OR_RETURN(const std::string json, ReadSafetensorsHeaderText(*source));
  CALDERA_ASSIGN_OR_RETURN(SafetensorsHeader header,
                           ParseSafetensorsHeader(json, source->size(), source->name()));
  return std::unique_ptr<SafetensorsFile>(
      new SafetensorsFile(std::move(source), std::move(header)));
}

absl::StatusOr<std::size_t> SafetensorsFile::IndexOf(const std::string& tensor) const {
  const TensorInfo* info = Find(tensor);
  if (info == nullptr) return base::NotFound("{}: no tensor \"{}\"", name(), tensor);
  return static_cast<std::size_t>(info - header_.tensors.data());
}

absl::Status SafetensorsFile::ReadRows(const std::string& tensor, std::int64_t first_row,
                                       std::int64_t row_count, std::span<float> out) const {
  CALDERA_ASSIGN_OR_RETURN(const std::size_t index, IndexOf(tensor));
  const StoredTensor stored{*source_, header_.tensors[index], header_.offsets[index]};
  return ReadStoredRows(stored, first_row, row_count, out);
}

absl::StatusOr<std::vector<std::byte>> SafetensorsFile::ReadRaw(const std::string& tensor) const {
  CALDERA_ASSIGN_OR_RETURN(const std::size_t index, IndexOf(tensor));
  return ReadStoredBytes({*source_, header_.tensors[index], header_.offsets[index]});
}

absl::Status SafetensorsFile::ReadRawRange(const std::string& tensor, std::uint64_t offset,
                                           std::span<std::byte> out) const {
  CALDERA_ASSIGN_OR_RETURN(const std::size_t index, IndexOf(tensor));
  const TensorInfo& info = header_.tensors[index];
  if (offset > info.bytes || out.size() > info.bytes - offset) {
    return base::OutOfRange("{}: tensor {}: {} bytes at {} are beyond its {} bytes", name(), tensor,
                            out.size(), offset, info.bytes);
  }
  return source_->Read(header_.offsets[index] + offset, out);
}

}  // namespace caldera::model
