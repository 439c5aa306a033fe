#include "common/base/allowed_roots.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "common/base/status.h"

namespace caldera::base {
namespace {

constexpr char kFileScheme[] = "file://";

// "x" and everything below it: "x/y", but not "xy".
bool IsBelow(const std::string& place, const std::string& root) {
  return place.starts_with(root) && (place.size() == root.size() || place[root.size()] == '/');
}

std::string WithoutSlash(std::string text) {
  while (text.ends_with('/')) text.pop_back();
  return text;
}

bool HasParentStep(const std::string& text) {
  return (text + "/").find("/../") != std::string::npos;
}

// weakly_canonical takes a symbolic link to nothing for a name that is not there yet.
bool EndsInDanglingLink(std::filesystem::path path) {
  std::error_code error;
  while (!std::filesystem::exists(path, error) && path.has_relative_path()) {
    if (std::filesystem::is_symlink(std::filesystem::symlink_status(path, error))) return true;
    path = path.parent_path();
  }
  return false;
}

absl::Status Refused(const std::string& what) {
  return PermissionDenied("{}: not in a place that is allowed (--allow-root)", what);
}

}  // namespace

absl::StatusOr<AllowedRoots> AllowedRoots::Make(const std::vector<std::string>& roots) {
  AllowedRoots allowed;
  for (const std::string& root : roots) {
    if (!root.starts_with('/')) {
      if (root.starts_with(kFileScheme) || root.find("://") == std::string::npos) {
        return InvalidArgument("allowed root \"{}\": neither an absolute path nor a URI", root);
      }
      allowed.uris_.push_back(WithoutSlash(root));
      continue;
    }
    std::error_code error;
    const std::filesystem::path resolved = std::filesystem::canonical(root, error);
    if (error) return ErrnoToStatus(error.value(), "allowed root " + root);
    if (!std::filesystem::is_directory(resolved, error)) {
      return InvalidArgument("allowed root \"{}\": not a directory", root);
    }
    allowed.directories_.push_back(WithoutSlash(resolved.string()));
  }
  return allowed;
}

bool AllowedRoots::Holds(const std::string& resolved) const {
  return std::any_of(directories_.begin(), directories_.end(),
                     [&resolved](const std::string& root) { return IsBelow(resolved, root); });
}

absl::Status AllowedRoots::CheckPath(const std::string& path) const {
  if (empty()) return absl::OkStatus();
  if (!path.starts_with('/') || HasParentStep(path)) return Refused(path);
  std::error_code error;
  const std::filesystem::path resolved = std::filesystem::weakly_canonical(path, error);
  // Where a part cannot be looked at, nobody knows where it leads.
  if (error || !Holds(WithoutSlash(resolved.string())) || EndsInDanglingLink(resolved)) {
    return Refused(path);
  }
  return absl::OkStatus();
}

absl::Status AllowedRoots::CheckUri(const std::string& uri) const {
  if (empty()) return absl::OkStatus();
  if (uri.starts_with(kFileScheme)) return CheckPath(uri.substr(sizeof(kFileScheme) - 1));
  if (uri.find("://") == std::string::npos) return CheckPath(uri);
  const bool below = std::any_of(uris_.begin(), uris_.end(),
                                 [&uri](const std::string& root) { return IsBelow(uri, root); });
  if (!below || HasParentStep(uri)) return Refused(uri);
  return absl::OkStatus();
}

absl::Status AllowedRoots::CheckOpenFile(int descriptor, const std::string& path) const {
  if (empty()) return absl::OkStatus();
  std::error_code error;
  const std::filesystem::path where =
      std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(descriptor), error);
  if (error || !Holds(where.string())) return Refused(path);
  return absl::OkStatus();
}

}  // namespace caldera::base
