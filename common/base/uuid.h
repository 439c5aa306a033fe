// Random UUIDs (version 4, RFC 4122) from an entropy source that the caller chooses.
#ifndef CALDERA_COMMON_BASE_UUID_H_
#define CALDERA_COMMON_BASE_UUID_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

namespace caldera::base {

// Fills all of its argument with random bytes.
using EntropySource = std::function<void(std::span<std::byte>)>;

// The kernel's generator (getrandom). Thread-safe.
EntropySource SystemEntropy();
// The same bytes for the same seed, for tests. Copies go on independently; one thread at a time.
EntropySource SeededEntropy(std::uint64_t seed);

// "xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx", lower-case hex, y in 8..b.
std::string NewUuid(const EntropySource& entropy);
// From SystemEntropy().
std::string NewUuid();
// True for exactly the text form that NewUuid makes.
bool IsUuid(const std::string& text);

}  // namespace caldera::base

#endif  // CALDERA_COMMON_BASE_UUID_H_
