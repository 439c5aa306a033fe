#include <utility>

#include "common/base/status.h"
#include "common/store/checkpoint_store.h"
#include "common/store/file_store.h"
#include "common/store/keys.h"
#include "common/store/memory_store.h"
#include "common/store/s3_store.h"

namespace caldera::store {

absl::StatusOr<std::unique_ptr<CheckpointStore>> OpenStore(const std::string& uri,
                                                           const StoreOptions& options) {
  static constexpr char kMemoryScheme[] = "memory://";
  if (uri.starts_with(kMemoryScheme)) {
    return std::make_unique<MemoryStore>(uri.substr(sizeof(kMemoryScheme) - 1));
  }
  if (IsS3Uri(uri)) {
    CALDERA_ASSIGN_OR_RETURN(S3Settings settings, ReadS3Settings(ProcessEnvironment()));
    S3StoreOptions s3;
    s3.client.patience = options.patience;
    CALDERA_ASSIGN_OR_RETURN(std::unique_ptr<S3Store> store,
                             S3Store::Open(uri, std::move(settings), s3));
    return store;
  }
  if (!uri.starts_with("file://") && uri.find("://") != std::string::npos) {
    return base::InvalidArgument(
        "store \"{}\": unknown scheme, expected file://, s3:// or memory://", uri);
  }
  CALDERA_ASSIGN_OR_RETURN(const std::string path, PathOfFileUri(uri));
  CALDERA_ASSIGN_OR_RETURN(std::unique_ptr<FileStore> store, FileStore::Open(path));
  return store;
}

}  // namespace caldera::store
