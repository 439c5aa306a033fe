#include "common/store/s3_multipart.h"

#include <fmt/format.h>

#include "common/base/status.h"

namespace caldera::store {
namespace {

QueryParameters PartQuery(const MultipartUpload& upload, int number) {
  return {{"partNumber", std::to_string(number)}, {"uploadId", upload.id}};
}

absl::Status AbortById(const S3Client& client, const S3Location& location, const std::string& id,
                       Attempts attempts) {
  S3Request request{.method = "DELETE", .location = location, .query = {{"uploadId", id}}};
  request.attempts = attempts;
  const absl::Status status = client.Call(request).status();
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

}  // namespace

absl::StatusOr<MultipartUpload> CreateUpload(const S3Client& client, const S3Location& location) {
  CALDERA_ASSIGN_OR_RETURN(
      const S3Response response,
      client.Call({.method = "POST", .location = location, .query = {{"uploads", ""}}}));
  MultipartUpload upload{location, "", MultipartUpload::Twins::kNone};
  CALDERA_ASSIGN_OR_RETURN(upload.id, ParseChild(response.http.body, "UploadId"));
  if (response.attempts > 1) upload.twins = MultipartUpload::Twins::kPossible;
  return upload;
}

absl::StatusOr<std::string> UploadPart(const S3Client& client, const MultipartUpload& upload,
                                       int number, std::span<const std::byte> bytes) {
  S3Request request{
      .method = "PUT", .location = upload.location, .query = PartQuery(upload, number)};
  request.body = bytes;
  // TLS protects the bytes on their way: no need for both ends to hash them once more.
  const bool encrypted = client.settings().endpoint.starts_with("https://");
  if (encrypted) request.body_sha256 = kUnsignedPayload;
  CALDERA_ASSIGN_OR_RETURN(const S3Response response, client.Call(request));
  const std::string etag = response.http.Header("etag");
  if (!etag.empty()) return etag;
  return base::DataLoss("{}: part {} was answered without an ETag", upload.location.Uri(), number);
}

absl::StatusOr<std::string> UploadPartCopy(const S3Client& client, const MultipartUpload& upload,
                                           int number, const PartOfObject& part) {
  const std::string source =
      "/" + part.from.bucket + "/" + PercentEncode(part.from.key, Slashes::kKeep);
  S3Request request{
      .method = "PUT", .location = upload.location, .query = PartQuery(upload, number)};
  request.headers = {
      {"x-amz-copy-source", source},
      {"x-amz-copy-source-range", fmt::format("bytes={}-{}", part.begin, part.end - 1)}};
  CALDERA_ASSIGN_OR_RETURN(const S3Response response, client.Call(request));
  return ParseChild(response.http.body, "ETag");
}

absl::Status CompleteUpload(const S3Client& client, const MultipartUpload& upload,
                            const std::vector<std::string>& etags, std::uint64_t size) {
  const std::string xml = CompleteUploadXml(etags);
  S3Request request{
      .method = "POST", .location = upload.location, .query = {{"uploadId", upload.id}}};
  request.headers["content-type"] = "application/xml";
  request.body = std::as_bytes(std::span(xml));
  const absl::Status status = client.Call(request).status();
  if (!absl::IsNotFound(status)) return status;
  const auto facts = HeadObject(client, upload.location);
  return facts.ok() && facts->size == size ? absl::OkStatus() : status;
}

absl::Status AbortUpload(const S3Client& client, const MultipartUpload& upload, Attempts attempts) {
  const absl::Status status = AbortById(client, upload.location, upload.id, attempts);
  if (!status.ok() || upload.twins == MultipartUpload::Twins::kNone) return status;
  CALDERA_ASSIGN_OR_RETURN(const auto uploads, ListUploads(client, upload.location, 1000));
  for (const MultipartUpload& twin : uploads) {
    if (twin.location.key != upload.location.key) continue;
    CALDERA_RETURN_IF_ERROR(AbortById(client, twin.location, twin.id, attempts));
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> UploadIsOpen(const S3Client& client, const MultipartUpload& upload) {
  S3Request request{.method = "GET", .location = upload.location};
  request.query = {{"uploadId", upload.id}, {"max-parts", "1"}};
  const absl::Status status = client.Call(request).status();
  if (absl::IsNotFound(status)) return false;
  CALDERA_RETURN_IF_ERROR(status);
  return true;
}

absl::StatusOr<std::vector<MultipartUpload>> ListUploads(const S3Client& client,
                                                         const S3Location& prefix, int page_size) {
  std::vector<MultipartUpload> uploads;
  S3UploadPage page;
  do {
    S3Request request{.method = "GET", .location = {prefix.bucket, ""}};
    request.query = {
        {"uploads", ""}, {"prefix", prefix.key}, {"max-uploads", std::to_string(page_size)}};
    if (!page.next_key.empty()) {
      request.query.emplace_back("key-marker", page.next_key);
      request.query.emplace_back("upload-id-marker", page.next_id);
    }
    CALDERA_ASSIGN_OR_RETURN(const S3Response response, client.Call(request));
    CALDERA_ASSIGN_OR_RETURN(page, ParseUploadPage(response.http.body));
    for (const S3Upload& upload : page.uploads) {
      uploads.push_back({{prefix.bucket, upload.key}, upload.id, MultipartUpload::Twins::kNone});
    }
  } while (!page.next_key.empty());
  return uploads;
}

}  // namespace caldera::store
