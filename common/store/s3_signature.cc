#include "common/store/s3_signature.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <span>

#include "absl/strings/ascii.h"
#include "common/base/sha256.h"

namespace caldera::store {
namespace {

constexpr char kAlgorithm[] = "AWS4-HMAC-SHA256";

bool IsUnreserved(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '.' || c == '_' ||
         c == '~';
}

std::string Hmac(const std::string& key, const std::string& text) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest, &size);
  return std::string(reinterpret_cast<const char*>(digest), size);
}

std::string Hex(const std::string& bytes) {
  std::string hex;
  for (const char c : bytes) hex += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return hex;
}

// Without spaces at the ends, and with one where there were several.
std::string Trimmed(const std::string& value) {
  std::string trimmed = value;
  absl::RemoveExtraAsciiWhitespace(&trimmed);
  return trimmed;
}

std::string SignedHeaders(const SignableRequest& request) {
  std::string names;
  for (const auto& [name, value] : request.headers) {
    if (!names.empty()) names += ';';
    names += name;
  }
  return names;
}

std::string DateOf(const SignableRequest& request) { return request.headers.at("x-amz-date"); }

std::string CredentialScope(const SignableRequest& request, const SigningScope& scope) {
  return fmt::format("{}/{}/{}/aws4_request", DateOf(request).substr(0, 8), scope.region,
                     scope.service);
}

}  // namespace

std::string PercentEncode(const std::string& text, Slashes slashes) {
  std::string encoded;
  for (const char c : text) {
    if (IsUnreserved(c) || (c == '/' && slashes == Slashes::kKeep)) {
      encoded += c;
    } else {
      encoded += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return encoded;
}

std::string CanonicalQuery(const QueryParameters& query) {
  QueryParameters encoded;
  for (const auto& [name, value] : query) {
    encoded.emplace_back(PercentEncode(name, Slashes::kEncode),
                         PercentEncode(value, Slashes::kEncode));
  }
  std::sort(encoded.begin(), encoded.end());
  std::string text;
  for (const auto& [name, value] : encoded) {
    if (!text.empty()) text += '&';
    text += name + "=" + value;
  }
  return text;
}

std::string AmzDate(absl::Time time) {
  return absl::FormatTime("%Y%m%dT%H%M%SZ", time, absl::UTCTimeZone());
}

std::string CanonicalRequest(const SignableRequest& request) {
  std::string headers;
  for (const auto& [name, value] : request.headers) headers += name + ":" + Trimmed(value) + "\n";
  return fmt::format("{}\n{}\n{}\n{}\n{}\n{}", request.method, request.path,
                     CanonicalQuery(request.query), headers, SignedHeaders(request),
                     request.payload_sha256);
}

std::string AuthorizationHeader(const SignableRequest& request, const SigningScope& scope,
                                const S3Credentials& credentials) {
  const std::string date = DateOf(request);
  const std::string credential_scope = CredentialScope(request, scope);
  const std::string to_sign = fmt::format("{}\n{}\n{}\n{}", kAlgorithm, date, credential_scope,
                                          base::Sha256Hex(CanonicalRequest(request)));
  std::string key = "AWS4" + credentials.secret_access_key;
  for (const std::string& part :
       {date.substr(0, 8), scope.region, scope.service, std::string("aws4_request")}) {
    key = Hmac(key, part);
  }
  return fmt::format("{} Credential={}/{}, SignedHeaders={}, Signature={}", kAlgorithm,
                     credentials.access_key_id, credential_scope, SignedHeaders(request),
                     Hex(Hmac(key, to_sign)));
}

}  // namespace caldera::store
