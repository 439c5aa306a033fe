#include "common/rpc/credentials.h"

#include <arpa/inet.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>

#include <algorithm>
#include <cstdint>

#include "absl/time/clock.h"
#include "common/base/status.h"
#include "common/rpc/certificates.h"

namespace caldera::rpc {
namespace {

using grpc::experimental::FileWatcherCertificateProvider;

// Reads the files again every few seconds, so that certificates are replaced without a restart.
std::shared_ptr<FileWatcherCertificateProvider> WatchFiles(const TlsFiles& tls) {
  const auto seconds = std::max<std::int64_t>(1, absl::ToInt64Seconds(tls.reload_every));
  return std::make_shared<FileWatcherCertificateProvider>(
      tls.key_file, tls.certificate_file, tls.ca_file, static_cast<unsigned>(seconds));
}

absl::Status CheckPlaintext(const std::string& address, PlaintextPolicy policy) {
  if (policy == PlaintextPolicy::kAnywhere || IsLoopback(address)) return absl::OkStatus();
  return base::FailedPrecondition(
      "{}: not a loopback address; give TLS files, or allow plaintext explicitly", address);
}

}  // namespace

bool IsLoopback(const std::string& address) {
  if (address.rfind("unix:", 0) == 0) return true;
  const std::string host = address.substr(0, address.rfind(':'));
  if (host == "localhost" || host == "[::1]") return true;
  in_addr ip = {};
  return inet_pton(AF_INET, host.c_str(), &ip) == 1 && (ntohl(ip.s_addr) >> 24) == 127;
}

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> MakeChannelCredentials(
    const std::string& address, const TlsFiles& tls, PlaintextPolicy policy) {
  if (tls.empty()) {
    CALDERA_RETURN_IF_ERROR(CheckPlaintext(address, policy));
    return grpc::InsecureChannelCredentials();
  }
  CALDERA_RETURN_IF_ERROR(CheckTlsFiles(tls, absl::Now()));
  grpc::experimental::TlsChannelCredentialsOptions options;
  options.set_certificate_provider(WatchFiles(tls));
  if (!tls.ca_file.empty()) options.watch_root_certs();
  if (!tls.key_file.empty()) options.watch_identity_key_cert_pairs();
  return grpc::experimental::TlsCredentials(options);
}

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MakeServerCredentials(
    const std::string& address, const TlsFiles& tls, PlaintextPolicy policy) {
  if (tls.empty()) {
    CALDERA_RETURN_IF_ERROR(CheckPlaintext(address, policy));
    return grpc::InsecureServerCredentials();
  }
  CALDERA_RETURN_IF_ERROR(CheckTlsFiles(tls, absl::Now()));
  if (tls.key_file.empty()) {
    return base::InvalidArgument("TLS: a server needs a certificate file and a key file");
  }
  grpc::experimental::TlsServerCredentialsOptions options(WatchFiles(tls));
  options.watch_identity_key_cert_pairs();
  if (!tls.ca_file.empty()) {
    options.watch_root_certs();
    options.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  }
  return grpc::experimental::TlsServerCredentials(options);
}

}  // namespace caldera::rpc
