// The S3 that the tests of stores run against, where there is one: tests/system/test_s3_store.py
// starts it and sets, beside what s3_settings.h reads,
//
//   CALDERA_TEST_S3_BUCKET          a bucket of these keys
//   CALDERA_TEST_S3_SMALL           "bucket:key id:secret" of a user who may hold a megabyte
#ifndef CALDERA_TESTS_COMMON_STORE_S3_TEST_BUCKET_H_
#define CALDERA_TESTS_COMMON_STORE_S3_TEST_BUCKET_H_

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "common/base/uuid.h"
#include "common/store/s3_client.h"
#include "common/store/s3_objects.h"
#include "common/store/s3_store.h"

namespace caldera::store {

inline bool HasTestBucket() { return !ProcessEnvironment()("CALDERA_TEST_S3_BUCKET").empty(); }

enum class BucketOf { kAnyone, kSmallUser };

// A prefix of its own in the bucket.
class S3TestBucket {
 public:
  explicit S3TestBucket(BucketOf whose = BucketOf::kAnyone) {
    const Environment environment = ProcessEnvironment();
    auto settings = ReadS3Settings(environment);
    EXPECT_TRUE(settings.ok()) << settings.status();
    settings_ = *std::move(settings);
    root_ = {environment("CALDERA_TEST_S3_BUCKET"), "test-" + base::NewUuid()};
    if (whose == BucketOf::kSmallUser) {
      const std::string small = environment("CALDERA_TEST_S3_SMALL");
      const std::size_t key = small.find(':');
      const std::size_t secret = small.find(':', key + 1);
      root_.bucket = small.substr(0, key);
      settings_.credentials = {small.substr(key + 1, secret - key - 1), small.substr(secret + 1),
                               ""};
    }
    client_ = std::make_unique<S3Client>(settings_, S3ClientOptions());
  }

  const S3Location& root() const { return root_; }
  const S3Client& client() const { return *client_; }
  std::unique_ptr<S3Store> OpenStore(const S3StoreOptions& options) const {
    auto store = S3Store::Open(root_.Below("store").Uri(), settings_, options);
    EXPECT_TRUE(store.ok()) << store.status();
    return *std::move(store);
  }
  const S3Settings& settings() const { return settings_; }

 private:
  S3Settings settings_;
  S3Location root_;
  std::unique_ptr<S3Client> client_;
};

}  // namespace caldera::store

#endif  // CALDERA_TESTS_COMMON_STORE_S3_TEST_BUCKET_H_
