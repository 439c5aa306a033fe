#include "common/rpc/credentials.h"

#include <arpa/inet.h>

#include "common/base/file.h"
#include "common/base/status.h"

namespace caldera::rpc {
namespace {

struct TlsTexts {
  std::string ca;
  std::string certificate;
  std::string key;
};

absl::Status ReadOptional(const std::string& path, std::string& text) {
  if (path.empty()) return absl::OkStatus();
  CALDERA_ASSIGN_OR_RETURN(text, base::ReadFile(path));
  return absl::OkStatus();
}

absl::StatusOr<TlsTexts> ReadTls(const TlsFiles& tls) {
  if (tls.certificate_file.empty() != tls.key_file.empty()) {
    return base::InvalidArgument("TLS: certificate file \"{}\" and key file \"{}\" go together",
                                 tls.certificate_file, tls.key_file);
  }
  TlsTexts texts;
  CALDERA_RETURN_IF_ERROR(ReadOptional(tls.ca_file, texts.ca));
  CALDERA_RETURN_IF_ERROR(ReadOptional(tls.certificate_file, texts.certificate));
  CALDERA_RETURN_IF_ERROR(ReadOptional(tls.key_file, texts.key));
  return texts;
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
  CALDERA_ASSIGN_OR_RETURN(const TlsTexts texts, ReadTls(tls));
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = texts.ca;
  options.pem_cert_chain = texts.certificate;
  options.pem_private_key = texts.key;
  return grpc::SslCredentials(options);
}

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MakeServerCredentials(
    const std::string& address, const TlsFiles& tls, PlaintextPolicy policy) {
  if (tls.empty()) {
    CALDERA_RETURN_IF_ERROR(CheckPlaintext(address, policy));
    return grpc::InsecureServerCredentials();
  }
  CALDERA_ASSIGN_OR_RETURN(const TlsTexts texts, ReadTls(tls));
  if (texts.key.empty()) {
    return base::InvalidArgument("TLS: a server needs a certificate file and a key file");
  }
  const bool mutual = !texts.ca.empty();
  grpc::SslServerCredentialsOptions options(
      mutual ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
             : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE);
  options.pem_root_certs = texts.ca;
  options.pem_key_cert_pairs.push_back({texts.key, texts.certificate});
  return grpc::SslServerCredentials(options);
}

}  // namespace caldera::rpc
