#include "common/store/s3_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/sha256.h"
#include "common/base/status.h"
#include "common/store/s3_multipart.h"
#include "common/store/s3_objects.h"
#include "tests/common/store/http_test_server.h"

namespace caldera::store {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;
using Way = TestAnswer::Way;

std::string ErrorXml(const std::string& code) {
  return "<?xml version=\"1.0\"?><Error><Code>" + code + "</Code><Message>words</Message></Error>";
}

S3Client MakeClient(const HttpTestServer& server, S3Addressing addressing = S3Addressing::kPath) {
  S3Settings settings;
  settings.credentials = {"AKID", "hush", "session"};
  settings.region = "here";
  settings.endpoint = server.url();
  settings.addressing = addressing;
  S3ClientOptions options;
  options.initial_backoff = absl::Milliseconds(1);
  options.patience = absl::Seconds(10);
  options.http.stall_timeout = absl::Seconds(1);
  return S3Client(settings, options);
}

const S3Location kObject{"bucket", "a b/c"};

TEST(S3Client, SignsRequestsAndNeverSendsTheSecret) {
  HttpTestServer server(InTurn({{.status = 200, .body = "bytes"}}));
  EXPECT_EQ(GetObject(MakeClient(server), kObject).value(), "bytes");
  auto request = server.requests().front();
  EXPECT_EQ(request.target, "/bucket/a%20b/c");
  EXPECT_THAT(request.headers["authorization"], StartsWith("AWS4-HMAC-SHA256 Credential=AKID/"));
  EXPECT_THAT(request.headers["authorization"], HasSubstr("/here/s3/aws4_request"));
  EXPECT_EQ(request.headers["x-amz-content-sha256"], base::Sha256Hex(""));
  EXPECT_EQ(request.headers["x-amz-security-token"], "session");
  for (const auto& [name, value] : request.headers) EXPECT_THAT(value, Not(HasSubstr("hush")));
}

TEST(S3Client, PutsTheBucketIntoTheHostWhereThatIsAsked) {
  HttpTestServer server(InTurn({{.status = 200}}));
  S3Settings settings;
  settings.credentials = {"AKID", "hush", ""};
  settings.endpoint = server.url();
  settings.endpoint.replace(settings.endpoint.find("127.0.0.1"), 9, "localhost");
  settings.addressing = S3Addressing::kVirtualHost;
  ASSERT_TRUE(GetObject(S3Client(settings, {}), kObject).ok());
  auto request = server.requests().front();
  EXPECT_EQ(request.target, "/a%20b/c");
  EXPECT_THAT(request.headers["host"], StartsWith("bucket.localhost:"));
}

TEST(S3Client, SendsAgainWhatMayBeSentAgain) {
  HttpTestServer server(InTurn({{.status = 500, .body = ErrorXml("InternalError")},
                                {.status = 503, .body = ErrorXml("SlowDown")},
                                {.status = 429},
                                {.status = 502},
                                {.status = 504},
                                {.status = 400, .body = ErrorXml("RequestTimeout")},
                                {.way = Way::kDrop},
                                {.status = 200, .body = "12", .way = Way::kBreak},
                                {.way = Way::kHang},
                                {.status = 200}}));
  const std::string body = "body";
  const absl::Status status =
      PutObject(MakeClient(server), kObject, std::as_bytes(std::span(body)), IfPresent::kReplace);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(server.requests().size(), 10U);
  for (const TestRequest& request : server.requests()) EXPECT_EQ(request.body, body);
}

TEST(S3Client, GivesUpWhenItsPatienceIsOver) {
  HttpTestServer server(InTurn({{.status = 503, .body = ErrorXml("SlowDown")}}));
  S3Settings settings;
  settings.credentials = {"AKID", "hush", ""};
  settings.endpoint = server.url();
  S3ClientOptions options;
  options.initial_backoff = absl::Milliseconds(1);
  options.patience = absl::Milliseconds(50);
  const absl::Status status = GetObject(S3Client(settings, options), kObject).status();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_THAT(base::MessageOf(status), HasSubstr("s3://bucket/a b/c: SlowDown: words (HTTP 503)"));
  EXPECT_GT(server.requests().size(), 1U);
}

TEST(S3Client, OneAttemptIsOne) {
  HttpTestServer server(InTurn({{.status = 503}}));
  S3Request request{.method = "GET", .location = kObject};
  request.attempts = Attempts::kOnce;
  EXPECT_TRUE(absl::IsUnavailable(MakeClient(server).Call(request).status()));
  EXPECT_EQ(server.requests().size(), 1U);
}

TEST(S3Client, TellsErrorsApart) {
  const std::vector<std::tuple<int, std::string, absl::StatusCode>> cases = {
      {403, "InvalidAccessKeyId", absl::StatusCode::kUnauthenticated},
      {403, "SignatureDoesNotMatch", absl::StatusCode::kUnauthenticated},
      {400, "ExpiredToken", absl::StatusCode::kUnauthenticated},
      {403, "AccessDenied", absl::StatusCode::kPermissionDenied},
      {403, "RequestTimeTooSkewed", absl::StatusCode::kFailedPrecondition},
      {403, "QuotaExceeded", absl::StatusCode::kResourceExhausted},
      {507, "", absl::StatusCode::kResourceExhausted},
      {404, "NoSuchKey", absl::StatusCode::kNotFound},
      {404, "NoSuchBucket", absl::StatusCode::kNotFound},
      {412, "PreconditionFailed", absl::StatusCode::kFailedPrecondition},
      {416, "InvalidRange", absl::StatusCode::kOutOfRange},
      {400, "EntityTooLarge", absl::StatusCode::kResourceExhausted},
      {400, "AuthorizationHeaderMalformed", absl::StatusCode::kInvalidArgument},
      {301, "PermanentRedirect", absl::StatusCode::kInvalidArgument}};
  for (const auto& [http, code, expected] : cases) {
    HttpTestServer server(InTurn({{.status = http, .body = code.empty() ? "" : ErrorXml(code)}}));
    const absl::Status status = GetObject(MakeClient(server), kObject).status();
    EXPECT_EQ(status.code(), expected) << code << ": " << status;
    EXPECT_THAT(base::MessageOf(status), HasSubstr("s3://bucket/a b/c: "));
    EXPECT_THAT(base::MessageOf(status), HasSubstr(code));
    EXPECT_EQ(server.requests().size(), 1U);
  }
}

TEST(S3Client, AnErrorMayComeWithStatus200) {
  HttpTestServer server(InTurn({{.status = 200, .body = ErrorXml("InternalError")},
                                {.status = 200, .body = "<CopyObjectResult/>"}}));
  EXPECT_TRUE(CopyObject(MakeClient(server), {kObject, {"bucket", "d"}, 3}, {}).ok());
  EXPECT_EQ(server.requests().size(), 2U);
  EXPECT_EQ(server.requests().back().headers["x-amz-copy-source"], "/bucket/a%20b/c");
}

TEST(S3Objects, AConditionalPutTellsWhatIsThere) {
  HttpTestServer server(InTurn({{.status = 412, .body = ErrorXml("PreconditionFailed")}}));
  const absl::Status status = PutObject(MakeClient(server), kObject, {}, IfPresent::kKeep);
  EXPECT_TRUE(absl::IsAlreadyExists(status)) << status;
  EXPECT_EQ(server.requests().front().headers["if-none-match"], "*");
}

TEST(S3Objects, ARangeThatEndsEarlyIsNeitherTakenNorMisread) {
  HttpTestServer server(
      InTurn({{.status = 206, .body = "abc", .headers = {{"content-range", "bytes 7-9/10"}}},
              {.status = 206, .body = "abc", .headers = {{"content-range", "bytes 0-4/10"}}},
              {.status = 200, .body = "abcde"}}));
  const S3Client client = MakeClient(server);
  std::vector<std::byte> out(5);
  EXPECT_TRUE(absl::IsOutOfRange(GetRange(client, kObject, 7, out).status()));
  EXPECT_TRUE(absl::IsDataLoss(GetRange(client, kObject, 0, out).status()));
  EXPECT_TRUE(absl::IsDataLoss(GetRange(client, kObject, 0, out).status()));
  EXPECT_TRUE(absl::IsOutOfRange(GetRange(client, kObject, ~std::uint64_t{0}, out).status()));
}

TEST(S3Objects, ListsPageByPage) {
  HttpTestServer server(InTurn(
      {{.body = "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>t/1"
                "</NextContinuationToken><Contents><Key>p/a&amp;b</Key><Size>3</Size></Contents>"
                "</ListBucketResult>"},
       {.body = "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>p/c</Key>"
                "<Size>4294967296</Size></Contents><CommonPrefixes><Prefix>p/d/</Prefix>"
                "</CommonPrefixes></ListBucketResult>"},
       {.body = "<html>"}}));
  const S3Client client = MakeClient(server);
  const ListOptions options{.prefix = "p/", .delimiter = "/", .page_size = 1};
  const auto page = ListObjects(client, "bucket", options);
  ASSERT_TRUE(page.ok()) << page.status();
  ASSERT_EQ(page->entries.size(), 2U);
  EXPECT_EQ(page->entries[0].key, "p/a&b");
  EXPECT_EQ(page->entries[1].size, std::uint64_t{1} << 32);
  EXPECT_THAT(page->prefixes, ElementsAre("p/d/"));
  EXPECT_EQ(server.requests()[1].target,
            "/bucket/?continuation-token=t%2F1&delimiter=%2F&list-type=2&max-keys=1&prefix=p%2F");
  EXPECT_TRUE(absl::IsDataLoss(ListObjects(client, "bucket", options).status()));
}

TEST(S3Multipart, ACompletionWhoseAnswerWasLostIsOne) {
  HttpTestServer server([sent = 0](const TestRequest& request) mutable -> TestAnswer {
    if (request.method == "HEAD") return {.status = 200, .body = "12345"};
    if (sent++ == 0) return {.way = Way::kDrop};
    return {.status = 404, .body = ErrorXml("NoSuchUpload")};
  });
  const S3Client client = MakeClient(server);
  const MultipartUpload upload{kObject, "id", MultipartUpload::Twins::kNone};
  EXPECT_TRUE(CompleteUpload(client, upload, {"\"e1\"", "\"e2\""}, 5).ok());
  EXPECT_THAT(server.requests().front().body,
              HasSubstr("<Part><PartNumber>2</PartNumber><ETag>\"e2\"</ETag></Part>"));
  EXPECT_TRUE(absl::IsNotFound(CompleteUpload(client, upload, {"\"e1\""}, 6)));
}

TEST(S3Multipart, AnUploadBegunTwiceIsAbortedTwice) {
  HttpTestServer server([created = 0](const TestRequest& request) mutable -> TestAnswer {
    if (request.method == "POST" && created++ == 0) return {.way = Way::kDrop};
    if (request.method == "POST") return {.body = "<X><UploadId>second</UploadId></X>"};
    if (request.method == "DELETE") return {.status = 204};
    return {.body =
                "<ListMultipartUploadsResult><Upload><Key>a b/c</Key><UploadId>first"
                "</UploadId></Upload><Upload><Key>a b/cd</Key><UploadId>other</UploadId>"
                "</Upload></ListMultipartUploadsResult>"};
  });
  const S3Client client = MakeClient(server);
  const auto upload = CreateUpload(client, kObject);
  ASSERT_TRUE(upload.ok()) << upload.status();
  ASSERT_TRUE(AbortUpload(client, *upload, Attempts::kUntilPatienceEnds).ok());
  std::vector<std::string> aborted;
  for (const TestRequest& request : server.requests()) {
    if (request.method == "DELETE") aborted.push_back(request.target);
  }
  EXPECT_THAT(aborted,
              ElementsAre("/bucket/a%20b/c?uploadId=second", "/bucket/a%20b/c?uploadId=first"));
}

TEST(S3Multipart, CopiesWhatIsTooLargeForOneRequestByParts) {
  HttpTestServer server([](const TestRequest& request) -> TestAnswer {
    if (request.target.ends_with("?uploads=")) return {.body = "<X><UploadId>u</UploadId></X>"};
    if (request.method == "PUT") return {.body = "<X><ETag>\"e\"</ETag></X>"};
    return {.body = "<CompleteMultipartUploadResult/>"};
  });
  const CopyLimits limits{.limit_bytes = 5, .part_bytes = 4};
  ASSERT_TRUE(CopyObject(MakeClient(server), {kObject, {"bucket", "d"}, 10}, limits).ok());
  std::vector<std::string> ranges;
  for (TestRequest request : server.requests()) {
    if (request.method == "PUT") ranges.push_back(request.headers["x-amz-copy-source-range"]);
  }
  EXPECT_THAT(ranges, ElementsAre("bytes=0-3", "bytes=4-7", "bytes=8-9"));
}

}  // namespace
}  // namespace caldera::store
