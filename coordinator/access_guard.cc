#include "coordinator/access_guard.h"

#include <utility>

#include "absl/strings/match.h"
#include "common/base/status.h"
#include "coordinator/access_rules.h"
#include "coordinator/error_details.h"
#include "coordinator/request_limits.h"

namespace caldera::coordinator {
namespace {

constexpr char kScheme[] = "Bearer ";

std::string Text(const grpc::string_ref& text) { return {text.data(), text.size()}; }

absl::Status Unauthenticated(const std::string& message, const std::string& reason) {
  return WithReason(absl::UnauthenticatedError(message), reason);
}

CallerFacts FactsOf(const grpc::CallbackServerContext& context) {
  CallerFacts facts;
  facts.peer = PeerHost(context.peer());
  const auto header = context.client_metadata().find("authorization");
  if (header != context.client_metadata().end()) facts.authorization = Text(header->second);
  const auto connection = context.auth_context();
  if (connection != nullptr && connection->IsPeerAuthenticated()) {
    const auto names = connection->GetPeerIdentity();
    if (!names.empty()) facts.certificate_name = Text(names.front());
  }
  return facts;
}

std::string AnonymousName(const CallerFacts& facts) {
  return facts.certificate_name.empty() ? "address " + facts.peer
                                        : "certificate " + facts.certificate_name;
}

// The token of the header, "" when it has another form.
std::string TokenOf(const std::string& authorization) {
  const std::size_t length = sizeof(kScheme) - 1;
  return absl::StartsWithIgnoreCase(authorization, kScheme) ? authorization.substr(length) : "";
}

}  // namespace

std::string PeerHost(const std::string& peer) {
  return absl::StartsWith(peer, "ip") ? peer.substr(0, peer.rfind(':')) : peer;
}

absl::StatusOr<std::string> AccessGuard::Authorize(const CallerFacts& facts,
                                                   const std::string& method) const {
  if (tokens_ == nullptr) return AnonymousName(facts);
  if (!facts.authorization.has_value()) {
    return Unauthenticated("no token: set CALDERA_TOKEN_FILE or CALDERA_TOKEN",
                           kReasonMissingToken);
  }
  const auto table = tokens_->table();
  const rpc::TokenRecord* record = table->Find(TokenOf(*facts.authorization));
  if (record == nullptr) {
    return Unauthenticated("the token is not known here", kReasonInvalidToken);
  }
  if (record->expires <= clock_->Now()) {
    return Unauthenticated(
        fmt::format("the token of {} expired on {}", record->id,
                    absl::FormatTime("%Y-%m-%d", record->expires, absl::UTCTimeZone())),
        kReasonExpiredToken);
  }
  if (!MayCall(record->role, method)) {
    return WithReason(base::PermissionDenied("{} has the role {}, which may not call {}",
                                             record->id, rpc::RoleName(record->role), method),
                      kReasonRoleNotPermitted);
  }
  return record->id;
}

Admission AccessGuard::Admit(grpc::CallbackServerContext* context,
                             const std::string& method) const {
  const CallerFacts facts = FactsOf(*context);
  absl::StatusOr<std::string> caller = Authorize(facts, method);
  if (!caller.ok()) return {context, refusals_->Answer(facts.peer, method, caller.status()), ""};
  return {context, absl::OkStatus(), *std::move(caller)};
}

Admission AccessGuard::Admit(grpc::CallbackServerContext* context, const std::string& method,
                             const google::protobuf::Message& request) const {
  Admission admission = Admit(context, method);
  if (admission.status.ok()) admission.status = CheckRequestLimits(request);
  return admission;
}

}  // namespace caldera::coordinator
