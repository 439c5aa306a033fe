// Signature Version 4 of AWS: proves that a request comes from the owner of a key, without sending
// the key. Pure functions of values.
//
// From the Amazon S3 API reference, "Authenticating Requests (AWS Signature Version 4)": the
// request in canonical form is hashed; that hash, the time and the scope are signed by HMAC-SHA-256
// with a key derived from the secret. The published test vectors are the tests.
#ifndef CALDERA_COMMON_STORE_S3_SIGNATURE_H_
#define CALDERA_COMMON_STORE_S3_SIGNATURE_H_

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"

namespace caldera::store {

struct S3Credentials {
  std::string access_key_id;
  std::string secret_access_key;
  std::string session_token;  // of temporary credentials, else ""
  friend bool operator==(const S3Credentials&, const S3Credentials&) = default;
};

struct SigningScope {
  std::string region;
  std::string service = "s3";
};

using QueryParameters = std::vector<std::pair<std::string, std::string>>;

struct SignableRequest {
  std::string method;
  std::string path;       // percent-encoded once, as S3 has it; begins with '/'
  QueryParameters query;  // not encoded, in any order
  // All headers to sign, names in lower case; "host" and "x-amz-date" (of AmzDate) are required.
  std::map<std::string, std::string> headers;
  std::string payload_sha256;  // hex
};

enum class Slashes { kKeep, kEncode };
// Percent-encodes everything but [A-Za-z0-9._~-] (and '/').
std::string PercentEncode(const std::string& text, Slashes slashes);

// "a=1&b=" with encoded names and values, sorted: both what is signed and what is sent.
std::string CanonicalQuery(const QueryParameters& query);

// "20130524T000000Z".
std::string AmzDate(absl::Time time);

std::string CanonicalRequest(const SignableRequest& request);
// The value of the header "authorization".
std::string AuthorizationHeader(const SignableRequest& request, const SigningScope& scope,
                                const S3Credentials& credentials);

}  // namespace caldera::store

#endif  // CALDERA_COMMON_STORE_S3_SIGNATURE_H_
