#include "common/store/http_client.h"

#include <curl/curl.h>

#include <algorithm>
#include <cstring>
#include <string_view>

#include "absl/strings/ascii.h"
#include "common/base/mutex.h"
#include "common/base/status.h"

namespace caldera::store {
namespace {

struct FreeHandle {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
};
using Handle = std::unique_ptr<CURL, FreeHandle>;

struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using HeaderList = std::unique_ptr<curl_slist, FreeList>;

constexpr long kMaximumRedirects = 8;

// A request under way: what the callbacks of curl work on.
struct Transfer {
  const HttpRequest& request;
  const HttpOptions& options;
  CURL* handle;
  HttpResponse response;
  std::size_t sent = 0;
  enum class Body { kFits, kTooLong } body = Body::kFits;

  long Status() const {
    long status = 0;
    curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
    return status;
  }
};

std::size_t OnHeader(char* data, std::size_t, std::size_t count, void* context) {
  auto& response = static_cast<Transfer*>(context)->response;
  const std::string_view line(data, count);
  if (line.starts_with("HTTP/")) response.headers.clear();  // of a redirect before this answer
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return count;
  std::string value(line.substr(colon + 1));
  absl::StripAsciiWhitespace(&value);
  std::string name(line.substr(0, colon));
  absl::AsciiStrToLower(&name);
  response.headers[name] = value;
  return count;
}

std::size_t OnBody(char* data, std::size_t, std::size_t count, void* context) {
  auto& transfer = *static_cast<Transfer*>(context);
  HttpResponse& response = transfer.response;
  const std::span<std::byte> into = transfer.request.into;
  const long status = transfer.Status();
  if (into.empty() || status < 200 || status >= 300) {
    if (count > transfer.options.body_limit - response.body.size()) {
      transfer.body = Transfer::Body::kTooLong;
      return 0;
    }
    response.body.append(data, count);
    return count;
  }
  const std::size_t taken = std::min(count, into.size() - response.received);
  std::memcpy(into.data() + response.received, data, taken);
  response.received += taken;
  if (taken < count) response.fit = HttpResponse::Fit::kCutOff;
  return taken;
}

std::size_t OnRead(char* data, std::size_t, std::size_t room, void* context) {
  auto& transfer = *static_cast<Transfer*>(context);
  const auto body = transfer.request.body.subspan(transfer.sent);
  const std::size_t count = std::min(room, body.size());
  std::memcpy(data, body.data(), count);
  transfer.sent += count;
  return count;
}

// curl sends a body again when a connection it had kept turns out to be closed.
int OnSeek(void* context, curl_off_t offset, int origin) {
  if (origin != SEEK_SET) return CURL_SEEKFUNC_CANTSEEK;
  static_cast<Transfer*>(context)->sent = static_cast<std::size_t>(offset);
  return CURL_SEEKFUNC_OK;
}

void Append(HeaderList& list, const std::string& line) {
  curl_slist* longer = curl_slist_append(list.get(), line.c_str());
  (void)list.release();
  list.reset(longer);
}

HeaderList MakeHeaders(const HttpRequest& request) {
  HeaderList list;
  for (const auto& [name, value] : request.headers) Append(list, name + ": " + value);
  Append(list, "Expect:");  // curl would wait a second for servers that do not know it
  return list;
}

void SetBody(const HttpRequest& request, Transfer& transfer, CURL* handle) {
  if (request.method == "HEAD") curl_easy_setopt(handle, CURLOPT_NOBODY, 1L);
  if (request.method == "PUT" || request.method == "POST") {
    curl_easy_setopt(handle, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(handle, CURLOPT_INFILESIZE_LARGE,
                     static_cast<curl_off_t>(request.body.size()));
    curl_easy_setopt(handle, CURLOPT_READFUNCTION, OnRead);
    curl_easy_setopt(handle, CURLOPT_READDATA, &transfer);
    curl_easy_setopt(handle, CURLOPT_SEEKFUNCTION, OnSeek);
    curl_easy_setopt(handle, CURLOPT_SEEKDATA, &transfer);
    curl_easy_setopt(handle, CURLOPT_UPLOAD_BUFFERSIZE, 1L << 20);
  }
  if (request.method == "POST" || request.method == "DELETE") {
    curl_easy_setopt(handle, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  }
}

void SetLimits(const HttpRequest& request, const HttpOptions& options, CURL* handle) {
  curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(handle, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
  curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
  const bool secure = request.url.starts_with("https://");
  curl_easy_setopt(handle, CURLOPT_REDIR_PROTOCOLS_STR, secure ? "https" : "http,https");
  curl_easy_setopt(handle, CURLOPT_FOLLOWLOCATION,
                   request.redirects == Redirects::kFollow ? 1L : 0L);
  curl_easy_setopt(handle, CURLOPT_MAXREDIRS, kMaximumRedirects);
  curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS,
                   static_cast<long>(absl::ToInt64Milliseconds(options.connect_timeout)));
  curl_easy_setopt(handle, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(handle, CURLOPT_LOW_SPEED_TIME,
                   static_cast<long>(absl::ToInt64Seconds(options.stall_timeout)));
  curl_easy_setopt(handle, CURLOPT_BUFFERSIZE, 256L << 10);
  if (!options.ca_file.empty()) curl_easy_setopt(handle, CURLOPT_CAINFO, options.ca_file.c_str());
}

void SetCallbacks(Transfer& transfer, CURL* handle) {
  curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, OnHeader);
  curl_easy_setopt(handle, CURLOPT_HEADERDATA, &transfer);
  curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, OnBody);
  curl_easy_setopt(handle, CURLOPT_WRITEDATA, &transfer);
}

absl::Status StatusOf(CURLcode code, const std::string& detail, const HttpRequest& request) {
  const std::string what = request.method + " " + NameOfUrl(request.url);
  const std::string why = detail.empty() ? curl_easy_strerror(code) : detail;
  switch (code) {
    case CURLE_OK:
      return absl::OkStatus();
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_TOO_MANY_REDIRECTS:
      return base::InvalidArgument("{}: {}", what, why);
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
      return absl::UnauthenticatedError(what + ": " + why);
    case CURLE_OUT_OF_MEMORY:
      return base::ResourceExhausted("{}: {}", what, why);
    default:
      return base::Unavailable("{}: {}", what, why);
  }
}

}  // namespace

// Handles that are not in use; each keeps its connections.
class HttpClient::Pool {
 public:
  Handle Take() {
    base::MutexLock lock(mutex_);
    if (idle_.empty()) return Handle(curl_easy_init());
    Handle handle = std::move(idle_.back());
    idle_.pop_back();
    return handle;
  }
  void GiveBack(Handle handle) {
    curl_easy_reset(handle.get());
    base::MutexLock lock(mutex_);
    idle_.push_back(std::move(handle));
  }

