#include "common/store/http_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <thread>

#include "common/base/status.h"
#include "tests/common/store/http_test_server.h"

namespace caldera::store {
namespace {

using testing::HasSubstr;
using testing::Not;
using Way = TestAnswer::Way;

TestAnswer Echo(const TestRequest& request) {
  return {.status = 200,
          .body = request.method + " " + request.target + " " + request.body,
          .headers = {{"X-Mixed", " value "}}};
}

TEST(HttpClient, SendsMethodTargetHeadersAndBody) {
  HttpTestServer server(Echo);
  const HttpClient client({});
  const std::string body(3 << 20, 'b');
  for (const std::string method : {"GET", "PUT", "POST", "DELETE"}) {
    HttpRequest request{.method = method, .url = server.url() + "/a%20b?c=d"};
    request.headers = {{"x-own", "1"}};
    if (method == "PUT" || method == "POST") request.body = std::as_bytes(std::span(body));
    const auto response = client.Send(request);
    ASSERT_TRUE(response.ok()) << method << ": " << response.status();
    EXPECT_EQ(response->status, 200);
    EXPECT_EQ(response->Header("x-mixed"), "value");
    EXPECT_EQ(response->Header("absent"), "");
    EXPECT_TRUE(response->body.starts_with(method + " /a%20b?c=d ")) << method;
    EXPECT_EQ(server.requests().back().headers["x-own"], "1");
  }
  EXPECT_EQ(server.requests()[1].body, body);
}

TEST(HttpClient, KeepsConnectionsAndTheirNumberIsThatOfRequestsAtOnce) {
  HttpTestServer server(Echo);
  const HttpClient client({});
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(client.Send({.method = "GET", .url = server.url()}).ok());
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < 5; ++k)
        EXPECT_TRUE(client.Send({.method = "GET", .url = server.url()}).ok());
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::set<int> connections;
  for (const TestRequest& request : server.requests()) connections.insert(request.connection);
  EXPECT_EQ(server.requests().size(), 20U);
  EXPECT_LE(connections.size(), 3U);
}

TEST(HttpClient, AHeadHasAContentLengthAndNoBody) {
  HttpTestServer server(InTurn({{.status = 200, .body = "12345"}}));
  const auto response = HttpClient({}).Send({.method = "HEAD", .url = server.url()});
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->Header("content-length"), "5");
  EXPECT_EQ(response->body, "");
}

TEST(HttpClient, PutsABodyWhereItIsWanted) {
  HttpTestServer server(InTurn({{.status = 206, .body = "0123456789"}}));
  std::string out(10, '?');
  HttpRequest request{.method = "GET", .url = server.url()};
  request.into = std::as_writable_bytes(std::span(out));
  auto response = HttpClient({}).Send(request);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(out, "0123456789");
  EXPECT_EQ(response->received, 10U);
  EXPECT_EQ(response->fit, HttpResponse::Fit::kWhole);
  request.into = request.into.first(4);
  response = HttpClient({}).Send(request);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->received, 4U);
  EXPECT_EQ(response->fit, HttpResponse::Fit::kCutOff);
}

TEST(HttpClient, TheBodyOfAnErrorIsText) {
  HttpTestServer server(InTurn({{.status = 503, .body = "later"}}));
  std::string out(3, '?');
  HttpRequest request{.method = "GET", .url = server.url()};
  request.into = std::as_writable_bytes(std::span(out));
  const auto response = HttpClient({}).Send(request);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->status, 503);
  EXPECT_EQ(response->body, "later");
  EXPECT_EQ(out, "???");
}

TEST(HttpClient, ALostABrokenAndAMissingAnswerAreUnavailable) {
  HttpTestServer server(
      InTurn({{.way = Way::kDrop}, {.status = 200, .body = "123456", .way = Way::kBreak}}));
  const HttpClient client({});
  for (int i = 0; i < 2; ++i) {
    const auto response = client.Send({.method = "GET", .url = server.url() + "/x?secret=1"});
    EXPECT_TRUE(absl::IsUnavailable(response.status())) << response.status();
    EXPECT_THAT(base::MessageOf(response.status()), HasSubstr(server.url() + "/x: "));
    EXPECT_THAT(base::MessageOf(response.status()), Not(HasSubstr("secret")));
  }
}

TEST(HttpClient, NobodyThereIsUnavailable) {
  std::string url;
  {
    HttpTestServer server(Echo);
    url = server.url();
  }
  EXPECT_TRUE(absl::IsUnavailable(HttpClient({}).Send({.method = "GET", .url = url}).status()));
}

TEST(HttpClient, ATransferThatStallsIsGivenUp) {
  HttpTestServer server(InTurn({{.way = Way::kHang}}));
  const HttpClient client({.stall_timeout = absl::Seconds(1)});
  const auto response = client.Send({.method = "GET", .url = server.url()});
  EXPECT_TRUE(absl::IsUnavailable(response.status())) << response.status();
}

TEST(HttpClient, FollowsRedirectsOnlyWhereAsked) {
  HttpTestServer server([](const TestRequest& request) -> TestAnswer {
    if (request.target == "/new") return {.status = 200, .body = "here"};
    return {.status = 302, .body = "", .headers = {{"location", "/new"}}};
  });
  HttpRequest request{.method = "GET", .url = server.url() + "/old"};
  EXPECT_EQ(HttpClient({}).Send(request)->status, 302);
  request.redirects = Redirects::kFollow;
  EXPECT_EQ(HttpClient({}).Send(request)->body, "here");
}

TEST(HttpClient, RefusesOtherProtocolsAndEndlessAnswers) {
  HttpTestServer server(InTurn({{.status = 200, .body = std::string(2000, 'x')}}));
  const HttpClient client({.body_limit = 1000});
  EXPECT_TRUE(absl::IsInvalidArgument(
      client.Send({.method = "GET", .url = "file:///etc/passwd"}).status()));
  EXPECT_TRUE(
      absl::IsResourceExhausted(client.Send({.method = "GET", .url = server.url()}).status()));
}

TEST(NameOfUrl, LeavesOutWhatMayBeSecret) {
  EXPECT_EQ(NameOfUrl("https://user:word@host:1/a/b?token=x#y"), "https://host:1/a/b");
  EXPECT_EQ(NameOfUrl("http://host/a@b"), "http://host/a@b");
  EXPECT_EQ(NameOfUrl("http://host?x@y"), "http://host");
}

}  // namespace
}  // namespace caldera::store
