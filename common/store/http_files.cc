#include "common/store/http_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "common/base/clock.h"
#include "common/base/retry.h"
#include "common/base/status.h"
#include "common/base/uuid.h"
#include "common/model/hf_model.h"
#include "common/model/local_files.h"
#include "common/store/manifest.h"
#include "common/store/range_source.h"

namespace caldera::store {
namespace {

using Entries = std::vector<model::FileSet::Entry>;

constexpr std::uint64_t kMaximumIndexBytes = std::uint64_t{256} << 20;
constexpr char kHuggingFace[] = "https://huggingface.co/";
// Beside the weights and the files that tell of them; the list of docs/formats/models.md.
constexpr const char* kOtherFiles[] = {
    "added_tokens.json",    "chat_template.jinja", "generation_config.json",  "merges.txt",
    "tokenizer.json",       "tokenizer.model",     "special_tokens_map.json", "vocab.json",
    "tokenizer_config.json"};

absl::Status StatusOf(const HttpResponse& response, const std::string& name) {
  const int status = response.status;
  const auto with = [&](absl::StatusCode code) {
    return absl::Status(code, fmt::format("{}: the server answers HTTP {}", name, status));
  };
  if (status >= 200 && status < 300) return absl::OkStatus();
  if (status == 404 || status == 410) return with(absl::StatusCode::kNotFound);
  if (status == 401) return with(absl::StatusCode::kUnauthenticated);
  if (status == 403) return with(absl::StatusCode::kPermissionDenied);
  if (status == 408 || status == 429 || status >= 500) return with(absl::StatusCode::kUnavailable);
  return with(absl::StatusCode::kInvalidArgument);
}

// "bytes 0-9/1234", or "bytes */0" of an answer 416.
absl::StatusOr<std::uint64_t> TotalOf(const HttpResponse& response, const std::string& name) {
  const std::string range = response.Header("content-range");
  std::uint64_t total = 0;
  const std::size_t slash = range.find('/');
  if (slash != std::string::npos && absl::SimpleAtoi(range.substr(slash + 1), &total)) {
    return total;
  }
  return base::FailedPrecondition("{}: the server does not answer range requests", name);
}

// Range requests to one server.
class HttpReader {
 public:
  explicit HttpReader(const HttpFilesOptions& options)
      : client_(options.http), token_(options.bearer_token) {
    retry_.initial_backoff = absl::Milliseconds(100);
    retry_.maximum_backoff = absl::Seconds(5);
    retry_.time_limit = options.patience;
    retry_.seed = std::hash<std::string>()(base::NewUuid());
  }

  absl::StatusOr<RangeFacts> Fetch(const std::string& url, std::uint64_t offset,
                                   std::span<std::byte> out) const {
    RangeFacts facts;
    CALDERA_RETURN_IF_ERROR(base::Retry(retry_, clock_, [&]() -> absl::Status {
      CALDERA_ASSIGN_OR_RETURN(facts, TryFetch(url, offset, out));
      return absl::OkStatus();
    }));
    return facts;
  }

  // Asks for the first byte: HEAD would not show whether the server knows ranges.
  absl::StatusOr<RangeFacts> Probe(const std::string& url) const {
    std::byte first{};
    return Fetch(url, 0, std::span(&first, 1));
  }

 private:
  absl::StatusOr<RangeFacts> TryFetch(const std::string& url, std::uint64_t offset,
                                      std::span<std::byte> out) const {
    HttpRequest request{.method = "GET", .url = url};
    request.headers.emplace_back("range",
                                 fmt::format("bytes={}-{}", offset, offset + out.size() - 1));
    request.headers.emplace_back("accept-encoding", "identity");
    if (!token_.empty() && url.starts_with(kHuggingFace)) {
      request.headers.emplace_back("authorization", "Bearer " + token_);
    }
    request.into = out;
    request.redirects = Redirects::kFollow;
    const std::string name = NameOfUrl(url);
    CALDERA_ASSIGN_OR_RETURN(const HttpResponse response, client_.Send(request));
    if (response.status == 416) return EmptyFile(response, name);
    CALDERA_RETURN_IF_ERROR(StatusOf(response, name));
    CALDERA_ASSIGN_OR_RETURN(const std::uint64_t total, TotalOf(response, name));
    if (response.received != out.size()) {
      return base::DataLoss("{}: {} bytes of {} answered", name, response.received, out.size());
    }
    return RangeFacts{total, response.Header("etag")};
  }

  static absl::StatusOr<RangeFacts> EmptyFile(const HttpResponse& response,
                                              const std::string& name) {
    CALDERA_ASSIGN_OR_RETURN(const std::uint64_t total, TotalOf(response, name));
    if (total == 0) return RangeFacts{0, response.Header("etag")};
    return base::DataLoss("{}: has {} bytes now", name, total);
  }

  const HttpClient client_;
  const std::string token_;
  base::RetryOptions retry_;
  mutable base::SystemClock clock_;
};

absl::StatusOr<std::unique_ptr<model::ByteSource>> OpenUrl(std::shared_ptr<const HttpReader> reader,
                                                           const std::string& url) {
  CALDERA_ASSIGN_OR_RETURN(RangeFacts facts, reader->Probe(url));
  const auto fetch = [reader = std::move(reader), url](std::uint64_t offset,
                                                       std::span<std::byte> out) {
    return reader->Fetch(url, offset, out);
  };
  return std::make_unique<RangeSource>(url, std::move(facts), fetch);
}

class HttpFileSet final : public model::FileSet {
 public:
  // `only` is the one file of the set, or empty.
  HttpFileSet(std::shared_ptr<const HttpReader> reader, std::string name, std::string folder,
              std::string only)
      : reader_(std::move(reader)),
        name_(std::move(name)),
        folder_(std::move(folder)),
        only_(std::move(only)) {}

