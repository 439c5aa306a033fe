#include "common/base/sha256.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>

#include "common/base/check.h"

namespace caldera::base {
namespace {

constexpr std::size_t kDigestBytes = 32;

std::string ToHex(std::span<const unsigned char> bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(2 * bytes.size());
  for (const unsigned char byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

}  // namespace

void Sha256::Free::operator()(evp_md_ctx_st* context) const { EVP_MD_CTX_free(context); }

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  CALDERA_CHECK(context_ && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1,
                "OpenSSL offers no SHA-256");
}

void Sha256::Update(std::span<const std::byte> bytes) {
  CALDERA_CHECK(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1,
                "SHA-256 update after the digest was taken");
}

void Sha256::Update(const std::string& bytes) { Update(std::as_bytes(std::span(bytes))); }

std::string Sha256::HexDigest() {
  std::array<unsigned char, kDigestBytes> digest;
  CALDERA_CHECK(EVP_DigestFinal_ex(context_.get(), digest.data(), nullptr) == 1,
                "SHA-256 digest taken twice");
  return ToHex(digest);
}

std::string Sha256Hex(std::span<const std::byte> bytes) {
  Sha256 digest;
  digest.Update(bytes);
  return digest.HexDigest();
}

std::string Sha256Hex(const std::string& bytes) {
  return Sha256Hex(std::as_bytes(std::span(bytes)));
}

bool IsSha256Hex(const std::string& text) {
  return text.size() == 2 * kDigestBytes && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

}  // namespace caldera::base
