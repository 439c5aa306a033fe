// Typed access to a JSON object whose errors name the file and the field.
//
// Keeps the JSON library out of headers. What json_text.h refuses is refused. Values are shared,
// cheap to copy and immutable: safe from several threads.
#ifndef CALDERA_COMMON_MODEL_JSON_OBJECT_H_
#define CALDERA_COMMON_MODEL_JSON_OBJECT_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace caldera::model {

class JsonObject {
 public:
  // INVALID_ARGUMENT, with `name` before it, when the text is no JSON object.
  static absl::StatusOr<JsonObject> Parse(const std::string& text, const std::string& name);

  // "file: outer.inner", what errors call this object.
  const std::string& name() const { return name_; }
  std::vector<std::string> Keys() const;  // sorted

  // Absent and null are the same: most configuration files write null for "not set".
  bool Has(const std::string& key) const;
  // Whether the key is written at all, null or not.
  bool Contains(const std::string& key) const;

  // INVALID_ARGUMENT names object and field when it is absent, null or of another type. Integer
  // takes whole numbers within int64 only; Number takes any finite number.
  absl::StatusOr<std::int64_t> Integer(const std::string& key) const;
  absl::StatusOr<double> Number(const std::string& key) const;
  absl::StatusOr<bool> Bool(const std::string& key) const;
  absl::StatusOr<std::string> String(const std::string& key) const;
  absl::StatusOr<JsonObject> Object(const std::string& key) const;
  absl::StatusOr<std::vector<std::int64_t>> Integers(const std::string& key) const;
  absl::StatusOr<std::vector<std::string>> Strings(const std::string& key) const;

  // The value, or `fallback` when absent or null; an error when of another type.
  absl::StatusOr<std::int64_t> IntegerOr(const std::string& key, std::int64_t fallback) const;
  absl::StatusOr<double> NumberOr(const std::string& key, double fallback) const;
  absl::StatusOr<std::string> StringOr(const std::string& key, const std::string& fallback) const;
  // A single integer is a list of one; absent or null is an empty list.
  absl::StatusOr<std::vector<std::int64_t>> AnyIntegers(const std::string& key) const;
  // nullopt when absent or null.
  absl::StatusOr<std::optional<std::int64_t>> FindInteger(const std::string& key) const;
  absl::StatusOr<std::optional<bool>> FindBool(const std::string& key) const;

 private:
  struct Node;
  JsonObject(std::shared_ptr<const Node> node, std::string name);
  absl::Status WrongType(const std::string& key, const std::string& expected) const;

  std::shared_ptr<const Node> node_;
  std::string name_;
};

}  // namespace caldera::model

#endif  // CALDERA_COMMON_MODEL_JSON_OBJECT_H_
