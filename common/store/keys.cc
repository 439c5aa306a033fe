#include "common/store/keys.h"

#include <algorithm>

#include "common/base/sha256.h"
#include "common/base/status.h"

namespace caldera::store {
namespace {

constexpr std::size_t kMaximumPart = 200;
constexpr std::size_t kMaximumKey = 1024;
constexpr char kFileScheme[] = "file://";

bool IsKeyCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '-';
}

bool HasParentPart(const std::string& path) {
  const std::vector<std::string> parts = SplitKey(path);
  return std::find(parts.begin(), parts.end(), "..") != parts.end();
}

}  // namespace

absl::Status ValidateKeyPart(const std::string& part) {
  const bool characters = std::all_of(part.begin(), part.end(), IsKeyCharacter);
  if (part.empty() || part.size() > kMaximumPart || !characters || part == "." || part == "..") {
    return base::InvalidArgument("\"{}\": not a name of 1 to {} characters of [A-Za-z0-9._-]", part,
                                 kMaximumPart);
  }
  return absl::OkStatus();
}

absl::Status ValidateKey(const std::string& key) {
  if (key.size() > kMaximumKey) {
    return base::InvalidArgument("key of {} characters, at most {} allowed", key.size(),
                                 kMaximumKey);
  }
  const std::vector<std::string> parts = SplitKey(key);
  for (const std::string& part : parts) {
    const absl::Status status = ValidateKeyPart(part);
    if (!status.ok()) return base::WithContext(status, "key \"" + key + "\"");
  }
  if (parts.front() == "objects" || parts.front() == "staging") {
    return base::InvalidArgument("key \"{}\": {}/ belongs to the store", key, parts.front());
  }
  return absl::OkStatus();
}

std::vector<std::string> SplitKey(const std::string& key) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  for (std::size_t slash; (slash = key.find('/', begin)) != std::string::npos; begin = slash + 1) {
    parts.push_back(key.substr(begin, slash - begin));
  }
  parts.push_back(key.substr(begin));
  return parts;
}

bool KeyHasPrefix(const std::string& key, const std::string& prefix) {
  if (prefix.empty() || key == prefix) return true;
  return key.size() > prefix.size() && key.starts_with(prefix) && key[prefix.size()] == '/';
}

absl::Status ValidateDigest(const std::string& sha256) {
  if (base::IsSha256Hex(sha256)) return absl::OkStatus();
  return base::InvalidArgument("\"{}\": not a SHA-256 of 64 lower-case hex digits", sha256);
}

std::string ObjectKey(const std::string& sha256) {
  return "objects/sha256/" + sha256.substr(0, 2) + "/" + sha256;
}

absl::StatusOr<std::string> PathOfFileUri(const std::string& uri) {
  std::string path = uri.starts_with(kFileScheme) ? uri.substr(sizeof(kFileScheme) - 1) : uri;
  if (path.empty() || path.front() != '/') {
    return base::InvalidArgument("\"{}\": expected file:///directory or /directory", uri);
  }
  if (path.find('\0') != std::string::npos || HasParentPart(path)) {
    return base::InvalidArgument("\"{}\": a path may not hold \"..\" or NUL", uri);
  }
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

std::string FileUriOfPath(const std::string& absolute_path) { return kFileScheme + absolute_path; }

}  // namespace caldera::store