 private:
  base::Mutex mutex_;
  std::vector<Handle> idle_ ABSL_GUARDED_BY(mutex_);
};

std::string HttpResponse::Header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? std::string() : found->second;
}

HttpClient::HttpClient(HttpOptions options)
    : options_(std::move(options)), pool_(std::make_unique<Pool>()) {
  static const CURLcode started = curl_global_init(CURL_GLOBAL_DEFAULT);
  (void)started;
}

HttpClient::~HttpClient() = default;

absl::StatusOr<HttpResponse> HttpClient::Send(const HttpRequest& request) const {
  Handle handle = pool_->Take();
  if (handle == nullptr) return base::ResourceExhausted("no memory for a request");
  Transfer transfer{request, options_, handle.get(), {}, 0, Transfer::Body::kFits};
  char detail[CURL_ERROR_SIZE] = {};
  curl_easy_setopt(handle.get(), CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(handle.get(), CURLOPT_ERRORBUFFER, detail);
  SetLimits(request, options_, handle.get());
  SetBody(request, transfer, handle.get());
  SetCallbacks(transfer, handle.get());
  const HeaderList headers = MakeHeaders(request);
  curl_easy_setopt(handle.get(), CURLOPT_HTTPHEADER, headers.get());
  const CURLcode code = curl_easy_perform(handle.get());
  transfer.response.status = static_cast<int>(transfer.Status());
  pool_->GiveBack(std::move(handle));
  if (transfer.body == Transfer::Body::kTooLong) {
    return base::ResourceExhausted("{} {}: an answer of more than {} bytes", request.method,
                                   NameOfUrl(request.url), options_.body_limit);
  }
  const bool cut_off = transfer.response.fit == HttpResponse::Fit::kCutOff;
  if (!cut_off) CALDERA_RETURN_IF_ERROR(StatusOf(code, detail, request));
  return std::move(transfer.response);
}

std::string NameOfUrl(const std::string& url) {
  std::string name = url.substr(0, url.find_first_of("?#"));
  const std::size_t scheme = name.find("://");
  const std::size_t host = scheme == std::string::npos ? 0 : scheme + 3;
  const std::size_t slash = std::min(name.find('/', host), name.size());
  const std::size_t at = name.rfind('@', slash);
  if (at != std::string::npos && at >= host && at < slash) name.erase(host, at + 1 - host);
  return name;
}

}  // namespace caldera::store
