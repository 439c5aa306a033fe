// Where an S3 is and with which keys: from the environment and the profile files of AWS, never from
// flags. Keys are neither logged nor part of any message.
//
//   AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN    keys; they win over files
//   AWS_SHARED_CREDENTIALS_FILE (~/.aws/credentials), AWS_CONFIG_FILE (~/.aws/config),
//   AWS_PROFILE (default)                 keys, region and endpoint_url of a profile
//   AWS_REGION, AWS_DEFAULT_REGION        us-east-1 when nothing says otherwise
//   AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL http(s)://host[:port]; Amazon's when absent
//   AWS_CA_BUNDLE                         certificates to trust
//   CALDERA_S3_ADDRESSING                 path or virtual; virtual for Amazon, path elsewhere
#ifndef CALDERA_COMMON_STORE_S3_SETTINGS_H_
#define CALDERA_COMMON_STORE_S3_SETTINGS_H_

#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "common/store/s3_signature.h"

namespace caldera::store {

// http://endpoint/bucket/key or http://bucket.endpoint/key.
enum class S3Addressing { kPath, kVirtualHost };

struct S3Settings {
  S3Credentials credentials;
  std::string region;
  std::string endpoint;  // "https://s3.us-east-1.amazonaws.com", no trailing '/'
  S3Addressing addressing = S3Addressing::kPath;
  std::string ca_file;
};

// The value of an environment variable, "" when it is not set.
using Environment = std::function<std::string(const std::string& name)>;
Environment ProcessEnvironment();

// UNAUTHENTICATED when there are no keys, saying where they were looked for; INVALID_ARGUMENT
// naming the variable or the line of a file.
absl::StatusOr<S3Settings> ReadS3Settings(const Environment& environment);

// "s3://bucket/a/b" in parts.
struct S3Location {
  std::string bucket;
  std::string key;  // "a/b": no '/' at its ends; "" is the whole bucket
  std::string Uri() const;
  // The location of a name below this one.
  S3Location Below(const std::string& name) const;
  friend bool operator==(const S3Location&, const S3Location&) = default;
};

bool IsS3Uri(const std::string& uri);
// INVALID_ARGUMENT naming the URI: another scheme, a bucket that is no bucket name (3 to 63 of
// [a-z0-9.-]), empty, "." or ".." parts, control characters.
absl::StatusOr<S3Location> ParseS3Uri(const std::string& uri);

}  // namespace caldera::store

#endif  // CALDERA_COMMON_STORE_S3_SETTINGS_H_
