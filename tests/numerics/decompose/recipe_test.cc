#include "numerics/decompose/recipe.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "common/base/status.h"
#include "numerics/decompose/linear_map.h"
#include "tests/numerics/decompose/cases.h"

namespace caldera::decompose {
namespace {

TEST(Recipe, TriesOnlyTheSignalRankAskedFor) {
  const linalg::MatrixF weight = HeavyTailedWeight(128, 128);
  const linalg::MatrixF hessian = OutlierHessian(128);
  DecomposeOptions options = OptionsOf(2, 48, 4);
  options.iterations = 1;
  const auto chosen = DecomposeAlone(weight, hessian, options);
  ASSERT_TRUE(chosen.ok());
  std::vector<double> errors;
  for (const std::int64_t signal_rank : {24, 8, 0}) {  // those that it may have tried
    options.signal_rank = signal_rank;
    const auto one = DecomposeAlone(weight, hessian, options);
    ASSERT_TRUE(one.ok()) << base::MessageOf(one.status());
    errors.push_back(one->relative_error);
    EXPECT_LT(one->local_flops, chosen->local_flops);
  }
  EXPECT_NE(errors[0], errors[1]);
  EXPECT_NE(std::find(errors.begin(), errors.end(), chosen->relative_error), errors.end());
}

TEST(Recipe, MoreBitsAndMoreRankLowerTheError) {
  const linalg::MatrixF weight = HeavyTailedWeight(128, 128);
  const linalg::MatrixF hessian = OutlierHessian(128);
  const auto error = [&](int q_bits, std::int64_t rank, int bits) {
    const auto result = DecomposeAlone(weight, hessian, OptionsOf(q_bits, rank, bits));
    return result.ok() ? result->relative_error : std::numeric_limits<double>::infinity();
  };
  EXPECT_LT(error(3, 0, 4), error(2, 0, 4));
  EXPECT_LT(error(4, 0, 4), error(3, 0, 4));
  EXPECT_LT(error(2, 16, 4), error(2, 0, 4));
  EXPECT_LT(error(2, 32, 4), error(2, 16, 4));
  EXPECT_LT(error(2, 32, 16), error(2, 32, 4));
}

TEST(Recipe, FewCoarseDirectionsBesideManyOutlierChannelsStillLowerTheError) {
  const linalg::MatrixF weight = HeavyTailedWeight(192, 384);
  const linalg::MatrixF hessian = OutlierHessian(384);  // 11 strong channels
  DecomposeOptions options = OptionsOf(2, 0, 4);
  options.codebook = model::CodebookKind::kTrellis10;
  const auto without = DecomposeAlone(weight, hessian, options);
  options.rank = 8;
  const auto with = DecomposeAlone(weight, hessian, options);
  ASSERT_TRUE(without.ok() && with.ok());
  EXPECT_LT(with->relative_error, .9 * without->relative_error)
      << without->relative_error << " without";
}

TEST(Recipe, ATrellisBeatsE8pAtTheSameBits) {
  const linalg::MatrixF weight = HeavyTailedWeight(256, 384);
  const linalg::MatrixF hessian = OutlierHessian(384);
  const auto run = [&](DecomposeOptions options, model::CodebookKind codebook) {
    options.codebook = codebook;
    return DecomposeAlone(weight, hessian, options);
  };
  for (const DecomposeOptions& options :
       {OptionsOf(2, 0, 4), OptionsOf(3, 0, 4), OptionsOf(4, 0, 4), OptionsOf(2, 32, 4)}) {
    const auto e8p = run(options, model::CodebookKind::kE8P);
    const auto trellis = run(options, model::CodebookKind::kTrellis10);
    ASSERT_TRUE(e8p.ok() && trellis.ok());
    EXPECT_LT(trellis->relative_error, .96 * e8p->relative_error)
        << options.q_bits << " bits, rank " << options.rank << ", factors of "
        << options.l_bits.value();
    EXPECT_EQ(model::BitsPerWeight(trellis->matrix.header),
              model::BitsPerWeight(e8p->matrix.header));
    const auto decoded = DecodeMatrix(trellis->matrix);
    ASSERT_TRUE(decoded.ok());
    EXPECT_NEAR(trellis->relative_error, PlainRelativeError(weight, *decoded, hessian),
                1e-5 * trellis->relative_error);
  }
}

TEST(Recipe, ThePublishedRecipeIsTheWorseYardstick) {
  const linalg::MatrixF weight = HeavyTailedWeight(136, 132);
  const linalg::MatrixF hessian = OutlierHessian(132);
  for (const auto& [rank, bits] : {std::pair{0, 4}, {24, 4}, {24, 16}}) {
    DecomposeOptions options = OptionsOf(2, rank, bits);
    const auto ours = DecomposeAlone(weight, hessian, options);
    options.recipe = model::RecipeKind::kPublished;
    options.iterations = 3;
    const auto published = DecomposeAlone(weight, hessian, options);
    ASSERT_TRUE(ours.ok() && published.ok()) << base::MessageOf(published.status());
    EXPECT_LT(ours->relative_error, published->relative_error) << "rank " << rank;
    EXPECT_EQ(published->error_curve.size(), rank == 0 ? 1U : 5U);  // Q, then twice L R and Q
    EXPECT_EQ(published->matrix.header.axis, model::CodewordAxis::kColumns);
    const auto decoded = DecodeMatrix(published->matrix);
    ASSERT_TRUE(decoded.ok()) << base::MessageOf(decoded.status());
    EXPECT_NEAR(published->relative_error, PlainRelativeError(weight, *decoded, hessian),
                1e-5 * published->relative_error);
  }
}

TEST(Recipe, ThePublishedRecipeIsE8pWithWholeBits) {
  DecomposeOptions options = OptionsOf(2.5, 0, 4);
  options.recipe = model::RecipeKind::kPublished;
  const auto run = [&] {
    return DecomposeAlone(HeavyTailedWeight(16, 16), Identity(16), options).status().code();
  };
  EXPECT_EQ(run(), absl::StatusCode::kInvalidArgument);
  options.q_bits = 2;
  EXPECT_EQ(run(), absl::StatusCode::kOk);
  options.codebook = model::CodebookKind::kTrellis10;
  EXPECT_EQ(run(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace caldera::decompose
