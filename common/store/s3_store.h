// The store in a bucket: s3://bucket/prefix, on Amazon's or any other S3.
//
//   prefix/staging/<label>-<uuid>        an open multipart upload, private to its writer
//   prefix/objects/sha256/ab/<64 hex>    finished, never written again
//   prefix/<key>                         small files, replaced by PUT
//
// An object's key is its digest, which is known only at the end; so parts go to staging and are
// hashed on the way. Commit of an object that fits into one part puts it under its key directly, if
// none is there; a larger one is completed in staging, copied by the server, and removed from
// staging. docs/formats/s3_store.md has every request and what a crash between two of them leaves.
// Several processes may use one prefix at the same time. Requests are sent again as s3_client.h
// says. Errors beyond the contract's: UNAUTHENTICATED and PERMISSION_DENIED.
#ifndef CALDERA_COMMON_STORE_S3_STORE_H_
#define CALDERA_COMMON_STORE_S3_STORE_H_

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/mutex.h"
#include "common/store/checkpoint_store.h"
#include "common/store/s3_client.h"
#include "common/store/s3_objects.h"
#include "common/store/s3_parts.h"

namespace caldera::store {

struct S3StoreOptions {
  S3ClientOptions client;
  PartOptions parts;     // what a writer holds in memory
  int page_size = 1000;  // of listings
  CopyLimits copy;
};

class S3Store final : public CheckpointStore {
 public:
  // `uri` is s3://bucket or s3://bucket/prefix; the bucket exists. One listing is asked for, so
  // that a wrong bucket (NOT_FOUND), key or permission is known at once.
  static absl::StatusOr<std::unique_ptr<S3Store>> Open(const std::string& uri, S3Settings settings,
                                                       const S3StoreOptions& options);

  const std::string& uri() const override { return uri_; }
  absl::StatusOr<std::unique_ptr<ObjectWriter>> Stage(const std::string& label) override;
  absl::Status RemoveStaging(const std::string& label) override;
  absl::StatusOr<ObjectInfo> StatObject(const std::string& sha256) const override;
  absl::Status ReadObject(const std::string& sha256, std::uint64_t offset,
                          std::span<std::byte> out) const override;
  absl::Status VerifyObject(const std::string& sha256) const override;
  absl::Status RemoveObject(const std::string& sha256) override;
  absl::Status WriteKey(const std::string& key, const std::string& bytes) override;
  absl::StatusOr<std::string> ReadKey(const std::string& key) const override;
  absl::Status RemoveKey(const std::string& key) override;
  absl::StatusOr<std::vector<std::string>> ListKeys(const std::string& prefix) const override;
  // To an s3:// output (any bucket of the same S3) the server copies; to a file:// one the object
  // is read, hashed and renamed into place.
  absl::Status Publish(const std::string& sha256, const std::string& output_uri,
                       const std::string& file) override;
  absl::Status PublishBytes(const std::string& bytes, const std::string& output_uri,
                            const std::string& file) override;
  // UNIMPLEMENTED: a bucket has no end.
  absl::StatusOr<std::uint64_t> FreeBytes() const override;

 private:
  S3Store(S3Location root, S3Settings settings, const S3StoreOptions& options);
  S3Location ObjectLocation(const std::string& sha256) const;
  absl::Status CheckFolders(const std::string& key);
  absl::Status PublishToBucket(const ObjectInfo& object, const S3Location& to);

  const S3Location root_;
  const std::string uri_;
  const S3StoreOptions options_;
  const std::shared_ptr<const S3Client> client_;  // shared with writers
  base::Mutex mutex_;
  // Parents of keys of which no part is a key itself: what WriteKey need not ask for again.
  std::set<std::string> folders_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace caldera::store

#endif  // CALDERA_COMMON_STORE_S3_STORE_H_
