// The root directory of a file store, kept over unmounting and mounting again.
//
// A store is recognised by `objects/id`, a UUID written when it was made: an empty mount point, or
// another directory under the same path, is not taken for it. Thread-safe.
#ifndef CALDERA_COMMON_STORE_STORE_ROOT_H_
#define CALDERA_COMMON_STORE_STORE_ROOT_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/base/file.h"
#include "common/base/mutex.h"

namespace caldera::store {

class StoreRoot {
 public:
  // Creates the directory, its parents, `staging` and `objects/sha256` where missing.
  static absl::StatusOr<std::unique_ptr<StoreRoot>> Open(const std::string& directory);

  const std::string& directory() const { return directory_; }

  // The directory, opened again when another lies under the path now. UNAVAILABLE while there is
  // none, or one that is another store or none.
  using Fd = std::shared_ptr<const base::UniqueFd>;
  absl::StatusOr<Fd> Get() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  StoreRoot(std::string directory, std::string id, Fd fd);

  const std::string directory_;
  const std::string id_;
  mutable base::Mutex mutex_;
  mutable Fd fd_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace caldera::store

#endif  // CALDERA_COMMON_STORE_STORE_ROOT_H_
