#include "numerics/decompose/decompose.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <span>
#include <tuple>
#include <vector>

#include "common/base/status.h"
#include "numerics/decompose/linear_map.h"
#include "numerics/dist/thread_communicator.h"
#include "numerics/kernels/hadamard.h"
#include "numerics/kernels/parallel.h"
#include "tests/numerics/decompose/cases.h"

namespace caldera::decompose {
namespace {

// What a stored matrix is compared by.
auto Stored(const model::CompressedMatrix& matrix) {
  return std::tie(matrix.header, matrix.q_scale, matrix.q_codes, matrix.q_column_bits,
                  matrix.l_codes, matrix.l_scale, matrix.r_codes, matrix.r_scale, matrix.sign_in,
                  matrix.sign_out);
}

struct Outcome {
  DecomposeResult whole;       // rank 0's
  std::vector<double> flops;   // of each rank
  std::vector<double> errors;  // as each rank reports it
};

Outcome DecomposeOnRanks(int ranks, const linalg::MatrixF& weight, const PreparedHessian& hessian,
                         const DecomposeOptions& options) {
  Outcome outcome;
  outcome.flops.resize(static_cast<std::size_t>(ranks));
  outcome.errors.resize(static_cast<std::size_t>(ranks));
  dist::RunRanks(ranks, [&](dist::Communicator& communicator) {
    const dist::RowPartition rows(weight.rows(), RowBlock(weight.rows()), ranks);
    const int rank = communicator.rank();
    const auto mine = weight.view().Rows(rows.FirstRow(rank), rows.RowCount(rank));
    auto result = Decompose(mine, rows, hessian, options, communicator);
    ASSERT_TRUE(result.ok()) << base::MessageOf(result.status());
    outcome.flops[static_cast<std::size_t>(rank)] = result->local_flops;
    outcome.errors[static_cast<std::size_t>(rank)] = result->relative_error;
    if (rank == 0) outcome.whole = *std::move(result);
  });
  return outcome;
}

TEST(Decompose, ReportsTheErrorOfTheCodesInTheOriginalBasis) {
  const linalg::MatrixF weight = HeavyTailedWeight(72, 96);
  const linalg::MatrixF hessian = OutlierHessian(96);
  for (const auto& [q_bits, rank, bits] :
       {std::tuple{2, 0, 4}, {3, 20, 8}, {2, 24, 4}, {4, 9, 16}}) {
    const auto result = DecomposeAlone(weight, hessian, OptionsOf(q_bits, rank, bits));
    ASSERT_TRUE(result.ok()) << base::MessageOf(result.status());
    const auto decoded = DecodeMatrix(result->matrix);
    ASSERT_TRUE(decoded.ok()) << base::MessageOf(decoded.status());
    EXPECT_NEAR(result->relative_error, PlainRelativeError(weight, *decoded, hessian),
                1e-5 * result->relative_error);
  }
}

TEST(Decompose, ReturnsTheBestOfTheIteratesItMeasured) {
  const auto result =
      DecomposeAlone(HeavyTailedWeight(128, 128), OutlierHessian(128), OptionsOf(2, 32, 4));
  ASSERT_TRUE(result.ok());
  ASSERT_FALSE(result->error_curve.empty());
  EXPECT_EQ(result->relative_error,
            *std::min_element(result->error_curve.begin(), result->error_curve.end()));
  EXPECT_EQ(result->relative_error,
            result->error_curve[static_cast<std::size_t>(result->best_iteration - 1)]);
}

TEST(Decompose, MixedFactorWidthsWork) {
  DecomposeOptions options = OptionsOf(2, 16, 4);
  for (const auto& [l_bits, r_bits] : {std::pair{4, 8}, {16, 4}, {8, 16}}) {
    options.l_bits = base::Bits(l_bits);
    options.r_bits = base::Bits(r_bits);
    const linalg::MatrixF weight = HeavyTailedWeight(64, 72);
    const auto result = DecomposeAlone(weight, OutlierHessian(72), options);
    ASSERT_TRUE(result.ok()) << base::MessageOf(result.status());
    EXPECT_TRUE(model::ValidateCompressedMatrix(result->matrix, "test").ok());
    EXPECT_LT(result->relative_error, .3);
  }
}

TEST(Decompose, GivesTheSameBitsForAnyNumberOfRanksAndThreads) {
  const linalg::MatrixF weight = HeavyTailedWeight(264, 200);
  const auto hessian = PrepareHessian(OutlierHessian(200), 3);
  ASSERT_TRUE(hessian.ok());
  for (const auto& [q_bits, rank, bits] :
       {std::tuple{2.0, 0, 4}, {2.0, 48, 4}, {2.4, 16, 16}, {2.0, 12, 8}, {3.0, 9, 16}}) {
    DecomposeOptions options = OptionsOf(q_bits, rank, bits);
    if (rank == 9) options.recipe = model::RecipeKind::kPublished;
    if (rank == 48 || rank == 12) options.codebook = model::CodebookKind::kTrellis10;
    const Outcome one = DecomposeOnRanks(1, weight, *hessian, options);
    for (const int ranks : {1, 2, 4}) {
      for (const int threads : {1, 2}) {
        kernels::SetThreads(threads);
        const Outcome other = DecomposeOnRanks(ranks, weight, *hessian, options);
        EXPECT_TRUE(Stored(one.whole.matrix) == Stored(other.whole.matrix))
            << "rank " << rank << ", " << ranks << " ranks, " << threads << " threads";
        EXPECT_EQ(one.whole.error_curve, other.whole.error_curve);
        for (const double error : other.errors) EXPECT_EQ(error, one.whole.relative_error);
      }
    }
    kernels::SetThreads(1);
  }
}

TEST(Decompose, MoreRanksThanRowBlocksLeavesSomeIdle) {
  const linalg::MatrixF weight = HeavyTailedWeight(72, 64);
  const auto hessian = PrepareHessian(OutlierHessian(64), 3);
  ASSERT_TRUE(hessian.ok());
  const DecomposeOptions options = OptionsOf(2, 16, 4);
  const Outcome one = DecomposeOnRanks(1, weight, *hessian, options);
  const Outcome four = DecomposeOnRanks(4, weight, *hessian, options);
  EXPECT_TRUE(Stored(one.whole.matrix) == Stored(four.whole.matrix));
}

TEST(Decompose, TwoRanksDoAtMostSixtyPercentOfTheFlopsEach) {
  const linalg::MatrixF weight = HeavyTailedWeight(512, 512, 16);
  const auto hessian = PrepareHessian(OutlierHessian(512), 3);
  ASSERT_TRUE(hessian.ok());
  for (const auto& [rank, bits] : {std::pair{0, 4}, {64, 4}, {32, 16}}) {
    DecomposeOptions options = OptionsOf(2, rank, bits);
    options.iterations = 1;
    const Outcome one = DecomposeOnRanks(1, weight, *hessian, options);
    const Outcome two = DecomposeOnRanks(2, weight, *hessian, options);
    for (const double flops : two.flops) EXPECT_LE(flops, .6 * one.flops[0]);
    EXPECT_GE(two.flops[0] + two.flops[1], one.flops[0] * (1 - 1e-9));
  }
}

TEST(Decompose, RecoversALowRankWeightWithSixteenBitFactors) {
  const linalg::MatrixF left = Gaussian(96, 6, 1);
  const linalg::MatrixF right = Gaussian(6, 80, 2);
  linalg::MatrixF weight(96, 80);
  linalg::Gemm(left, right, weight.view());
  const auto result = DecomposeAlone(weight, OutlierHessian(80), OptionsOf(2, 8, 16));
  ASSERT_TRUE(result.ok()) << base::MessageOf(result.status());
  // Half precision leaves 2^-12 per factor element; Q rounds what is left of it.
  EXPECT_LT(result->relative_error, 2 * std::exp2(-12));
}

TEST(Decompose, AcceptsEveryShape) {
  for (const auto& [m, n, rank] : {std::tuple{1, 8, 0},
                                   {1, 1, 0},
                                   {7, 13, 3},
                                   {13, 7, 6},
                                   {64, 512, 16},
                                   {192, 576, 24},
                                   {100, 60, 10}}) {
    for (const int bits : {4, 16}) {
      const linalg::MatrixF weight = HeavyTailedWeight(m, n, 1);
      const auto result = DecomposeAlone(weight, OutlierHessian(n), OptionsOf(2, rank, bits));
      ASSERT_TRUE(result.ok()) << m << " x " << n << ": " << base::MessageOf(result.status());
      EXPECT_TRUE(model::ValidateCompressedMatrix(result->matrix, "test").ok());
      EXPECT_LT(result->relative_error, 1) << m << " x " << n;
    }
  }
}

TEST(Decompose, AZeroWeightHasNoError) {
  for (const std::int64_t rank : {0, 8}) {
    const auto result =
        DecomposeAlone(linalg::MatrixF(40, 24), OutlierHessian(24), OptionsOf(2, rank, 4));
    ASSERT_TRUE(result.ok()) << base::MessageOf(result.status());
    EXPECT_EQ(result->relative_error, 0);
    const auto decoded = DecodeMatrix(result->matrix);
    ASSERT_TRUE(decoded.ok());
    for (std::int64_t i = 0; i < 40; ++i) EXPECT_EQ((*decoded)(i, 0), 0);
  }
}

TEST(Decompose, AZeroHessianGivesNoErrorAndAUsableMatrix) {
  const linalg::MatrixF weight = HeavyTailedWeight(40, 24);
  for (const int bits : {4, 16}) {
    const auto result = DecomposeAlone(weight, linalg::MatrixF(24, 24), OptionsOf(2, 8, bits));
    ASSERT_TRUE(result.ok()) << base::MessageOf(result.status());
    EXPECT_EQ(result->relative_error, 0);
    const auto decoded = DecodeMatrix(result->matrix);
    ASSERT_TRUE(decoded.ok());
    EXPECT_LT(PlainRelativeError(weight, *decoded, Identity(24)), .5);
  }
}

TEST(Decompose, RoundsEachGroupOfRowsOnItsOwnScale) {
  linalg::MatrixF weight = HeavyTailedWeight(128, 48);
  for (std::int64_t i = 64; i < 128; ++i) {
    for (std::int64_t j = 0; j < 48; ++j) weight(i, j) *= 1000;
  }
  const linalg::MatrixF hessian = OutlierHessian(48);
  DecomposeOptions options = OptionsOf(4, 0, 4);
  const auto whole = DecomposeAlone(weight, hessian, options);
  ASSERT_TRUE(whole.ok()) << base::MessageOf(whole.status());
  // Blocks of the output transform are 128 rows here: the rotation spreads the strong rows evenly.
  ASSERT_EQ(whole->matrix.q_scale.size(), 2U);
  EXPECT_NEAR(whole->matrix.q_scale[0] / whole->matrix.q_scale[1], 1, .3);

  linalg::MatrixF narrow(192, 48);  // blocks of 64 rows: each keeps its size
  linalg::Copy(weight.view(), narrow.view().Rows(0, 128));
  linalg::Copy(weight.view().Rows(0, 64), narrow.view().Rows(128, 64));
  const auto parts = DecomposeAlone(narrow, hessian, options);
  ASSERT_TRUE(parts.ok()) << base::MessageOf(parts.status());
  ASSERT_EQ(parts->matrix.q_scale.size(), 3U);
  EXPECT_LT(parts->matrix.q_scale[0], parts->matrix.q_scale[1] / 500);
  const auto decoded = DecodeMatrix(parts->matrix);
  ASSERT_TRUE(decoded.ok());
  linalg::MatrixF weak(64, 48);
  linalg::MatrixF weak_decoded(64, 48);
  linalg::Copy(narrow.view().Rows(0, 64), weak.view());
  linalg::Copy(decoded->view().Rows(0, 64), weak_decoded.view());
  EXPECT_LT(PlainRelativeError(weak, weak_decoded, hessian), .05);
}

TEST(Decompose, WorksOnDegenerateWeights) {
  linalg::MatrixF constant(64, 48);
  linalg::MatrixF sparse = HeavyTailedWeight(64, 48);
  linalg::MatrixF tiny = HeavyTailedWeight(64, 48);
  linalg::MatrixF huge = HeavyTailedWeight(64, 48);
  for (std::int64_t i = 0; i < 64; ++i) {
    for (std::int64_t j = 0; j < 48; ++j) {
      constant(i, j) = 3;
      if (i % 3 != 0) sparse(i, j) = 0;
      tiny(i, j) *= 1e-25F;
      huge(i, j) *= 1e25F;
    }
  }
  for (const linalg::MatrixF& weight : {constant, sparse, tiny, huge}) {
    for (const auto& [rank, bits] : {std::pair{0, 4}, {16, 4}, {16, 16}}) {
      const auto result = DecomposeAlone(weight, OutlierHessian(48), OptionsOf(2, rank, bits));
      ASSERT_TRUE(result.ok()) << base::MessageOf(result.status());
      EXPECT_LT(result->relative_error, .5);
    }
  }
}

TEST(Decompose, WorksOnDegenerateHessians) {
  linalg::MatrixF dead = OutlierHessian(48);
  for (std::int64_t k = 0; k < 48; ++k) {
    for (const std::int64_t channel : {0, 11, 47}) dead(channel, k) = dead(k, channel) = 0;
  }
  const linalg::MatrixF x = Gaussian(5, 48, 9);
  linalg::MatrixF deficient(48, 48);
  linalg::Gemm(linalg::Transposed(x.view()), x, deficient.view());
  linalg::MatrixF blocks = OutlierHessian(48);
  for (std::int64_t i = 0; i < 48; ++i) {
    for (std::int64_t j = 0; j < 48; ++j) blocks(i, j) *= static_cast<float>(i / 16 == j / 16);
  }
  const linalg::MatrixF weight = HeavyTailedWeight(64, 48);
  for (const linalg::MatrixF& hessian : {dead, deficient, blocks}) {
    for (const auto& [rank, bits] : {std::pair{0, 4}, {16, 4}, {16, 16}}) {
      const auto result = DecomposeAlone(weight, hessian, OptionsOf(2, rank, bits));
      ASSERT_TRUE(result.ok()) << base::MessageOf(result.status());
      EXPECT_LT(result->relative_error, .5);
    }
  }
}

TEST(Decompose, NamesTheElementThatIsNotFinite) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    linalg::MatrixF weight = HeavyTailedWeight(200, 24);
    weight(130, 5) = bad;
    weight(131, 2) = bad;
    const auto hessian = PrepareHessian(OutlierHessian(24), 1);
    ASSERT_TRUE(hessian.ok());
    dist::RunRanks(2, [&](dist::Communicator& communicator) {
      const dist::RowPartition rows(200, RowBlock(200), 2);
      const int rank = communicator.rank();
      const auto result = Decompose(weight.view().Rows(rows.FirstRow(rank), rows.RowCount(rank)),
                                    rows, *hessian, OptionsOf(2, 0, 4), communicator);
      EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
      EXPECT_EQ(base::MessageOf(result.status()), "weight: row 130, column 5 is not finite");
    });
  }
}

