#include "common/store/s3_objects.h"

#include <fmt/format.h>

#include <algorithm>
#include <future>
#include <limits>
#include <utility>

#include "absl/strings/numbers.h"
#include "common/base/sha256.h"
#include "common/base/status.h"
#include "common/store/s3_multipart.h"

namespace caldera::store {
namespace {

constexpr std::uint64_t kDigestPiece = std::uint64_t{8} << 20;

// The size after the '/' of "bytes 0-9/1234".
absl::StatusOr<std::uint64_t> TotalOf(const HttpResponse& response, const std::string& name) {
  const std::string range = response.Header("content-range");
  std::uint64_t total = 0;
  const std::size_t slash = range.find('/');
  if (slash != std::string::npos && absl::SimpleAtoi(range.substr(slash + 1), &total)) {
    return total;
  }
  return base::DataLoss("{}: the S3 server answered a range without its size", name);
}

absl::StatusOr<std::vector<std::byte>> ReadPiece(const S3Client& client, const S3Location& location,
                                                 std::uint64_t offset, std::uint64_t size) {
  std::vector<std::byte> piece(static_cast<std::size_t>(std::min(kDigestPiece, size - offset)));
  if (piece.empty()) return piece;
  CALDERA_RETURN_IF_ERROR(GetRange(client, location, offset, piece).status());
  return piece;
}

absl::Status CopyAtOnce(const S3Client& client, const CopyJob& job) {
  S3Request request{.method = "PUT", .location = job.to};
  request.headers["x-amz-copy-source"] =
      "/" + job.from.bucket + "/" + PercentEncode(job.from.key, Slashes::kKeep);
  return client.Call(request).status();
}

absl::StatusOr<std::vector<std::string>> CopyParts(const S3Client& client, const CopyJob& job,
                                                   std::uint64_t part_bytes,
                                                   const MultipartUpload& upload) {
  std::vector<std::string> etags;
  for (std::uint64_t begin = 0; begin < job.size; begin += part_bytes) {
    const PartOfObject part{job.from, begin, std::min(job.size, begin + part_bytes)};
    const int number = static_cast<int>(etags.size()) + 1;
    CALDERA_ASSIGN_OR_RETURN(std::string etag, UploadPartCopy(client, upload, number, part));
    etags.push_back(std::move(etag));
  }
  return etags;
}

absl::Status CopyByParts(const S3Client& client, const CopyJob& job, std::uint64_t part_bytes) {
  CALDERA_ASSIGN_OR_RETURN(const MultipartUpload upload, CreateUpload(client, job.to));
  const auto etags = CopyParts(client, job, part_bytes, upload);
  const absl::Status status =
      etags.ok() ? CompleteUpload(client, upload, *etags, job.size) : etags.status();
  if (!status.ok() || upload.twins == MultipartUpload::Twins::kPossible) {
    AbortUpload(client, upload, Attempts::kOnce).IgnoreError();
  }
  return status;
}

}  // namespace

absl::StatusOr<S3ObjectFacts> HeadObject(const S3Client& client, const S3Location& location) {
  CALDERA_ASSIGN_OR_RETURN(const S3Response response,
                           client.Call({.method = "HEAD", .location = location}));
  S3ObjectFacts facts{0, response.http.Header("etag")};
  if (absl::SimpleAtoi(response.http.Header("content-length"), &facts.size)) return facts;
  return base::DataLoss("{}: the S3 server tells no size", location.Uri());
}

absl::StatusOr<std::string> GetObject(const S3Client& client, const S3Location& location) {
  CALDERA_ASSIGN_OR_RETURN(S3Response response,
                           client.Call({.method = "GET", .location = location}));
  return std::move(response.http.body);
}

absl::StatusOr<S3ObjectFacts> GetRange(const S3Client& client, const S3Location& location,
                                       std::uint64_t offset, std::span<std::byte> out) {
  const std::string name = location.Uri();
  if (out.size() > std::numeric_limits<std::uint64_t>::max() - offset) {
    return base::OutOfRange("{}: {} bytes from {} asked for", name, out.size(), offset);
  }
  S3Request request{.method = "GET", .location = location};
  request.headers["range"] = fmt::format("bytes={}-{}", offset, offset + out.size() - 1);
  request.into = out;
  CALDERA_ASSIGN_OR_RETURN(const S3Response response, client.Call(request));
  CALDERA_ASSIGN_OR_RETURN(const std::uint64_t total, TotalOf(response.http, name));
  if (offset > total || out.size() > total - offset) {
    return base::OutOfRange("{}: {} bytes from {} asked for, object has {}", name, out.size(),
                            offset, total);
  }
  if (response.http.received != out.size()) {
    return base::DataLoss("{}: {} bytes of {} answered", name, response.http.received, out.size());
  }
  return S3ObjectFacts{total, response.http.Header("etag")};
}

absl::StatusOr<std::string> DigestOfObject(const S3Client& client, const S3Location& location,
                                           std::uint64_t size) {
  base::Sha256 digest;
  auto next = ReadPiece(client, location, 0, size);
  for (std::uint64_t offset = 0; offset < size;) {
    CALDERA_RETURN_IF_ERROR(next.status());
    const std::vector<std::byte> piece = *std::move(next);
    offset += piece.size();
    auto ahead = std::async(std::launch::async, ReadPiece, std::cref(client), std::cref(location),
                            offset, size);
    digest.Update(piece);
    next = ahead.get();
  }
  return digest.HexDigest();
}

absl::Status PutObject(const S3Client& client, const S3Location& location,
                       std::span<const std::byte> bytes, IfPresent if_present) {
  S3Request request{.method = "PUT", .location = location};
  if (if_present == IfPresent::kKeep) request.headers["if-none-match"] = "*";
  request.body = bytes;
  const auto response = client.Call(request);
  if (if_present == IfPresent::kKeep && absl::IsFailedPrecondition(response.status())) {
    return base::AlreadyExists("{}: exists", location.Uri());
  }
  return response.status();
}

absl::Status DeleteObject(const S3Client& client, const S3Location& location) {
  const absl::Status status = client.Call({.method = "DELETE", .location = location}).status();
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

absl::Status CopyObject(const S3Client& client, const CopyJob& job, const CopyLimits& limits) {
  if (job.size <= limits.limit_bytes) return CopyAtOnce(client, job);
  return CopyByParts(client, job, limits.part_bytes);
}

absl::StatusOr<S3ListPage> ListObjects(const S3Client& client, const std::string& bucket,
                                       const ListOptions& options) {
  S3ListPage all;
  std::string token;
  do {
    S3Request request{.method = "GET", .location = {bucket, ""}};
    request.query = {{"list-type", "2"},
                     {"max-keys", std::to_string(options.page_size)},
                     {"prefix", options.prefix}};
    if (!options.delimiter.empty()) request.query.emplace_back("delimiter", options.delimiter);
    if (!token.empty()) request.query.emplace_back("continuation-token", token);
    CALDERA_ASSIGN_OR_RETURN(const S3Response response, client.Call(request));
    CALDERA_ASSIGN_OR_RETURN(S3ListPage page, ParseListPage(response.http.body));
    all.entries.insert(all.entries.end(), page.entries.begin(), page.entries.end());
    all.prefixes.insert(all.prefixes.end(), page.prefixes.begin(), page.prefixes.end());
    token = page.next;
  } while (!token.empty() && all.entries.size() < options.maximum);
  return all;
}

}  // namespace caldera::store
