// SHA-256 (FIPS 180-4), streaming and at once, by OpenSSL: the name of every stored object.
#ifndef CALDERA_COMMON_BASE_SHA256_H_
#define CALDERA_COMMON_BASE_SHA256_H_

#include <cstddef>
#include <memory>
#include <span>
#include <string>

struct evp_md_ctx_st;  // OpenSSL's EVP_MD_CTX

namespace caldera::base {

// A digest in progress. Movable; one thread at a time.
class Sha256 {
 public:
  Sha256();
  void Update(std::span<const std::byte> bytes);
  void Update(const std::string& bytes);
  // 64 lower-case hex digits of everything updated so far. Call it once, last.
  std::string HexDigest();

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };
  std::unique_ptr<evp_md_ctx_st, Free> context_;
};

std::string Sha256Hex(std::span<const std::byte> bytes);
std::string Sha256Hex(const std::string& bytes);

// 64 lower-case hex digits?
bool IsSha256Hex(const std::string& text);

}  // namespace caldera::base

#endif  // CALDERA_COMMON_BASE_SHA256_H_
