// CRC-32C (Castagnoli, RFC 3720 appendix B.4): guards every chunk on the wire. By Intel ISA-L.
//
// The standard form with initial value and final exclusive-or of all ones: "123456789" ->
// 0xE3069283.
#ifndef CALDERA_COMMON_BASE_CRC32C_H_
#define CALDERA_COMMON_BASE_CRC32C_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace caldera::base {

// The CRC of a followed by b is ExtendCrc32c(Crc32c(a), b); the CRC of nothing is 0.
std::uint32_t Crc32c(std::span<const std::byte> bytes);
std::uint32_t Crc32c(const std::string& bytes);
std::uint32_t ExtendCrc32c(std::uint32_t crc, std::span<const std::byte> bytes);

}  // namespace caldera::base

#endif  // CALDERA_COMMON_BASE_CRC32C_H_
