#include "numerics/dist/tall_matrix.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "common/base/status.h"
#include "numerics/dist/thread_communicator.h"
#include "numerics/kernels/parallel.h"
#include "numerics/linalg/random.h"
#include "tests/contracts/row_coupling_contract.h"

namespace caldera::dist {
namespace {

using contracts::RowCase;
using linalg::MatrixD;
using linalg::MatrixF;

MatrixF Normal(std::int64_t rows, std::int64_t columns, std::uint64_t seed) {
  MatrixF matrix(rows, columns);
  linalg::Random(seed).FillNormal(matrix.view());
  return matrix;
}

// The definition, in float64.
MatrixD PlainTransposeTimes(const MatrixF& l, const MatrixF& a) {
  MatrixD product(l.columns(), a.columns());
  for (std::int64_t k = 0; k < l.rows(); ++k) {
    for (std::int64_t i = 0; i < l.columns(); ++i) {
      for (std::int64_t j = 0; j < a.columns(); ++j) {
        product(i, j) += static_cast<double>(l(k, i)) * static_cast<double>(a(k, j));
      }
    }
  }
  return product;
}

double MaxDifference(const MatrixD& a, const MatrixD& b) {
  double largest = 0;
  for (std::int64_t i = 0; i < a.rows(); ++i) {
    for (std::int64_t j = 0; j < a.columns(); ++j) {
      largest = std::max(largest, std::fabs(a(i, j) - b(i, j)));
    }
  }
  return largest;
}

class RowCases : public ::testing::TestWithParam<RowCase> {
 protected:
  void TearDown() override { kernels::SetThreads(1); }
};

TEST_P(RowCases, GiveTheSameBitsForAnyNumberOfRanksAndThreads) {
  std::vector<std::vector<double>> results;
  for (const int threads : {1, 2}) {
    kernels::SetThreads(threads);
    for (const int ranks : {1, 2, 4}) {
      RunRanks(ranks, [&](Communicator& communicator) {
        const auto result = contracts::RowCoupling(GetParam(), communicator);
        if (communicator.rank() == 0) results.push_back(result);
      });
    }
  }
  for (const auto& result : results) EXPECT_EQ(result, results[0]);
}

TEST_P(RowCases, TransposeTimesAgreesWithTheDefinition) {
  const RowCase size = GetParam();
  const MatrixF l = Normal(size.m, size.r, 1);
  const MatrixF a = Normal(size.m, size.n, 2);
  SerialCommunicator serial;
  const MatrixD product =
      TransposeTimes(l.view(), a.view(), RowPartition(size.m, size.block, 1), serial);
  // Each block is summed in float32: block * epsilon * sum |l a|, with |l a| about .64 on average.
  const double tolerance = 6e-8 * static_cast<double>(size.block * size.m) + 1e-12;
  EXPECT_LE(MaxDifference(product, PlainTransposeTimes(l, a)), tolerance);
}

TEST_P(RowCases, GramAgreesWithTheDefinition) {
  const RowCase size = GetParam();
  const MatrixF l = Normal(size.m, size.r, 1);
  SerialCommunicator serial;
  const MatrixD gram = Gram(l.view(), RowPartition(size.m, size.block, 1), serial);
  // Bounds of the grid: at most 36 * block per addend, with one unit in 2^51 of blocks^2 of them.
  const double blocks = std::ceil(static_cast<double>(size.m) / static_cast<double>(size.block));
  const double tolerance =
      36.0 * static_cast<double>(size.block) * blocks * blocks * 0x1p-49 + 1e-12;
  EXPECT_LE(MaxDifference(gram, PlainTransposeTimes(l, l)), tolerance);
}

TEST_P(RowCases, OrthonormalColumnsAreOrthonormalAndSpanTheSame) {
  const RowCase size = GetParam();
  const MatrixF before = Normal(size.m, size.r, 1);
  MatrixF after = before;
  SerialCommunicator serial;
  const RowPartition partition(size.m, size.block, 1);
  ASSERT_TRUE(OrthonormalizeColumns(after.view(), partition, serial).ok());
  MatrixD identity(size.r, size.r);
  for (std::int64_t i = 0; i < size.r; ++i) identity(i, i) = size.m > 0 ? 1 : 0;
  EXPECT_LE(MaxDifference(Gram(after.view(), partition, serial), identity), 2e-7);
  // Projecting on the new columns loses nothing of the old ones: |Q^T L|^2 = |L|^2.
  const MatrixD coefficients = PlainTransposeTimes(after, before);
  const double norm = linalg::Dot(before.view(), before.view());
  EXPECT_NEAR(linalg::Dot(coefficients.view(), coefficients.view()), norm, 1e-5 * norm + 1e-30);
}

INSTANTIATE_TEST_SUITE_P(Sizes, RowCases,
                         ::testing::Values(RowCase{0, 3, 0, 64}, RowCase{1, 1, 1, 64},
                                           RowCase{64, 10, 3, 64}, RowCase{65, 257, 8, 64},
                                           RowCase{1000, 300, 70, 64}, RowCase{700, 33, 16, 128}));

TEST(TallMatrix, OrthonormalizesDependentColumnsWithinTheirSpan) {
  MatrixF l = Normal(100, 4, 3);
  for (std::int64_t i = 0; i < 100; ++i) {
    l(i, 2) = l(i, 0) + l(i, 1);
    l(i, 3) = 0;
  }
  SerialCommunicator serial;
  const RowPartition partition(100, 64, 1);
  ASSERT_TRUE(OrthonormalizeColumns(l.view(), partition, serial).ok());
  const MatrixD gram = Gram(l.view(), partition, serial);
  EXPECT_NEAR(gram(0, 0), 1, 1e-6);
  EXPECT_NEAR(gram(1, 1), 1, 1e-6);
  EXPECT_LE(gram(2, 2), 1 + 1e-6);
  EXPECT_EQ(gram(3, 3), 0);
}

TEST(TallMatrix, OrthonormalizesDependentColumnsOfWhichOneRowHoldsNearlyAll) {
  // The grid of the sums is then coarse beside the trace of the Gram matrix.
  for (const std::int64_t rows : {8, 200, 5000}) {
    MatrixF l = Normal(rows, 8, 3);
    for (std::int64_t k = 0; k < 8; ++k) {
      for (std::int64_t i = 0; i < rows; ++i) l(i, k) = l(i, 0) * static_cast<float>(1 + k % 3);
      l(rows / 2, k) = 1e6F * static_cast<float>(1 + k % 3);
    }
    SerialCommunicator serial;
    const RowPartition partition(rows, 64, 1);
    const absl::Status status = OrthonormalizeColumns(l.view(), partition, serial);
    ASSERT_TRUE(status.ok()) << rows << ": " << base::MessageOf(status);
    EXPECT_NEAR(Gram(l.view(), partition, serial)(0, 0), 1, 1e-5) << rows;
  }
}

TEST(TallMatrix, RefusesNanOnEveryRank) {
  RunRanks(2, [](Communicator& communicator) {
    const RowPartition partition(128, 64, 2);
    MatrixF l = Normal(64, 2, 3);
    if (communicator.rank() == 1) l(63, 1) = std::numeric_limits<float>::quiet_NaN();
    const absl::Status status = OrthonormalizeColumns(l.view(), partition, communicator);
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  });
}

TEST(TallMatrix, OrderedSumAddsInBlockOrder) {
  const std::vector<double> values = {1e16, 1.0, -1e16, 1.0};
  const double expected = ((1e16 + 1.0) - 1e16) + 1.0;
  for (const int ranks : {1, 2, 4}) {
    RunRanks(ranks, [&](Communicator& communicator) {
      const RowPartition partition(4 * 64, 64, ranks);
      const auto first = static_cast<std::size_t>(partition.FirstBlock(communicator.rank()));
      const auto count = static_cast<std::size_t>(partition.BlockCount(communicator.rank()));
      EXPECT_EQ(OrderedSum(std::span(values).subspan(first, count), partition, communicator),
                expected);
    });
  }
}

}  // namespace
}  // namespace caldera::dist
