#include "common/model/json_object.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "common/base/status.h"
#include "common/model/json_text.h"

namespace caldera::model {

using Json = nlohmann::json;

namespace {

// Whole numbers within int64 only; JSON writers spell some integers as floats, those are refused.
bool IsInt64(const Json& value) {
  if (value.is_number_unsigned()) {
    return value.get<std::uint64_t>() <=
           static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  }
  return value.is_number_integer();
}

}  // namespace

// A node of a document, keeping the whole document alive.
struct JsonObject::Node {
  std::shared_ptr<const Json> document;
  const Json* value;

  // nullptr when absent or null.
  const Json* Find(const std::string& key) const {
    const auto found = value->find(key);
    return found == value->end() || found->is_null() ? nullptr : &*found;
  }
};

JsonObject::JsonObject(std::shared_ptr<const Node> node, std::string name)
    : node_(std::move(node)), name_(std::move(name)) {}

absl::StatusOr<JsonObject> JsonObject::Parse(const std::string& text, const std::string& name) {
  CALDERA_RETURN_IF_ERROR(base::WithContext(CheckJsonText(text), name));
  auto document = std::make_shared<Json>(Json::parse(text, nullptr, false));
  if (!document->is_object()) return base::InvalidArgument("{}: not a JSON object", name);
  const Json* root = document.get();
  return JsonObject(std::make_shared<Node>(Node{std::move(document), root}), name);
}

std::vector<std::string> JsonObject::Keys() const {
  std::vector<std::string> keys;
  for (const auto& item : node_->value->items()) keys.push_back(item.key());
  return keys;
}

bool JsonObject::Has(const std::string& key) const { return node_->Find(key) != nullptr; }

bool JsonObject::Contains(const std::string& key) const { return node_->value->contains(key); }

absl::Status JsonObject::WrongType(const std::string& key, const std::string& expected) const {
  if (!Has(key)) return base::InvalidArgument("{}: field \"{}\" is missing", name_, key);
  return base::InvalidArgument("{}: field \"{}\" is not {}", name_, key, expected);
}

absl::StatusOr<std::int64_t> JsonObject::Integer(const std::string& key) const {
  const Json* value = node_->Find(key);
  if (value == nullptr || !IsInt64(*value)) return WrongType(key, "an integer");
  return value->get<std::int64_t>();
}

absl::StatusOr<double> JsonObject::Number(const std::string& key) const {
  const Json* value = node_->Find(key);
  if (value == nullptr || !value->is_number() || !std::isfinite(value->get<double>())) {
    return WrongType(key, "a finite number");
  }
  return value->get<double>();
}

absl::StatusOr<bool> JsonObject::Bool(const std::string& key) const {
  const Json* value = node_->Find(key);
  if (value == nullptr || !value->is_boolean()) return WrongType(key, "true or false");
  return value->get<bool>();
}

absl::StatusOr<std::string> JsonObject::String(const std::string& key) const {
  const Json* value = node_->Find(key);
  if (value == nullptr || !value->is_string()) return WrongType(key, "a string");
  return value->get<std::string>();
}

absl::StatusOr<JsonObject> JsonObject::Object(const std::string& key) const {
  const Json* value = node_->Find(key);
  if (value == nullptr || !value->is_object()) return WrongType(key, "an object");
  return JsonObject(std::make_shared<Node>(Node{node_->document, value}), name_ + ": " + key);
}

absl::StatusOr<std::vector<std::int64_t>> JsonObject::Integers(const std::string& key) const {
  const Json* value = node_->Find(key);
  if (value == nullptr || !value->is_array()) return WrongType(key, "a list of integers");
  std::vector<std::int64_t> integers;
  for (const Json& element : *value) {
    if (!IsInt64(element)) return WrongType(key, "a list of integers");
    integers.push_back(element.get<std::int64_t>());
  }
  return integers;
}

absl::StatusOr<std::vector<std::string>> JsonObject::Strings(const std::string& key) const {
  const Json* value = node_->Find(key);
  if (value == nullptr || !value->is_array()) return WrongType(key, "a list of strings");
  std::vector<std::string> strings;
  for (const Json& element : *value) {
    if (!element.is_string()) return WrongType(key, "a list of strings");
    strings.push_back(element.get<std::string>());
  }
  return strings;
}

absl::StatusOr<std::int64_t> JsonObject::IntegerOr(const std::string& key,
                                                   std::int64_t fallback) const {
  if (!Has(key)) return fallback;
  return Integer(key);
}

absl::StatusOr<double> JsonObject::NumberOr(const std::string& key, double fallback) const {
  if (!Has(key)) return fallback;
  return Number(key);
}

absl::StatusOr<std::string> JsonObject::StringOr(const std::string& key,
                                                 const std::string& fallback) const {
  if (!Has(key)) return fallback;
  return String(key);
}

absl::StatusOr<std::vector<std::int64_t>> JsonObject::AnyIntegers(const std::string& key) const {
  const Json* value = node_->Find(key);
  if (value == nullptr) return std::vector<std::int64_t>();
  if (IsInt64(*value)) return std::vector<std::int64_t>{value->get<std::int64_t>()};
  return Integers(key);
}

absl::StatusOr<std::optional<std::int64_t>> JsonObject::FindInteger(const std::string& key) const {
  if (!Has(key)) return std::optional<std::int64_t>();
  CALDERA_ASSIGN_OR_RETURN(const std::int64_t value, Integer(key));
  return std::optional<std::int64_t>(value);
}

absl::StatusOr<std::optional<bool>> JsonObject::FindBool(const std::string& key) const {
  if (!Has(key)) return std::optional<bool>();
  CALDERA_ASSIGN_OR_RETURN(const bool value, Bool(key));
  return std::optional<bool>(value);
}

}  // namespace caldera::model
