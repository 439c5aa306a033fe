#include "common/store/manifest.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "common/base/sha256.h"
#include "common/base/status.h"
#include "common/model/json_text.h"
#include "common/store/keys.h"
#include "common/store/manifest_fields.h"

namespace caldera::store {
namespace {

using Json = nlohmann::json;

// Turns a struct into a JSON object, field by field.
class Writer {
 public:
  template <typename Struct>
  static Json ToJson(Struct& value) {
    Writer writer;
    VisitFields(value, writer);
    return std::move(writer.object_);
  }

  template <typename Value>
  void operator()(const char* field, Value& value) {
    if constexpr (std::is_constructible_v<Json, Value>) {
      object_[field] = value;
    } else {
      object_[field] = ToJson(value);
    }
  }

  void operator()(const char* field, std::vector<ManifestMatrix>& matrices) {
    object_[field] = Json::array();
    for (ManifestMatrix& matrix : matrices) object_[field].push_back(ToJson(matrix));
  }

  void operator()(const char* field, std::map<std::string, ObjectInfo>& files) {
    object_[field] = Json::object();
    for (auto& [name, info] : files) object_[field][name] = ToJson(info);
  }

 private:
  Json object_ = Json::object();
};

// Fills a struct from a JSON object; the first problem stops it.
class Reader {
 public:
  template <typename Struct>
  static absl::Status Read(const Json& object, const std::string& path, Struct& value) {
    Reader reader(object, path);
    VisitFields(value, reader);
    return reader.Finish();
  }

  template <typename Value>
  void operator()(const char* field, Value& value) {
    if (!error_.ok() || !object_.is_object()) return;
    seen_.insert(field);
    const auto found = object_.find(field);
    const std::string path = path_.empty() ? field : path_ + "." + field;
    error_ =
        found == object_.end() ? base::DataLoss("{}: missing", path) : Convert(*found, path, value);
  }

 private:
  Reader(const Json& object, std::string path) : object_(object), path_(std::move(path)) {
    // What a reader of the whole document does not visit.
    if (path_.empty()) seen_.insert("format");
  }

  absl::Status Finish() const {
    CALDERA_RETURN_IF_ERROR(error_);
    if (!object_.is_object()) {
      return base::DataLoss("{}: expected an object", path_.empty() ? "the document" : path_);
    }
    for (const auto& [field, ignored] : object_.items()) {
      if (!seen_.contains(field)) {
        return base::DataLoss("{}: unknown field", path_.empty() ? field : path_ + "." + field);
      }
    }
    return absl::OkStatus();
  }

  template <typename Struct>
  static absl::Status Convert(const Json& json, const std::string& path, Struct& value) {
    return Read(json, path, value);
  }

  static absl::Status Convert(const Json& json, const std::string& path, std::string& value) {
    if (!json.is_string()) return base::DataLoss("{}: expected a string", path);
    value = json.get<std::string>();
    return absl::OkStatus();
  }

  static absl::Status Convert(const Json& json, const std::string& path, std::uint64_t& value) {
    if (!json.is_number_unsigned()) {
      return base::DataLoss("{}: expected a whole number from 0", path);
    }
    value = json.get<std::uint64_t>();
    return absl::OkStatus();
  }

  static absl::Status Convert(const Json& json, const std::string& path, std::int64_t& value) {
    std::uint64_t number = 0;
    CALDERA_RETURN_IF_ERROR(Convert(json, path, number));
    if (!std::in_range<std::int64_t>(number)) return base::DataLoss("{}: too large", path);
    value = static_cast<std::int64_t>(number);
    return absl::OkStatus();
  }

  static absl::Status Convert(const Json& json, const std::string& path, double& value) {
    if (!json.is_number()) return base::DataLoss("{}: expected a number", path);
    value = json.get<double>();
    return std::isfinite(value) ? absl::OkStatus() : base::DataLoss("{}: not finite", path);
  }

  template <typename Item>
  static absl::Status Convert(const Json& json, const std::string& path,
                              std::vector<Item>& values) {
    if (!json.is_array()) return base::DataLoss("{}: expected an array", path);
    for (const Json& item : json) {
      const std::string item_path = fmt::format("{}[{}]", path, values.size());
      CALDERA_RETURN_IF_ERROR(Convert(item, item_path, values.emplace_back()));
    }
    return absl::OkStatus();
  }

  static absl::Status Convert(const Json& json, const std::string& path,
                              std::map<std::string, ObjectInfo>& files) {
    if (!json.is_object()) return base::DataLoss("{}: expected an object", path);
    for (const auto& [name, info] : json.items()) {
      CALDERA_RETURN_IF_ERROR(Convert(info, fmt::format("{}[\"{}\"]", path, name), files[name]));
    }
    return absl::OkStatus();
  }