TEST(Decompose, RejectsArgumentsOutOfRange) {
  const linalg::MatrixF weight = HeavyTailedWeight(16, 24);
  const auto code = [&](const DecomposeOptions& options) {
    return DecomposeAlone(weight, OutlierHessian(24), options).status().code();
  };
  EXPECT_EQ(code(OptionsOf(2, 16, 4)), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code(OptionsOf(2, -1, 4)), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code(OptionsOf(2, 8, 5)), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code(OptionsOf(7, 8, 4)), absl::StatusCode::kInvalidArgument);
  for (const std::int64_t signal_rank : {-8, 4, 8}) {
    DecomposeOptions options = OptionsOf(2, 8, 4);
    options.signal_rank = signal_rank;
    EXPECT_EQ(code(options), absl::StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(DecomposeAlone(weight, OutlierHessian(32), OptionsOf(2, 0, 4)).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(Decompose, StopsOnRequest) {
  DecomposeOptions options = OptionsOf(2, 8, 4);
  int calls = 0;
  options.interrupt.stop = [&] { return ++calls >= 3; };
  const auto result = DecomposeAlone(HeavyTailedWeight(64, 64), OutlierHessian(64), options);
  EXPECT_EQ(result.status().code(), absl::StatusCode::kCancelled);
  EXPECT_LE(calls, 4);
}

// Rank 0 leaves the step in which it asks for the `last`-th time; all ranks agree between steps.
dist::Interrupt LeaveAt(int last, std::atomic<int>* asked, dist::Communicator& communicator) {
  const bool first = communicator.rank() == 0;
  return {[=, &communicator] {
            double left = first && *asked >= last ? 1 : 0;
            communicator.AllReduceMax(std::span(&left, 1));
            return left > 0;
          },
          [=] { return first && ++*asked >= last; }};
}

// How often rank 0 asked; every rank ended with `expected`.
int AsksUntil(int last, int ranks, model::RecipeKind recipe, absl::StatusCode expected) {
  const linalg::MatrixF weight = HeavyTailedWeight(128, 300);
  const PreparedHessian hessian = *PrepareHessian(OutlierHessian(300), 3);
  std::atomic<int> asked = 0;
  dist::RunRanks(ranks, [&](dist::Communicator& communicator) {
    DecomposeOptions options = OptionsOf(2, 8, 4);
    options.recipe = recipe;
    options.iterations = 1;
    options.interrupt = LeaveAt(last, &asked, communicator);
    const dist::RowPartition partition(128, RowBlock(128), ranks);
    const auto rows = weight.view().Rows(partition.FirstRow(communicator.rank()),
                                         partition.RowCount(communicator.rank()));
    const auto result = Decompose(rows, partition, hessian, options, communicator);
    EXPECT_EQ(result.status().code(), expected) << result.status();
  });
  return asked;
}

TEST(Decompose, LeavesEveryStepInTheMiddleOnEveryRank) {
  constexpr int kNever = std::numeric_limits<int>::max();
  for (const auto recipe : {model::RecipeKind::kDefault, model::RecipeKind::kPublished}) {
    for (const int ranks : {1, 2}) {
      const int all = AsksUntil(kNever, ranks, recipe, absl::StatusCode::kOk);
      ASSERT_GT(all, 30);
      for (int last = 1; last <= all; last += 1 + all / 20) {
        // What else runs in parallel asks once more, and what lies before the next safe point.
        EXPECT_LE(AsksUntil(last, ranks, recipe, absl::StatusCode::kCancelled), last + 10);
      }
    }
  }
}

TEST(RowBlock, IsAMultipleOfTheOutputBlockAndOfSixtyFour) {
  for (const std::int64_t m : {1, 7, 64, 192, 576, 1024, 1536, 4096, 11008, 28672, 29568}) {
    EXPECT_EQ(RowBlock(m) % 64, 0) << m;
    EXPECT_EQ(RowBlock(m) % kernels::HadamardBlock(m), 0) << m;
  }
}

}  // namespace
}  // namespace caldera::decompose
