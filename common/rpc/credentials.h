// How a connection is protected: the one place that says when plaintext is allowed.
#ifndef CALDERA_COMMON_RPC_CREDENTIALS_H_
#define CALDERA_COMMON_RPC_CREDENTIALS_H_

#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace caldera::rpc {

// PEM files. All empty = no TLS. A client needs only `ca_file` (who may be trusted); with
// certificate and key it also identifies itself. A server needs certificate and key; with `ca_file`
// it demands and checks client certificates (mutual TLS).
struct TlsFiles {
  std::string ca_file = "";
  std::string certificate_file = "";
  std::string key_file = "";
  // The files are read again so often, and new connections use what they hold then. Replace
  // certificate and key together (a directory behind a symbolic link).
  absl::Duration reload_every = absl::Seconds(10);
  bool empty() const { return ca_file.empty() && certificate_file.empty() && key_file.empty(); }
};

// Whether plaintext may leave the machine. kLoopbackOnly refuses it anywhere else.
enum class PlaintextPolicy { kLoopbackOnly, kAnywhere };

// True when every address that "host:port" can mean is this machine: 127.0.0.0/8, [::1], localhost,
// unix:PATH. Names other than localhost are never looked up and count as remote.
bool IsLoopback(const std::string& address);

// FAILED_PRECONDITION naming the address when it would need TLS; errors of CheckTlsFiles
// (certificates.h); INVALID_ARGUMENT for a server without certificate.
absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> MakeChannelCredentials(
    const std::string& address, const TlsFiles& tls, PlaintextPolicy policy);
absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MakeServerCredentials(
    const std::string& address, const TlsFiles& tls, PlaintextPolicy policy);

}  // namespace caldera::rpc

#endif  // CALDERA_COMMON_RPC_CREDENTIALS_H_