  const Json& object_;
  const std::string path_;
  std::set<std::string> seen_;
  absl::Status error_;
};

absl::Status CheckDigest(const std::string& digest, const std::string& field) {
  if (base::IsSha256Hex(digest)) return absl::OkStatus();
  return base::DataLoss("{}: not a SHA-256 of 64 lower-case hex digits", field);
}

absl::Status CheckFiles(const Manifest& manifest) {
  std::uint64_t sum = 0;
  for (const auto& [name, info] : manifest.files) {
    if (!ValidateKeyPart(name).ok() || name == kManifestFile || name == kRunFile) {
      return base::DataLoss("files[\"{}\"]: no name for a listed file", name);
    }
    CALDERA_RETURN_IF_ERROR(CheckDigest(info.sha256, fmt::format("files[\"{}\"].sha256", name)));
    if (info.size > std::numeric_limits<std::uint64_t>::max() - sum) {
      return base::DataLoss("files[\"{}\"].bytes: too large", name);
    }
    sum += info.size;
  }
  if (std::cmp_equal(manifest.output_bytes, sum)) return absl::OkStatus();
  return base::DataLoss("output_bytes: {}, but the files have {}", manifest.output_bytes, sum);
}

absl::Status CheckManifest(const Manifest& manifest) {
  CALDERA_RETURN_IF_ERROR(CheckFiles(manifest));
  CALDERA_RETURN_IF_ERROR(CheckDigest(manifest.model.fingerprint, "model.fingerprint"));
  return CheckDigest(manifest.calibration.sha256, "calibration.sha256");
}

absl::StatusOr<Json> ParseJson(const std::string& text) {
  const absl::Status sound = model::CheckJsonText(text);
  if (!sound.ok()) return base::DataLoss("the document: {}", base::MessageOf(sound));
  return Json::parse(text, nullptr, /*allow_exceptions=*/false);
}

absl::Status CheckFormat(const Json& json) {
  if (!json.is_object()) return base::DataLoss("the document: expected an object");
  const auto format = json.find("format");
  if (format == json.end()) return base::DataLoss("format: missing");
  if (!format->is_string()) return base::DataLoss("format: expected a string");
  if (*format == kManifestFormat) return absl::OkStatus();
  return base::Unimplemented("format: \"{}\" is unknown, this version reads \"{}\"",
                             format->get<std::string>(), kManifestFormat);
}

absl::StatusOr<Manifest> Parse(const std::string& text) {
  CALDERA_ASSIGN_OR_RETURN(const Json json, ParseJson(text));
  CALDERA_RETURN_IF_ERROR(CheckFormat(json));
  Manifest manifest;
  CALDERA_RETURN_IF_ERROR(Reader::Read(json, "", manifest));
  CALDERA_RETURN_IF_ERROR(CheckManifest(manifest));
  return manifest;
}

}  // namespace

void SummarizeManifest(Manifest& manifest) {
  std::uint64_t bytes = 0;
  for (const auto& [name, info] : manifest.files) bytes += info.size;
  manifest.output_bytes = static_cast<std::int64_t>(bytes);
  manifest.mean_relative_error = 0;
  manifest.max_relative_error = 0;
  for (const ManifestMatrix& matrix : manifest.matrices) {
    manifest.mean_relative_error += matrix.relative_error;
    manifest.max_relative_error = std::max(manifest.max_relative_error, matrix.relative_error);
  }
  if (!manifest.matrices.empty()) {
    manifest.mean_relative_error /= static_cast<double>(manifest.matrices.size());
  }
}

absl::StatusOr<std::string> ManifestToJson(const Manifest& manifest) {
  Manifest copy = manifest;
  Json json = Writer::ToJson(copy);
  json["format"] = kManifestFormat;
  std::string text = json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
  // Whatever JSON cannot carry (NaN, bad UTF-8) or a reader would refuse must not be published.
  const auto back = Parse(text);
  if (!back.ok()) return base::InvalidArgument("manifest: {}", base::MessageOf(back.status()));
  if (*back != manifest) return base::InvalidArgument("manifest: a text is not valid UTF-8");
  return text;
}

absl::StatusOr<Manifest> ParseManifest(const std::string& json, const std::string& name) {
  auto manifest = Parse(json);
  if (!manifest.ok()) return base::WithContext(manifest.status(), name);
  return manifest;
}

}  // namespace caldera::store
