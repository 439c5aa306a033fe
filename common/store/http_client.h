// HTTP/1.1 over libcurl: one request, one answer. http_client.cc is the only source that knows
// curl.
//
// A client keeps the connections of ended requests and uses them again. It knows no retries, no
// signatures and no meaning of a status code: s3_client.h and http_files.h do. Thread rule: Send
// may be called from several threads at once; each call in flight has a connection of its own.
#ifndef CALDERA_COMMON_STORE_HTTP_CLIENT_H_
#define CALDERA_COMMON_STORE_HTTP_CLIENT_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace caldera::store {

enum class Redirects { kRefuse, kFollow };

struct HttpRequest {
  std::string method = {};  // GET, HEAD, PUT, POST or DELETE
  std::string url = {};     // percent-encoded
  std::vector<std::pair<std::string, std::string>> headers = {};
  std::span<const std::byte> body = {};  // of PUT and POST; not owned
  // Where the body of a 2xx answer goes instead of HttpResponse::body; not owned. Empty: nowhere.
  std::span<std::byte> into = {};
  Redirects redirects = Redirects::kRefuse;
};

struct HttpResponse {
  int status = 0;
  std::map<std::string, std::string> headers;  // of the last answer; names in lower case
  std::string body;                            // at most HttpOptions::body_limit bytes
  std::size_t received = 0;                    // bytes in HttpRequest::into
  // The server went on after `into` was full; the rest was not taken.
  enum class Fit { kWhole, kCutOff } fit = Fit::kWhole;

  // The value of a header (lower-case name), "" when absent.
  std::string Header(const std::string& name) const;
};

struct HttpOptions {
  absl::Duration connect_timeout = absl::Seconds(10);
  // A transfer in which nothing moves for so long is given up; whole seconds, at least 1.
  absl::Duration stall_timeout = absl::Seconds(60);
  std::size_t body_limit = std::size_t{64} << 20;
  std::string ca_file = {};  // PEM certificates to trust instead of the system's; "" = the system's
};

class HttpClient {
 public:
  explicit HttpClient(HttpOptions options);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // Any answer of the server is OK, whatever its status code. UNAVAILABLE when there was none or
  // not all of it (nobody listens, a timeout, a connection that broke): the server may have acted
  // or not. UNAUTHENTICATED for a certificate that is not trusted, INVALID_ARGUMENT for a bad URL,
  // RESOURCE_EXHAUSTED for a body over the limit. Messages name method and URL without its query.
  absl::StatusOr<HttpResponse> Send(const HttpRequest& request) const;

 private:
  class Pool;
  const HttpOptions options_;
  const std::unique_ptr<Pool> pool_;
};

// A URL without query, fragment and user: what may stand in messages.
std::string NameOfUrl(const std::string& url);

}  // namespace caldera::store

#endif  // CALDERA_COMMON_STORE_HTTP_CLIENT_H_
