#include "common/store/s3_client.h"

#include <functional>
#include <utility>

#include "common/base/sha256.h"
#include "common/base/status.h"
#include "common/base/uuid.h"
#include "common/store/s3_xml.h"

namespace caldera::store {
namespace {

HttpOptions WithCaFile(HttpOptions options, const S3Settings& settings) {
  if (options.ca_file.empty()) options.ca_file = settings.ca_file;
  return options;
}

base::RetryOptions RetryOf(const S3ClientOptions& options) {
  base::RetryOptions retry;
  retry.initial_backoff = options.initial_backoff;
  retry.maximum_backoff = options.maximum_backoff;
  retry.time_limit = options.patience;
  retry.seed = std::hash<std::string>()(base::NewUuid());  // so that workers do not come in step
  return retry;
}

// What S3 calls the errors whose status code alone says too little.
absl::StatusCode CodeOfError(const std::string& error) {
  static const std::map<std::string, absl::StatusCode> codes = {
      {"InvalidAccessKeyId", absl::StatusCode::kUnauthenticated},
      {"SignatureDoesNotMatch", absl::StatusCode::kUnauthenticated},
      {"ExpiredToken", absl::StatusCode::kUnauthenticated},
      {"InvalidToken", absl::StatusCode::kUnauthenticated},
      {"RequestTimeTooSkewed", absl::StatusCode::kFailedPrecondition},
      {"QuotaExceeded", absl::StatusCode::kResourceExhausted},
      {"EntityTooLarge", absl::StatusCode::kResourceExhausted},
      {"RequestTimeout", absl::StatusCode::kUnavailable},
      {"OperationAborted", absl::StatusCode::kUnavailable},
      {"ConditionalRequestConflict", absl::StatusCode::kUnavailable},
      {"SlowDown", absl::StatusCode::kUnavailable},
      {"InternalError", absl::StatusCode::kUnavailable},
      {"ServiceUnavailable", absl::StatusCode::kUnavailable},
      // The bytes were damaged on their way: they are sent again.
      {"XAmzContentSHA256Mismatch", absl::StatusCode::kUnavailable},
      {"BadDigest", absl::StatusCode::kUnavailable}};
  const auto found = codes.find(error);
  return found == codes.end() ? absl::StatusCode::kOk : found->second;
}

absl::StatusCode CodeOfStatus(int status) {
  switch (status) {
    case 401:
      return absl::StatusCode::kUnauthenticated;
    case 403:
      return absl::StatusCode::kPermissionDenied;
    case 404:
      return absl::StatusCode::kNotFound;
    case 409:
    case 412:
      return absl::StatusCode::kFailedPrecondition;
    case 416:
      return absl::StatusCode::kOutOfRange;
    case 507:
      return absl::StatusCode::kResourceExhausted;
    case 408:
    case 429:
    case 500:
    case 502:
    case 503:
    case 504:
      return absl::StatusCode::kUnavailable;
    default:
      return absl::StatusCode::kInvalidArgument;
  }
}

// The body of an answer to PUT or POST may tell of an error although the status is 200: the server
// had begun to answer before it knew.
absl::Status StatusOf(const HttpResponse& response, const S3Request& request) {
  const bool success = response.status >= 200 && response.status < 300;
  const bool may_deceive = request.method == "PUT" || request.method == "POST";
  if (success && !(may_deceive && !response.body.empty())) return absl::OkStatus();
  const S3Error error = ParseS3Error(response.body);
  if (success && error.code.empty()) return absl::OkStatus();
  absl::StatusCode code = CodeOfError(error.code);
  if (code == absl::StatusCode::kOk) {
    code = success ? absl::StatusCode::kUnavailable : CodeOfStatus(response.status);
  }
  return absl::Status(
      code, fmt::format("{}: {}: {} (HTTP {})", request.location.Uri(),
                        error.code.empty() ? request.method : error.code,
                        error.message.empty() ? "refused" : error.message, response.status));
}

}  // namespace

S3Client::S3Client(S3Settings settings, S3ClientOptions options)
    : settings_(std::move(settings)),
      retry_(RetryOf(options)),
      http_(WithCaFile(options.http, settings_)) {}

std::string S3Client::HostOf(const S3Location& location) const {
  const std::string host = settings_.endpoint.substr(settings_.endpoint.find("://") + 3);
  return settings_.addressing == S3Addressing::kPath ? host : location.bucket + "." + host;
}

std::string S3Client::PathOf(const S3Location& location) const {
  const std::string bucket =
      settings_.addressing == S3Addressing::kPath ? "/" + location.bucket : "";
  return bucket + "/" + PercentEncode(location.key, Slashes::kKeep);
}

absl::StatusOr<HttpResponse> S3Client::Attempt(const S3Request& request,
                                               const std::string& body_sha256) const {
  SignableRequest signable{request.method, PathOf(request.location), request.query, request.headers,
                           body_sha256};
  const std::string host = HostOf(request.location);
  signable.headers["host"] = host;
  signable.headers["x-amz-date"] = AmzDate(clock_.Now());
  signable.headers["x-amz-content-sha256"] = body_sha256;
  if (!settings_.credentials.session_token.empty()) {
    signable.headers["x-amz-security-token"] = settings_.credentials.session_token;
  }
  HttpRequest http;
  http.method = request.method;
  const std::string query = CanonicalQuery(request.query);
  const std::string scheme = settings_.endpoint.substr(0, settings_.endpoint.find("://") + 3);
  http.url = scheme + host + signable.path + (query.empty() ? "" : "?" + query);
  http.headers.assign(signable.headers.begin(), signable.headers.end());
  http.headers.emplace_back("authorization", AuthorizationHeader(signable, {settings_.region, "s3"},
                                                                 settings_.credentials));
  http.body = request.body;
  http.into = request.into;
  CALDERA_ASSIGN_OR_RETURN(HttpResponse response, http_.Send(http));
  CALDERA_RETURN_IF_ERROR(StatusOf(response, request));
  return response;
}

absl::StatusOr<S3Response> S3Client::Call(const S3Request& request) const {
  const std::string sha256 =
      request.body_sha256.empty() ? base::Sha256Hex(request.body) : request.body_sha256;
  base::RetryOptions retry = retry_;
  if (request.attempts == Attempts::kOnce) retry.maximum_attempts = 1;
  S3Response result;
  result.attempts = 0;
  CALDERA_RETURN_IF_ERROR(base::Retry(retry, clock_, [&]() -> absl::Status {
    ++result.attempts;
    CALDERA_ASSIGN_OR_RETURN(result.http, Attempt(request, sha256));
    return absl::OkStatus();
  }));
  return result;
}

}  // namespace caldera::store
