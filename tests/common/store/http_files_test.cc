#include "common/store/http_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "common/base/status.h"
#include "common/model/local_files.h"
#include "common/store/open_files.h"
#include "tests/common/store/http_test_server.h"
#include "tests/common/store/sample_manifest.h"

namespace caldera::store {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

using Files = std::map<std::string, std::string>;

// Serves `files` by target, in ranges.
HttpTestServer::Handler Serve(Files files) {
  return [files = std::move(files)](const TestRequest& request) -> TestAnswer {
    const auto found = files.find(request.target);
    if (found == files.end()) return {.status = 404};
    const std::string& bytes = found->second;
    const std::string range = request.headers.at("range").substr(sizeof("bytes=") - 1);
    const std::size_t first = std::stoul(range);
    const std::size_t last =
        std::min(std::stoul(range.substr(range.find('-') + 1)), bytes.size() - 1);
    const std::string total = "/" + std::to_string(bytes.size());
    if (first >= bytes.size()) {
      return {.status = 416, .body = "", .headers = {{"content-range", "bytes *" + total}}};
    }
    return {.status = 206,
            .body = bytes.substr(first, last - first + 1),
            .headers = {{"content-range",
                         "bytes " + std::to_string(first) + "-" + std::to_string(last) + total},
                        {"etag", "\"e\""}}};
  };
}

HttpFilesOptions Hasty() {
  HttpFilesOptions options;
  options.patience = absl::Milliseconds(50);
  return options;
}

std::vector<std::string> NamesIn(const model::FileSet& files) {
  std::vector<std::string> names;
  const auto entries = files.List();
  EXPECT_TRUE(entries.ok()) << entries.status();
  for (const auto& entry : *entries) names.push_back(entry.name);
  return names;
}

const std::string kIndex =
    R"({"weight_map": {"a": "model-1-of-2.safetensors", "b": "model-2-of-2.safetensors"}})";

TEST(HttpFiles, KnowAModelByItsConfigurationAndIndex) {
  HttpTestServer server(Serve({{"/m/config.json", "{}"},
                               {"/m/model.safetensors.index.json", kIndex},
                               {"/m/model-1-of-2.safetensors", "one"},
                               {"/m/model-2-of-2.safetensors", "zwei"},
                               {"/m/tokenizer.json", "tokens"},
                               {"/m/unknown.bin", "x"}}));
  const auto files = OpenHttpFiles(server.url() + "/m/", {});
  ASSERT_TRUE(files.ok()) << files.status();
  EXPECT_EQ((*files)->name(), server.url() + "/m");
  EXPECT_THAT(NamesIn(**files),
              ElementsAre("config.json", "model-1-of-2.safetensors", "model-2-of-2.safetensors",
                          "model.safetensors.index.json", "tokenizer.json"));
  EXPECT_EQ((*files)->List()->at(2).size, 4U);
  EXPECT_EQ(model::ReadText(**files, "model-2-of-2.safetensors", 100).value(), "zwei");
  EXPECT_TRUE(absl::IsNotFound((*files)->Open("../m/config.json").status()));
}

TEST(HttpFiles, KnowACheckpointByItsManifest) {
  HttpTestServer server(Serve({{"/c/manifest.json", ManifestToJson(SampleManifest()).value()},
                               {"/c/config.json", "config"},
                               {"/c/model-00001-of-00002.safetensors", "one"}}));
  const auto files = OpenHttpFiles(server.url() + "/c", {});
  ASSERT_TRUE(files.ok()) << files.status();
  EXPECT_THAT(NamesIn(**files),
              ElementsAre("config.json", "manifest.json", "model-00001-of-00002.safetensors"));
}

TEST(HttpFiles, AGgufIsAFileOfItsOwn) {
  HttpTestServer server(Serve({{"/d/x.gguf", "bytes"}}));
  const auto files = OpenHttpFiles(server.url() + "/d/x.gguf", {});
  ASSERT_TRUE(files.ok()) << files.status();
  EXPECT_THAT(NamesIn(**files), ElementsAre("x.gguf"));
  EXPECT_EQ(model::ReadText(**files, "x.gguf", 100).value(), "bytes");
  const auto absent = OpenHttpFiles(server.url() + "/d/y.gguf", {});
  EXPECT_TRUE(absl::IsNotFound((*absent)->List().status()));
}

TEST(HttpFiles, AnyFileIsReadByItsUri) {
  HttpTestServer server(Serve({{"/text.txt", "words"}, {"/empty", ""}}));
  const auto text = OpenFile(server.url() + "/text.txt");
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_EQ(model::ReadText(**text, 100).value(), "words");
  EXPECT_EQ((*text)->name(), server.url() + "/text.txt");
  EXPECT_EQ(OpenFile(server.url() + "/empty").value()->size(), 0U);
}

TEST(HttpFiles, SayWhatIsMissing) {
  HttpTestServer server(Serve({}));
  const auto files = OpenHttpFiles(server.url() + "/m", {});
  const absl::Status status = (*files)->List().status();
  EXPECT_TRUE(absl::IsNotFound(status)) << status;
  EXPECT_THAT(base::MessageOf(status), HasSubstr(server.url() + "/m: neither manifest.json"));
}

TEST(HttpFiles, TellErrorsOfTheServerApart) {
  const std::vector<std::pair<int, absl::StatusCode>> cases = {
      {401, absl::StatusCode::kUnauthenticated},   {403, absl::StatusCode::kPermissionDenied},
      {404, absl::StatusCode::kNotFound},          {400, absl::StatusCode::kInvalidArgument},
      {503, absl::StatusCode::kUnavailable},       {429, absl::StatusCode::kUnavailable},
      {200, absl::StatusCode::kFailedPrecondition}};  // the whole file: no ranges
  for (const auto& [http, code] : cases) {
    HttpTestServer server(InTurn({{.status = http, .body = "some text"}}));
    const absl::Status status = OpenHttpFile(server.url() + "/x", Hasty()).status();
    EXPECT_EQ(status.code(), code) << http << ": " << status;
    EXPECT_THAT(base::MessageOf(status), HasSubstr("/x: "));
  }
}

TEST(HttpFiles, ABusyServerIsAskedAgain) {
  HttpTestServer server(
      InTurn({{.status = 503},
              {.way = TestAnswer::Way::kDrop},
              {.status = 206, .body = "x", .headers = {{"content-range", "bytes 0-0/1"}}}}));
  EXPECT_EQ(OpenHttpFile(server.url() + "/x", {}).value()->size(), 1U);
}

TEST(HttpFiles, TheTokenGoesNowhereElse) {
  HttpTestServer server(Serve({{"/x", "y"}}));
  HttpFilesOptions options;
  options.bearer_token = "hush";
  ASSERT_TRUE(OpenHttpFile(server.url() + "/x", options).ok());
  EXPECT_FALSE(server.requests().front().headers.contains("authorization"));
}

TEST(HttpUri, MayHoldNoSecrets) {
  EXPECT_TRUE(CheckHttpUri("https://huggingface.co/a/b/resolve/main").ok());
  for (const std::string uri :
       {"https://host", "https:///x", "https://u:p@host/x", "https://host/x?token=1",
        "https://host/x#y", "https://host/a b", "https://host/a\nb", "ftp://host/x"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(CheckHttpUri(uri))) << uri;
  }
  EXPECT_THAT(base::MessageOf(CheckHttpUri("https://host/x?token=1")),
              testing::Not(HasSubstr("token")));
}

TEST(NormalUri, IsTheFormThatIsKept) {
  EXPECT_EQ(NormalUri("/a/b/", UriUse::kRead).value(), "file:///a/b");
  EXPECT_EQ(NormalUri("s3://bucket/a/", UriUse::kPublish).value(), "s3://bucket/a");
  EXPECT_EQ(NormalUri("https://host/a//", UriUse::kRead).value(), "https://host/a");
  for (const std::string uri : {"https://host/a", "relative", "s3://B/x", "gopher://x", "/a\nb"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(NormalUri(uri, UriUse::kPublish).status())) << uri;
  }
}

}  // namespace
}  // namespace caldera::store
