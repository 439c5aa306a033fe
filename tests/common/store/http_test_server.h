// A web server on 127.0.0.1 whose answers a test writes: HTTP/1.1, kept connections, a thread for
// each.
#ifndef CALDERA_TESTS_COMMON_STORE_HTTP_TEST_SERVER_H_
#define CALDERA_TESTS_COMMON_STORE_HTTP_TEST_SERVER_H_

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"

namespace caldera::store {

struct TestRequest {
  std::string method;
  std::string target;  // path and query, as sent
  std::map<std::string, std::string> headers;
  std::string body;
  int connection = 0;  // number of the connection it came by
};

struct TestAnswer {
  int status = 200;
  std::string body = {};
  std::vector<std::pair<std::string, std::string>> headers = {};
  // kDrop: the connection is closed instead. kBreak: after half of the body. kHang: nothing comes
  // until the client has gone.
  enum class Way { kAnswer, kDrop, kBreak, kHang } way = Way::kAnswer;
};

class HttpTestServer {
 public:
  using Handler = std::function<TestAnswer(const TestRequest&)>;

  // The handler is called by one thread at a time.
  explicit HttpTestServer(Handler handler) : handler_(std::move(handler)) {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(listen(listener_, 64), 0);
    socklen_t size = sizeof(address);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { Accept(); });
  }

  ~HttpTestServer() {
    shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    for (const int connection : connections_) shutdown(connection, SHUT_RDWR);
    for (std::thread& thread : threads_) thread.join();
    for (const int connection : connections_) close(connection);
    close(listener_);
  }
  HttpTestServer(const HttpTestServer&) = delete;
  HttpTestServer& operator=(const HttpTestServer&) = delete;

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  // Everything that was asked so far.
  std::vector<TestRequest> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  void Accept() {
    for (int number = 0;; ++number) {
      const int connection = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (connection < 0) return;
      connections_.push_back(connection);
      threads_.emplace_back([this, connection, number] { Serve(connection, number); });
    }
  }

  void Serve(int connection, int number) {
    std::string buffer;
    TestRequest request;
    while (Receive(connection, &buffer, &request)) {
      request.connection = number;
      TestAnswer answer;
      {
        const std::lock_guard lock(mutex_);
        requests_.push_back(request);
        answer = handler_(request);
      }
      if (!Send(connection, request, answer)) break;
    }
    shutdown(connection, SHUT_RDWR);
  }

  // Until `buffer` holds `size` bytes, or (size 0) the end of a head.
  static bool Fill(int connection, std::string* buffer, std::size_t size) {
    char chunk[65536];
    while (size == 0 ? buffer->find("\r\n\r\n") == std::string::npos : buffer->size() < size) {
      const ssize_t count = recv(connection, chunk, sizeof(chunk), 0);
      if (count <= 0) return false;
      buffer->append(chunk, static_cast<std::size_t>(count));
    }
    return true;
  }

  static bool Receive(int connection, std::string* buffer, TestRequest* request) {
    *request = {};
    if (!Fill(connection, buffer, 0)) return false;
    const std::size_t head = buffer->find("\r\n\r\n") + 4;
    std::size_t begin = buffer->find("\r\n") + 2;
    const std::string line = buffer->substr(0, begin - 2);
    request->method = line.substr(0, line.find(' '));
    request->target =
        line.substr(request->method.size() + 1, line.rfind(' ') - request->method.size() - 1);
    while (begin < head - 2) {
      const std::size_t end = buffer->find("\r\n", begin);
      const std::size_t colon = buffer->find(':', begin);
      std::string name = buffer->substr(begin, colon - begin);
      std::string value = buffer->substr(colon + 1, end - colon - 1);
      absl::AsciiStrToLower(&name);
      absl::StripAsciiWhitespace(&value);
      request->headers[name] = value;
      begin = end + 2;
    }
    const std::string length = request->headers["content-length"];
    const std::size_t size = length.empty() ? 0 : std::stoul(length);
    if (size > 0 && !Fill(connection, buffer, head + size)) return false;
    request->body = buffer->substr(head, size);
    buffer->erase(0, head + size);
    return true;
  }

  // Whether the connection goes on.
  static bool Send(int connection, const TestRequest& request, const TestAnswer& answer) {
    if (answer.way == TestAnswer::Way::kDrop) return false;
    if (answer.way == TestAnswer::Way::kHang) {
      char byte;
      return recv(connection, &byte, 1, 0) > 0;
    }
    std::string text = "HTTP/1.1 " + std::to_string(answer.status) + " X\r\n";
    for (const auto& [name, value] : answer.headers) text += name + ": " + value + "\r\n";
    text += "content-length: " + std::to_string(answer.body.size()) + "\r\n\r\n";
    if (request.method != "HEAD") text += answer.body;
    if (answer.way == TestAnswer::Way::kBreak) text.resize(text.size() - answer.body.size() / 2);
    for (std::size_t sent = 0; sent < text.size();) {
      const ssize_t count = send(connection, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
      if (count <= 0) return false;
      sent += static_cast<std::size_t>(count);
    }
    return answer.way != TestAnswer::Way::kBreak;
  }

  const Handler handler_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::thread acceptor_;
  // Of the acceptor alone, until it has ended.
  std::vector<int> connections_;
  std::vector<std::thread> threads_;
  mutable std::mutex mutex_;
  std::vector<TestRequest> requests_;
};

// The first of the answers at the first request, and so on; the last one for all later requests.
inline HttpTestServer::Handler InTurn(std::vector<TestAnswer> answers) {
  return [answers = std::move(answers), next = std::size_t{0}](const TestRequest&) mutable {
    const TestAnswer& answer = answers[next];
    if (next + 1 < answers.size()) ++next;
    return answer;
  };
}

}  // namespace caldera::store

#endif  // CALDERA_TESTS_COMMON_STORE_HTTP_TEST_SERVER_H_
