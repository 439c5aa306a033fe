// Products that couple the rows of matrices spread over ranks by a RowPartition: the only places
// where a decomposition communicates.
//
// Every rank passes its own rows (partition.RowCount(rank) of them, in order) and gets the whole
// result. All are collectives. Partials are taken block by block of the partition and added exactly
// (exact_sum.h): the same bits for any number of ranks and threads. Values must be finite (NaN or
// infinity gives an unspecified result).
#ifndef CALDERA_NUMERICS_DIST_TALL_MATRIX_H_
#define CALDERA_NUMERICS_DIST_TALL_MATRIX_H_

#include <cstdint>
#include <span>

#include "absl/status/status.h"
#include "numerics/dist/communicator.h"
#include "numerics/dist/row_partition.h"
#include "numerics/linalg/blas.h"
#include "numerics/linalg/matrix.h"

namespace caldera::dist {

// L^T A (r x n, float64) for L m x r and A m x n: 2 m r n flops of sgemm over all ranks, parallel
// over panels of columns; one reduction of r x n doubles (and one of two scalars). Each block's
// partial is float32.
linalg::MatrixD TransposeTimes(linalg::ConstViewF l, linalg::ConstViewF a,
                               const RowPartition& partition, Communicator& communicator);

// L^T L (r x r, float64, symmetric) with products and sums in float64: m r^2 flops, one reduction
// of r x r doubles (and one scalar).
linalg::MatrixD Gram(linalg::ConstViewF l, const RowPartition& partition,
                     Communicator& communicator);

// Replaces the columns of L (m x r, m >= r) by orthonormal ones with the same span: Cholesky-QR
// twice, two Grams. Dependent columns get a tiny ridge: they stay in the span but may come out
// shorter than 1 (zero columns stay zero). FAILED_PRECONDITION when values are not finite, on every
// rank alike.
absl::Status OrthonormalizeColumns(linalg::ViewF l, const RowPartition& partition,
                                   Communicator& communicator);

// The sum of one double per block of the partition, added in block order: `local` holds this rank's
// blocks. One reduction of partition.blocks() doubles.
double OrderedSum(std::span<const double> local, const RowPartition& partition,
                  Communicator& communicator);

// <A, B> over all rows in float64: per-block sums, added in block order.
double Dot(linalg::ConstViewF a, linalg::ConstViewF b, const RowPartition& partition,
           Communicator& communicator);

// max |A| over all rows.
double MaxAbs(linalg::ConstViewF a, Communicator& communicator);

}  // namespace caldera::dist

#endif  // CALDERA_NUMERICS_DIST_TALL_MATRIX_H_