  const std::string& name() const override { return name_; }

  absl::StatusOr<Entries> List() const override {
    base::MutexLock lock(mutex_);
    if (!entries_.empty()) return entries_;
    CALDERA_ASSIGN_OR_RETURN(entries_, MakeList());
    return entries_;
  }

  absl::StatusOr<std::unique_ptr<model::ByteSource>> Open(const std::string& file) const override {
    const bool plain =
        !file.empty() && file != "." && file != ".." && file.find_first_of("/?#%") == file.npos;
    if (!plain || (!only_.empty() && file != only_)) {
      return base::NotFound("{}: no file \"{}\"", name_, file);
    }
    return cache_.Open(file, [this](const std::string& opened) {
      return OpenUrl(reader_, folder_ + "/" + opened);
    });
  }

 private:
  absl::StatusOr<Entries> MakeList() const {
    if (!only_.empty()) return EntriesOf({only_});
    const auto manifest = Open(kManifestFile);
    if (manifest.ok()) return ListCheckpoint(**manifest);
    if (!absl::IsNotFound(manifest.status())) return manifest.status();
    const auto config = Open(model::kConfigFile);
    if (absl::IsNotFound(config.status())) {
      return base::NotFound("{}: neither {} nor {} is there, and it is no .gguf file", name_,
                            kManifestFile, model::kConfigFile);
    }
    CALDERA_RETURN_IF_ERROR(config.status());
    return ListModel();
  }

  absl::StatusOr<Entries> ListCheckpoint(const model::ByteSource& source) const {
    CALDERA_ASSIGN_OR_RETURN(const std::string json, model::ReadText(source, kMaximumIndexBytes));
    CALDERA_ASSIGN_OR_RETURN(const Manifest manifest, ParseManifest(json, source.name()));
    std::set<std::string> names = {kManifestFile, kRunFile};
    for (const auto& [file, info] : manifest.files) names.insert(file);
    return EntriesOf(names);
  }

  absl::StatusOr<Entries> ListModel() const {
    std::set<std::string> names(std::begin(kOtherFiles), std::end(kOtherFiles));
    names.insert({model::kConfigFile, model::kSingleSafetensorsFile});
    const auto index = Open(model::kSafetensorsIndexFile);
    if (index.ok()) {
      names.insert(model::kSafetensorsIndexFile);
      CALDERA_ASSIGN_OR_RETURN(const std::string json,
                               model::ReadText(**index, kMaximumIndexBytes));
      CALDERA_ASSIGN_OR_RETURN(const auto shards,
                               model::ParseSafetensorsIndex(json, (*index)->name()));
      for (const auto& [tensor, file] : shards) names.insert(file);
    } else if (!absl::IsNotFound(index.status())) {
      return index.status();
    }
    return EntriesOf(names);
  }

  // Those of the names that are there.
  absl::StatusOr<Entries> EntriesOf(const std::set<std::string>& names) const {
    Entries entries;
    for (const std::string& name : names) {
      const auto source = Open(name);
      if (absl::IsNotFound(source.status()) && only_.empty()) continue;
      CALDERA_RETURN_IF_ERROR(source.status());
      entries.push_back({name, (*source)->size()});
    }
    return entries;
  }

  const std::shared_ptr<const HttpReader> reader_;
  const std::string name_;
  const std::string folder_;
  const std::string only_;
  const SourceCache cache_;
  mutable base::Mutex mutex_;
  mutable Entries entries_ ABSL_GUARDED_BY(mutex_);  // once they were asked for
};

}  // namespace

bool IsHttpUri(const std::string& uri) {
  return uri.starts_with("http://") || uri.starts_with("https://");
}

absl::Status CheckHttpUri(const std::string& uri) {
  const std::size_t host = uri.find("://") + 3;
  const std::size_t path = uri.find('/', host);
  const bool unclean = std::any_of(uri.begin(), uri.end(), [](char c) {
    return absl::ascii_iscntrl(static_cast<unsigned char>(c)) || c == ' ';
  });
  if (!IsHttpUri(uri) || unclean || path == std::string::npos || path == host) {
    return base::InvalidArgument("\"{}\": expected http(s)://host/path", NameOfUrl(uri));
  }
  if (uri.find_first_of("?#@") != std::string::npos) {
    return base::InvalidArgument(
        "\"{}\": user names, queries and fragments are refused, for they may hold secrets",
        NameOfUrl(uri));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<model::FileSet>> OpenHttpFiles(const std::string& uri,
                                                              const HttpFilesOptions& options) {
  CALDERA_RETURN_IF_ERROR(CheckHttpUri(uri));
  auto reader = std::make_shared<const HttpReader>(options);
  std::string folder = uri;
  while (folder.ends_with('/')) folder.pop_back();
  if (!folder.ends_with(".gguf")) {
    return std::make_unique<HttpFileSet>(std::move(reader), folder, folder, "");
  }
  const std::size_t slash = folder.rfind('/');
  return std::make_unique<HttpFileSet>(std::move(reader), folder, folder.substr(0, slash),
                                       folder.substr(slash + 1));
}

absl::StatusOr<std::unique_ptr<model::ByteSource>> OpenHttpFile(const std::string& uri,
                                                                const HttpFilesOptions& options) {
  CALDERA_RETURN_IF_ERROR(CheckHttpUri(uri));
  return OpenUrl(std::make_shared<const HttpReader>(options), uri);
}

}  // namespace caldera::store
