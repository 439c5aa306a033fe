// Signed requests to one S3, sent again until they are answered.
//
// Every request here may be executed twice by the server without harm; so after a timeout, a lost
// answer, 429, 500, 502, 503 or 504 it is sent again with exponential backoff, until
// S3ClientOptions::patience is over. A request carries the SHA-256 of its body, which the server
// checks, unless its sender says otherwise. Thread rule: every method may be called from several
// threads at once.
#ifndef CALDERA_COMMON_STORE_S3_CLIENT_H_
#define CALDERA_COMMON_STORE_S3_CLIENT_H_

#include <cstddef>
#include <map>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/retry.h"
#include "common/store/http_client.h"
#include "common/store/s3_settings.h"

namespace caldera::store {

struct S3ClientOptions {
  absl::Duration patience = absl::Seconds(60);  // for all attempts of one request
  absl::Duration initial_backoff = absl::Milliseconds(100);
  absl::Duration maximum_backoff = absl::Seconds(5);
  HttpOptions http;
};

// kOnce: for what is not worth waiting for, such as tidying up on the way out of an error.
enum class Attempts { kUntilPatienceEnds, kOnce };

// For S3Request::body_sha256: the server does not compare the body with anything.
inline constexpr char kUnsignedPayload[] = "UNSIGNED-PAYLOAD";

struct S3Request {
  std::string method = {};
  S3Location location = {};
  QueryParameters query = {};
  std::map<std::string, std::string> headers = {};  // beyond the signature's; lower case
  std::span<const std::byte> body = {};             // not owned
  std::string body_sha256 = {};                     // "" = computed here
  std::span<std::byte> into = {};                   // as HttpRequest::into
  Attempts attempts = Attempts::kUntilPatienceEnds;
};

struct S3Response {
  HttpResponse http;
  int attempts = 1;  // more than 1: an earlier one may have been executed too
};

class S3Client {
 public:
  S3Client(S3Settings settings, S3ClientOptions options);

  // OK for 2xx only. Errors, with "s3://bucket/key: Code: message": NOT_FOUND; UNAUTHENTICATED for
  // keys or signatures that the server does not accept; PERMISSION_DENIED for what they do not
  // allow; FAILED_PRECONDITION for 409 and 412 and for a clock that is wrong; RESOURCE_EXHAUSTED
  // for a quota or a full store; OUT_OF_RANGE for 416; UNAVAILABLE when the patience is over;
  // INVALID_ARGUMENT for the other 4xx.
  absl::StatusOr<S3Response> Call(const S3Request& request) const;

  const S3Settings& settings() const { return settings_; }

 private:
  absl::StatusOr<HttpResponse> Attempt(const S3Request& request,
                                       const std::string& body_sha256) const;
  // host:port to connect to and sign, and the encoded path.
  std::string HostOf(const S3Location& location) const;
  std::string PathOf(const S3Location& location) const;

  const S3Settings settings_;
  const base::RetryOptions retry_;
  const HttpClient http_;
  mutable base::SystemClock clock_;
};

}  // namespace caldera::store

#endif  // CALDERA_COMMON_STORE_S3_CLIENT_H_
