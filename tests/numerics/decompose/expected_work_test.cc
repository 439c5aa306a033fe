// The estimate of common/model/work_estimate.h against what Decompose counts.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/model/work_estimate.h"
#include "numerics/dist/thread_communicator.h"
#include "tests/numerics/decompose/cases.h"

namespace caldera::decompose {
namespace {

constexpr std::int64_t kRows = 192;
constexpr std::int64_t kColumns = 256;

struct Case {
  double q_bits;
  std::int64_t rank;
  int l_bits;
  int r_bits;
  model::CodebookKind codebook = model::CodebookKind::kE8P;
  int iterations = 0;
  model::RecipeKind recipe = model::RecipeKind::kDefault;

  std::string Name() const {
    return fmt::format("{} bits, rank {}, factors {} and {}, {}, {}, {} iterations", q_bits, rank,
                       l_bits, r_bits, model::CodebookName(codebook), model::RecipeName(recipe),
                       iterations);
  }
  DecomposeOptions Options() const {
    DecomposeOptions options = OptionsOf(q_bits, rank, l_bits);
    options.r_bits = base::Bits(r_bits);
    options.codebook = codebook;
    options.iterations = iterations;
    options.recipe = recipe;
    return options;
  }
  model::DecompositionSettings Settings() const {
    return {std::string(model::RecipeName(recipe)),
            std::string(model::CodebookName(codebook)),
            q_bits,
            static_cast<std::int32_t>(rank),
            l_bits,
            r_bits,
            iterations,
            0,
            ""};
  }
};

constexpr auto kTrellis = model::CodebookKind::kTrellis10;
constexpr auto kE8P = model::CodebookKind::kE8P;
constexpr auto kPublished = model::RecipeKind::kPublished;

std::vector<Case> Cases() {
  return {
      {2, 0, 4, 4},
      {3, 0, 4, 4, kTrellis},
      {2.5, 0, 4, 4, kTrellis},
      {2, 0, 4, 4, kTrellis, 2},
      {2, 32, 4, 4},
      {2, 32, 4, 4, kTrellis},
      {2.5, 48, 4, 4, kTrellis},
      {2, 8, 4, 4, kTrellis},
      {2, 32, 4, 4, kTrellis, 1},
      {2, 32, 4, 4, kTrellis, 4},
      {2, 32, 4, 16},
      {2, 32, 8, 8},
      {2, 64, 16, 16},
      {2, 32, 16, 16, kTrellis},
      {2, 32, 16, 16, kE8P, 2},
      {2, 0, 4, 4, kE8P, 0, kPublished},
      {2, 24, 4, 4, kE8P, 3, kPublished},
      {2, 24, 16, 16, kE8P, 3, kPublished},
  };
}

TEST(ExpectedDecomposition, CountsTheFlopsThatDecomposeExecutes) {
  const linalg::MatrixF weight = HeavyTailedWeight(kRows, kColumns);
  const linalg::MatrixF hessian = OutlierHessian(kColumns);
  for (const Case& one : Cases()) {
    const auto result = DecomposeAlone(weight, hessian, one.Options());
    ASSERT_TRUE(result.ok()) << one.Name() << ": " << base::MessageOf(result.status());

    const auto work = model::ExpectedDecomposition({kRows, kColumns}, one.Settings());
    const auto fewer = model::ExpectedDecomposition({kRows, kColumns}, one.Settings(), 2);

    // The matrix decides how many splits of the rank are tried; other recipes try none.
    const double off = std::min(std::abs(work.flops / result->local_flops - 1),
                                std::abs(fewer.flops / result->local_flops - 1));
    EXPECT_LT(off, .1) << one.Name();
    EXPECT_EQ(work.iterates, static_cast<double>(result->error_curve.size())) << one.Name();
    EXPECT_LT(work.wide_flops, .6 * work.flops) << one.Name();
  }
}

TEST(ExpectedDecomposition, TellsWhatEveryRankRepeats) {
  const linalg::MatrixF weight = HeavyTailedWeight(kRows, kColumns);
  const auto prepared = PrepareHessian(OutlierHessian(kColumns), 3);
  ASSERT_TRUE(prepared.ok());
  for (const Case& one : {Case{2, 0, 4, 4}, {2, 48, 4, 4, kTrellis}, {2, 48, 16, 16}}) {
    std::vector<double> flops(2);
    dist::RunRanks(2, [&](dist::Communicator& communicator) {
      const dist::RowPartition rows(kRows, RowBlock(kRows), 2);
      const int rank = communicator.rank();
      const auto mine = weight.view().Rows(rows.FirstRow(rank), rows.RowCount(rank));
      const auto result = Decompose(mine, rows, *prepared, one.Options(), communicator);
      ASSERT_TRUE(result.ok()) << one.Name() << ": " << base::MessageOf(result.status());
      flops[static_cast<std::size_t>(rank)] = result->local_flops;
    });

    const auto work = model::ExpectedDecomposition({kRows, kColumns}, one.Settings());

    EXPECT_NEAR((work.flops + work.replicated_flops) / (flops[0] + flops[1]), 1, .1) << one.Name();
  }
}

}  // namespace
}  // namespace caldera::decompose
