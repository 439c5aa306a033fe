#include "common/rpc/certificates.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <ctime>
#include <memory>

#include "common/base/file.h"
#include "common/base/status.h"

namespace caldera::rpc {
namespace {

template <typename Type, void (*kFunction)(Type*)>
struct FreeBy {
  void operator()(Type* object) const { kFunction(object); }
};
void FreeBio(BIO* bio) { BIO_free(bio); }

using BioPointer = std::unique_ptr<BIO, FreeBy<BIO, FreeBio>>;
using CertificatePointer = std::unique_ptr<X509, FreeBy<X509, X509_free>>;
using KeyPointer = std::unique_ptr<EVP_PKEY, FreeBy<EVP_PKEY, EVP_PKEY_free>>;

// Without it OpenSSL would ask on the terminal.
int NoPassword(char* /*buffer*/, int /*size*/, int /*for_writing*/, void* /*data*/) { return -1; }

BioPointer OpenText(const std::string& text) {
  return BioPointer(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

absl::StatusOr<CertificatePointer> ParseCertificate(const std::string& pem,
                                                    const std::string& name) {
  const BioPointer bio = OpenText(pem);
  CertificatePointer certificate(PEM_read_bio_X509(bio.get(), nullptr, NoPassword, nullptr));
  ERR_clear_error();
  if (certificate == nullptr) return base::InvalidArgument("{}: holds no PEM certificate", name);
  return certificate;
}

absl::StatusOr<KeyPointer> ParseKey(const std::string& pem, const std::string& name) {
  const BioPointer bio = OpenText(pem);
  KeyPointer key(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassword, nullptr));
  ERR_clear_error();
  if (key == nullptr) return base::InvalidArgument("{}: holds no unencrypted PEM key", name);
  return key;
}

absl::Time ToTime(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return absl::InfinitePast();
  return absl::FromTM(parts, absl::UTCTimeZone());
}

std::string Day(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d %H:%M", time, absl::UTCTimeZone()) + " UTC";
}

absl::Status CheckPair(const TlsFiles& tls, absl::Time now) {
  CALDERA_ASSIGN_OR_RETURN(const std::string chain, base::ReadFile(tls.certificate_file));
  CALDERA_ASSIGN_OR_RETURN(const std::string secret, base::ReadFile(tls.key_file));
  CALDERA_ASSIGN_OR_RETURN(const CertificatePointer certificate,
                           ParseCertificate(chain, tls.certificate_file));
  CALDERA_ASSIGN_OR_RETURN(const KeyPointer key, ParseKey(secret, tls.key_file));
  const bool matches = X509_check_private_key(certificate.get(), key.get()) == 1;
  ERR_clear_error();
  if (!matches) {
    return base::InvalidArgument("{}: not the key of the certificate in {}", tls.key_file,
                                 tls.certificate_file);
  }
  CALDERA_ASSIGN_OR_RETURN(const Validity validity, ValidityOf(chain, tls.certificate_file));
  if (now < validity.begin) {
    return base::FailedPrecondition("{}: valid from {} only, it is {} (a wrong clock?)",
                                    tls.certificate_file, Day(validity.begin), Day(now));
  }
  if (now >= validity.end) {
    return base::FailedPrecondition("{}: expired on {}", tls.certificate_file, Day(validity.end));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Validity> ValidityOf(const std::string& pem, const std::string& name) {
  CALDERA_ASSIGN_OR_RETURN(const CertificatePointer certificate, ParseCertificate(pem, name));
  return Validity{ToTime(X509_get0_notBefore(certificate.get())),
                  ToTime(X509_get0_notAfter(certificate.get()))};
}

absl::Status CheckTlsFiles(const TlsFiles& tls, absl::Time now) {
  if (tls.certificate_file.empty() != tls.key_file.empty()) {
    return base::InvalidArgument("TLS: certificate file \"{}\" and key file \"{}\" go together",
                                 tls.certificate_file, tls.key_file);
  }
  if (!tls.ca_file.empty()) {
    CALDERA_ASSIGN_OR_RETURN(const std::string authorities, base::ReadFile(tls.ca_file));
    CALDERA_RETURN_IF_ERROR(ParseCertificate(authorities, tls.ca_file).status());
  }
  return tls.key_file.empty() ? absl::OkStatus() : CheckPair(tls, now);
}

}  // namespace caldera::rpc
