// The places that files named by others may lie in.
#ifndef CALDERA_COMMON_BASE_ALLOWED_ROOTS_H_
#define CALDERA_COMMON_BASE_ALLOWED_ROOTS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace caldera::base {

// A value; without roots everything is allowed. Thread-safe.
class AllowedRoots {
 public:
  AllowedRoots() = default;
  // Absolute paths of directories that exist (symbolic links in them are followed once, here), or
  // URIs like "s3://bucket/prefix". INVALID_ARGUMENT or NOT_FOUND naming the one that is neither.
  static absl::StatusOr<AllowedRoots> Make(const std::vector<std::string>& roots);

  bool empty() const { return directories_.empty() && uris_.empty(); }

  // PERMISSION_DENIED naming `path` (absolute) unless what it leads to, all symbolic links
  // followed, lies in a root. What does not exist yet counts by its name.
  absl::Status CheckPath(const std::string& path) const;
  // The same for "file:///path", "/path", and by prefix for other URIs, which may hold no "..".
  absl::Status CheckUri(const std::string& uri) const;
  // The same for a file that is open: where it really lies, whatever the path leads to by now.
  absl::Status CheckOpenFile(int descriptor, const std::string& path) const;

 private:
  bool Holds(const std::string& resolved) const;

  std::vector<std::string> directories_;  // resolved, without a trailing '/' ("" is the root)
  std::vector<std::string> uris_;         // without a trailing '/'
};

}  // namespace caldera::base

#endif  // CALDERA_COMMON_BASE_ALLOWED_ROOTS_H_
