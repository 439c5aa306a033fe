// The 4-, 8- and 16-bit grids of the low-rank factors L (m x r) and R (r x n).
//
// One scale per rank index k: L[:, k] = scale[k] * decoded, R[k, :] = scale[k] * decoded.
//   4 bits   the 4-bit E8P residual code on 8 rows of one column; scale = rms / 0.90
//   8 bits   symmetric int8 in -127 .. 127; scale = largest magnitude / 127
//   16 bits  IEEE half; scale = the power of two nearest to the rms, so scaling is exact
// A rank index that is all zero has scale 0, and zeros come back. Rows and rank indices are padded
// with zeros to multiples of 8 in the codes; the layout of the codes is the one of
// common/model/compressed_matrix.h.
//
// The rows of L may be spread over ranks: statistics are the caller's to reduce, and QuantiseL then
// encodes the local rows given the global scale, so the codes do not depend on the partition.
// Thread rule: all functions are pure; they run ParallelFor over blocks of 8 rows, and the result
// does not depend on the number of threads.
#ifndef CALDERA_NUMERICS_LATTICE_FACTOR_CODE_H_
#define CALDERA_NUMERICS_LATTICE_FACTOR_CODE_H_

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/types.h"
#include "numerics/linalg/matrix.h"

namespace caldera::lattice {

// What the scale of one rank index is made from.
struct FactorStatistics {
  double sum_of_squares = 0;
  double largest_magnitude = 0;
};

// Statistics of each column of L's local rows, and of each row of R; r values. Sums run in float64
// from the first element to the last.
std::vector<FactorStatistics> StatisticsOfColumns(linalg::ConstViewF l);
std::vector<FactorStatistics> StatisticsOfRows(linalg::ConstViewF r);

// The scale of one rank index whose `count` elements (m for L, n for R) have these statistics; 0
// when they are all zero. Precondition: bits is 4, 8 or 16.
float ScaleOf(const FactorStatistics& statistics, std::int64_t count, base::Bits bits);
std::vector<float> ScalesOf(std::span<const FactorStatistics> statistics, std::int64_t count,
                            base::Bits bits);

// Number of codes of a factor of `rows` x `columns` (L: m_local x r, R: r x n), padding included.
std::int64_t LCodeCount(std::int64_t rows, std::int64_t columns, base::Bits bits);
std::int64_t RCodeCount(std::int64_t rows, std::int64_t columns, base::Bits bits);

// Rounds `l` (m_local x r, scales[k] for column k) or `r` (r x n, scales[k] for row k) to the grid
// and writes the codes (LCodeCount / RCodeCount of them) and what they decode to (shape of the
// input; may be the input itself; an empty view when not wanted). When L is distributed each rank's
// first global row must be a multiple of 8: then the ranks' codes concatenated are the codes of the
// whole. INVALID_ARGUMENT for another bit width or sizes that do not fit.
absl::Status QuantiseL(linalg::ConstViewF l, base::Bits bits, std::span<const float> scales,
                       std::span<std::uint32_t> codes, linalg::ViewF decoded);
absl::Status QuantiseR(linalg::ConstViewF r, base::Bits bits, std::span<const float> scales,
                       std::span<std::uint32_t> codes, linalg::ViewF decoded);

// The inverse: `out` is m_local x r (or r x n) and gets float32(scale * codeword).
// INVALID_ARGUMENT for another bit width or sizes that do not fit.
absl::Status DequantiseL(std::span<const std::uint32_t> codes, base::Bits bits,
                         std::span<const float> scales, linalg::ViewF out);
absl::Status DequantiseR(std::span<const std::uint32_t> codes, base::Bits bits,
                         std::span<const float> scales, linalg::ViewF out);

// Both factors in one step, for a factor that is whole on this rank.
struct FactorCodes {
  std::vector<std::uint32_t> codes;
  std::vector<float> scale;
};
absl::StatusOr<FactorCodes> EncodeL(linalg::ConstViewF l, base::Bits bits, linalg::ViewF decoded);
absl::StatusOr<FactorCodes> EncodeR(linalg::ConstViewF r, base::Bits bits, linalg::ViewF decoded);

}  // namespace caldera::lattice

#endif  // CALDERA_NUMERICS_LATTICE_FACTOR_CODE_H_
