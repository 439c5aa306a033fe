// Errors of a file system that holds a store, as the contract of checkpoint_store.h has them.
//
// What only a person can mend, but without touching the job, is UNAVAILABLE: a file system that is
// read-only, or forbidden for the moment. A full one is RESOURCE_EXHAUSTED and says how much is
// free.
#ifndef CALDERA_COMMON_STORE_STORE_ERROR_H_
#define CALDERA_COMMON_STORE_STORE_ERROR_H_

#include <optional>
#include <string>

#include "absl/status/status.h"

namespace caldera::store {

// The error of a call on `path`; `error_number` is its errno.
absl::Status StoreError(int error_number, const std::string& path);

// The same for an error made by common/base/file.h. OK stays OK.
absl::Status ToStoreError(const absl::Status& status, const std::string& path);

// Free bytes of the file system that `path`, or its nearest existing parent, lies on; nullopt where
// nobody knows.
std::optional<std::uint64_t> FreeBytesAt(const std::string& path);

}  // namespace caldera::store

#endif  // CALDERA_COMMON_STORE_STORE_ERROR_H_
