// Types for what can be confused: indices, identifiers and bit widths never travel as bare ints.
#ifndef CALDERA_COMMON_BASE_TYPES_H_
#define CALDERA_COMMON_BASE_TYPES_H_

#include <compare>
#include <cstdint>
#include <string>
#include <utility>

namespace caldera::base {

// A value of representation Rep that only mixes with its own Tag. Get it back with value().
template <typename Tag, typename Rep>
class Strong {
 public:
  constexpr Strong() = default;
  explicit constexpr Strong(Rep value) : value_(std::move(value)) {}
  constexpr const Rep& value() const { return value_; }
  friend constexpr auto operator<=>(const Strong&, const Strong&) = default;
  friend constexpr bool operator==(const Strong&, const Strong&) = default;

 private:
  Rep value_{};
};

// Row of the whole matrix, and row of the part that this rank holds.
using GlobalRow = Strong<struct GlobalRowTag, std::int64_t>;
using LocalRow = Strong<struct LocalRowTag, std::int64_t>;
// Decoder layer, from 0.
using LayerIndex = Strong<struct LayerIndexTag, int>;
// "compressionJobs/NAME" without its prefix; lease id (UUID4 text); worker id; incarnation.
using JobId = Strong<struct JobIdTag, std::string>;
using LeaseId = Strong<struct LeaseIdTag, std::string>;
using WorkerId = Strong<struct WorkerIdTag, std::string>;
// Bits per stored value: 2, 3, 4 (Q) or 4, 8, 16 (L, R).
using Bits = Strong<struct BitsTag, int>;

}  // namespace caldera::base

#endif  // CALDERA_COMMON_BASE_TYPES_H_
