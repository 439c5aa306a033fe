#include "common/model/gguf.h"

#include <type_traits>
#include <utility>

#include "common/base/status.h"
#include "common/model/stored_tensor.h"

namespace caldera::model {
namespace {

template <typename T>
constexpr const char* TypeName() {
  if constexpr (std::is_same_v<T, bool>) return "a bool";
  if constexpr (std::is_same_v<T, std::int64_t>) return "an integer";
  if constexpr (std::is_same_v<T, double>) return "a number";
  if constexpr (std::is_same_v<T, std::string>) return "a string";
  if constexpr (std::is_same_v<T, std::vector<std::int64_t>>) return "a list of integers";
  if constexpr (std::is_same_v<T, std::vector<double>>) return "a list of numbers";
  return "a list of strings";
}

}  // namespace

GgufMetadata::GgufMetadata(std::string file, std::map<std::string, GgufValue> values)
    : file_(std::move(file)), values_(std::move(values)) {}

template <typename T>
absl::StatusOr<T> GgufMetadata::Get(const std::string& key) const {
  const auto found = values_.find(key);
  if (found == values_.end()) return base::NotFound("{}: no metadata key \"{}\"", file_, key);
  if (const T* value = std::get_if<T>(&found->second)) return *value;
  if constexpr (std::is_same_v<T, double>) {
    const auto* integer = std::get_if<std::int64_t>(&found->second);
    if (integer != nullptr) return static_cast<double>(*integer);
  }
  return base::InvalidArgument("{}: metadata key \"{}\" is not {}", file_, key, TypeName<T>());
}

template <typename T>
absl::StatusOr<std::optional<T>> GgufMetadata::Find(const std::string& key) const {
  if (!Has(key)) return std::optional<T>();
  CALDERA_ASSIGN_OR_RETURN(T value, Get<T>(key));
  return std::optional<T>(std::move(value));
}

#define CALDERA_INSTANTIATE_GETTERS(T)                                           \
  template absl::StatusOr<T> GgufMetadata::Get<T>(const std::string& key) const; \
  template absl::StatusOr<std::optional<T>> GgufMetadata::Find<T>(const std::string& key) const;
CALDERA_INSTANTIATE_GETTERS(bool)
CALDERA_INSTANTIATE_GETTERS(std::int64_t)
CALDERA_INSTANTIATE_GETTERS(double)
CALDERA_INSTANTIATE_GETTERS(std::string)
CALDERA_INSTANTIATE_GETTERS(std::vector<std::int64_t>)
CALDERA_INSTANTIATE_GETTERS(std::vector<double>)
CALDERA_INSTANTIATE_GETTERS(std::vector<std::string>)
#undef CALDERA_INSTANTIATE_GETTERS

GgufFile::GgufFile(std::unique_ptr<ByteSource> source, GgufHeader header)
    : source_(std::move(source)), header_(std::move(header)) {}

absl::StatusOr<std::unique_ptr<GgufFile>> GgufFile::Open(std::unique_ptr<ByteSource> source) {
  CALDERA_ASSIGN_OR_RETURN(GgufHeader header, ParseGgufHeader(*source));
  return std::unique_ptr<GgufFile>(new GgufFile(std::move(source), std::move(header)));
}

absl::StatusOr<std::size_t> GgufFile::IndexOf(const std::string& tensor) const {
  const TensorInfo* info = TensorSource::Find(tensor);
  if (info == nullptr) return base::NotFound("{}: no tensor \"{}\"", name(), tensor);
  return static_cast<std::size_t>(info - header_.tensors.data());
}

absl::Status GgufFile::ReadRows(const std::string& tensor, std::int64_t first_row,
                                std::int64_t row_count, std::span<float> out) const {
  CALDERA_ASSIGN_OR_RETURN(const std::size_t index, IndexOf(tensor));
  const StoredTensor stored{*source_, header_.tensors[index], header_.offsets[index]};
  return ReadStoredRows(stored, first_row, row_count, out);
}

absl::StatusOr<std::vector<std::byte>> GgufFile::ReadRaw(const std::string& tensor) const {
  CALDERA_ASSIGN_OR_RETURN(const std::size_t index, IndexOf(tensor));
  return ReadStoredBytes({*source_, header_.tensors[index], header_.offsets[index]});
}

}  // namespace caldera::model
