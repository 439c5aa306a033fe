#include "common/rpc/client_token.h"

#include "absl/strings/ascii.h"
#include "absl/time/clock.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "common/rpc/token.h"

namespace caldera::rpc {
namespace {

using grpc::experimental::InterceptionHookPoints;
using grpc::experimental::InterceptorBatchMethods;

constexpr absl::Duration kLookEvery = absl::Seconds(5);
constexpr std::uint64_t kLargestFile = 4096;

absl::StatusOr<std::string> Checked(const std::string& text, const std::string& where) {
  std::string token(absl::StripAsciiWhitespace(text));
  if (!IsToken(token)) {
    return base::InvalidArgument("{}: not a token (caldera_ and 64 hex digits)", where);
  }
  return token;
}

absl::StatusOr<std::string> ReadToken(const std::string& file) {
  CALDERA_ASSIGN_OR_RETURN(const std::string text, base::ReadFile(file, kLargestFile));
  return Checked(text, file);
}

class TokenInterceptor final : public grpc::experimental::Interceptor {
 public:
  explicit TokenInterceptor(ClientToken* token) : token_(token) {}

  void Intercept(InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_INITIAL_METADATA)) {
      methods->GetSendInitialMetadata()->insert({"authorization", "Bearer " + token_->Get()});
    }
    methods->Proceed();
  }

 private:
  ClientToken* const token_;
};

class Factory final : public grpc::experimental::ClientInterceptorFactoryInterface {
 public:
  explicit Factory(std::shared_ptr<ClientToken> token) : token_(std::move(token)) {}

  grpc::experimental::Interceptor* CreateClientInterceptor(
      grpc::experimental::ClientRpcInfo* /*info*/) override {
    return std::make_unique<TokenInterceptor>(token_.get()).release();
  }

 private:
  const std::shared_ptr<ClientToken> token_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<ClientToken>> ClientToken::Open(const TokenPlace& place) {
  if (place.file.empty() && place.value.empty()) return std::shared_ptr<ClientToken>();
  CALDERA_ASSIGN_OR_RETURN(std::string token, place.file.empty()
                                                  ? Checked(place.value, "CALDERA_TOKEN")
                                                  : ReadToken(place.file));
  return std::shared_ptr<ClientToken>(new ClientToken(place, std::move(token)));
}

std::string ClientToken::Get() {
  const base::MutexLock lock(mutex_);
  const absl::Time now = absl::Now();
  if (place_.file.empty() || now < next_look_) return token_;
  next_look_ = now + kLookEvery;
  absl::StatusOr<std::string> read = ReadToken(place_.file);
  if (read.ok()) token_ = *std::move(read);
  return token_;
}

std::unique_ptr<grpc::experimental::ClientInterceptorFactoryInterface> MakeTokenInterceptor(
    std::shared_ptr<ClientToken> token) {
  return std::make_unique<Factory>(std::move(token));
}

}  // namespace caldera::rpc
