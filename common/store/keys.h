// Names inside a store, checked before any file system or network sees them.
#ifndef CALDERA_COMMON_STORE_KEYS_H_
#define CALDERA_COMMON_STORE_KEYS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace caldera::store {

// One part: 1 to 200 characters of [A-Za-z0-9._-], not "." or "..". INVALID_ARGUMENT names it.
absl::Status ValidateKeyPart(const std::string& part);
// Parts joined by '/', at most 1024 characters; the first part is neither "objects" nor "staging",
// which belong to the store itself.
absl::Status ValidateKey(const std::string& key);
// The parts of a key that ValidateKey accepts.
std::vector<std::string> SplitKey(const std::string& key);
// Whether `key` lies under `prefix`: "" holds all keys, "a/b" holds "a/b" and "a/b/c" but not
// "a/bc".
bool KeyHasPrefix(const std::string& key, const std::string& prefix);

// 64 lower-case hex digits, or INVALID_ARGUMENT.
absl::Status ValidateDigest(const std::string& sha256);
// "objects/sha256/ab/abcd..." of a valid digest.
std::string ObjectKey(const std::string& sha256);

// The absolute path of "file:///path" or "/path", taken literally (no %-escapes), without a
// trailing
// '/'. INVALID_ARGUMENT names the URI when it has a host, another scheme, is relative, or holds a
// ".." part or a NUL.
absl::StatusOr<std::string> PathOfFileUri(const std::string& uri);
std::string FileUriOfPath(const std::string& absolute_path);

}  // namespace caldera::store

#endif  // CALDERA_COMMON_STORE_KEYS_H_
