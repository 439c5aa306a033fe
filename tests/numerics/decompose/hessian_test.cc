#include "numerics/decompose/hessian.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "common/base/status.h"
#include "numerics/decompose/hessian_state.h"
#include "numerics/dist/thread_communicator.h"
#include "numerics/kernels/parallel.h"
#include "tests/numerics/decompose/cases.h"

namespace caldera::decompose {
namespace {

HessianSum SumOf(const linalg::MatrixF& x, std::int64_t window, int rank, int ranks) {
  HessianAccumulator accumulator(x.columns(), rank, ranks);
  for (std::int64_t first = 0; first < x.rows(); first += window) {
    accumulator.Add(x.view().Rows(first, std::min(window, x.rows() - first)));
  }
  return std::move(accumulator).Take();
}

TEST(HessianAccumulator, SumsOuterProducts) {
  for (const std::int64_t n : {1, 7, 300}) {
    const linalg::MatrixF x = Gaussian(50, n, 1);
    const HessianSum sum = SumOf(x, 16, 0, 1);
    EXPECT_EQ(sum.tokens, 50);
    ASSERT_EQ(sum.packed_lower.size(), static_cast<std::size_t>(n * (n + 1) / 2));
    std::size_t index = 0;
    for (std::int64_t i = 0; i < n; ++i) {
      for (std::int64_t j = 0; j <= i; ++j, ++index) {
        double expected = 0;
        for (std::int64_t t = 0; t < 50; ++t) expected += double{x(t, i)} * double{x(t, j)};
        ASSERT_NEAR(sum.packed_lower[index], expected, 50 * 50 * 1e-7) << i << ", " << j;
      }
    }
  }
}

TEST(HessianAccumulator, RanksOwnDisjointTilesWithTheSameBits) {
  const linalg::MatrixF x = Gaussian(40, 600, 2);
  const HessianSum whole = SumOf(x, 8, 0, 1);
  for (const int threads : {1, 2}) {
    kernels::SetThreads(threads);
    std::vector<float> together(whole.packed_lower.size());
    for (int rank = 0; rank < 3; ++rank) {
      const HessianSum part = SumOf(x, 8, rank, 3);
      for (std::size_t i = 0; i < together.size(); ++i) together[i] += part.packed_lower[i];
    }
    EXPECT_EQ(together, whole.packed_lower);
  }
  kernels::SetThreads(1);
}

TEST(MeanHessian, DividesTheSumOfPartialsByAllTokens) {
  const HessianSum a{2, 3, {1, 2, 3}};
  const HessianSum b{2, 1, {3, 2, 5}};
  const auto mean = MeanHessian(std::vector<HessianSum>{a, b});
  ASSERT_TRUE(mean.ok());
  EXPECT_EQ((*mean)(0, 0), 1);
  EXPECT_EQ((*mean)(1, 0), 1);
  EXPECT_EQ((*mean)(0, 1), 1);
  EXPECT_EQ((*mean)(1, 1), 2);
}

TEST(MeanHessian, RejectsNothingDifferentSizesAndNoTokens) {
  const HessianSum a{2, 3, {1, 2, 3}};
  const HessianSum other{1, 3, {1}};
  const HessianSum short_one{2, 3, {1, 2}};
  const HessianSum no_tokens{2, 0, {0, 0, 0}};
  const auto code = [](const std::vector<HessianSum>& partials) {
    return MeanHessian(partials).status().code();
  };
  EXPECT_EQ(code({}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code({a, other}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code({short_one}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code({no_tokens}), absl::StatusCode::kInvalidArgument);
}

TEST(PrepareHessian, FactorsTheRotatedDampedMatrix) {
  const std::int64_t n = 96;
  const linalg::MatrixF given = OutlierHessian(n);
  const auto prepared = PrepareHessian(given, 5);
  ASSERT_TRUE(prepared.ok());
  EXPECT_EQ(prepared->size(), n);
  const PreparedHessian::State& state = prepared->state();
  EXPECT_EQ(state.damping, .01);
  const linalg::ConstViewF rotated = state.rotated.view();
  const linalg::ConstViewF factor = state.factor.view();
  double trace = 0;
  for (std::int64_t i = 0; i < n; ++i) trace += static_cast<double>(rotated(i, i));
  EXPECT_NEAR(trace, static_cast<double>(n) * 1.01, static_cast<double>(n) * 1e-5);
  linalg::MatrixF product(n, n);
  linalg::Gemm(factor, linalg::Transposed(factor), product.view());
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j < n; ++j) {
      EXPECT_EQ(state.given.view()(i, j), given(i, j));
      EXPECT_EQ(rotated(i, j), rotated(j, i));
      EXPECT_NEAR(product(i, j), rotated(i, j), trace * 1e-6);
    }
  }
}

TEST(PrepareHessian, AcceptsZeroAndSingularMatrices) {
  EXPECT_TRUE(PrepareHessian(linalg::MatrixF(24, 24), 1).ok());
  linalg::MatrixF ones(24, 24);
  for (std::int64_t i = 0; i < 24; ++i) {
    for (std::int64_t j = 0; j < 24; ++j) ones(i, j) = 1;
  }
  EXPECT_TRUE(PrepareHessian(ones, 1).ok());
}

TEST(PrepareHessian, ClimbsTheDampingLadder) {
  // Eigenvalues 1 + 0.01 n / 2 and, once, -0.03 of the mean diagonal: 0.05 is the first that helps.
  linalg::MatrixF h = Identity(32);
  h(4, 4) = -.03F;
  const auto prepared = PrepareHessian(h, 1);
  ASSERT_TRUE(prepared.ok());
  EXPECT_EQ(prepared->state().damping, .05);
}

TEST(PrepareHessian, RejectsWhatIsNotAHessian) {
  linalg::MatrixF nan = Identity(8);
  nan(3, 2) = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(base::MessageOf(PrepareHessian(nan, 1).status()),
            "hessian: row 3, column 2 is not finite");
  linalg::MatrixF skew = Identity(8);
  skew(2, 5) = .5F;
  EXPECT_EQ(PrepareHessian(skew, 1).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(PrepareHessian(linalg::MatrixF(3, 4), 1).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(PrepareHessian(linalg::MatrixF(0, 0), 1).status().code(),
            absl::StatusCode::kInvalidArgument);
  linalg::MatrixF indefinite = Identity(8);
  indefinite(1, 1) = -1;
  EXPECT_EQ(PrepareHessian(indefinite, 1).status().code(), absl::StatusCode::kFailedPrecondition);
}

// Ranks of a host that has room for so many shared allocations and no more.
class LittleRoom final : public dist::Communicator {
 public:
  LittleRoom(dist::Communicator& inner, int room) : inner_(inner), room_(room) {}
  int rank() const override { return inner_.rank(); }
  int size() const override { return inner_.size(); }
  void Barrier() override { inner_.Barrier(); }
  void Broadcast(std::span<std::byte> bytes, int root) override { inner_.Broadcast(bytes, root); }
  void BroadcastWhenReady(std::vector<std::byte>& message, int root) override {
    inner_.BroadcastWhenReady(message, root);
  }
  void AllReduceSum(std::span<double> values) override { inner_.AllReduceSum(values); }
  void AllReduceMax(std::span<double> values) override { inner_.AllReduceMax(values); }
  std::vector<std::byte> AllGather(std::span<const std::byte> bytes) override {
    return inner_.AllGather(bytes);
  }
  std::vector<std::byte> Gather(std::span<const std::byte> bytes, int root) override {
    return inner_.Gather(bytes, root);
  }
  std::unique_ptr<dist::SharedBytes> Share(std::size_t size) override {
    if (room_-- > 0) return inner_.Share(size);
    return std::make_unique<dist::PrivateBytes>(size);
  }
  void Signal() override { inner_.Signal(); }
  bool Signalled() override { return inner_.Signalled(); }
  void ClearSignal() override { inner_.ClearSignal(); }

 private:
  dist::Communicator& inner_;
  int room_;
};

void ExpectEqual(const dist::SharedMatrix& a, const dist::SharedMatrix& b) {
  ASSERT_EQ(a.rows(), b.rows());
  for (std::int64_t i = 0; i < a.rows(); ++i) {
    EXPECT_TRUE(std::equal(a.view().row(i), a.view().row(i) + a.columns(), b.view().row(i))) << i;
  }
}

class SharedHessian : public ::testing::TestWithParam<int> {};

TEST_P(SharedHessian, HasTheBitsOfOneRankWhateverTheRanksShare) {
  linalg::MatrixF climbs = Identity(300);  // several steps of the ladder, several panels
  climbs(140, 140) = -.03F;
  for (const linalg::MatrixF& given : {OutlierHessian(72), climbs}) {
    const auto alone = PrepareHessian(given, 5);
    ASSERT_TRUE(alone.ok());
    dist::RunRanks(3, [&](dist::Communicator& ranks) {
      LittleRoom communicator(ranks, GetParam());
      const bool root = communicator.rank() == 0;
      auto prepared = PrepareHessian(
          dist::SharedMatrix::FromRoot(root ? given : linalg::MatrixF(), communicator), 5,
          communicator);
      ASSERT_TRUE(prepared.ok()) << base::MessageOf(prepared.status());
      EXPECT_EQ(prepared->state().damping, alone->state().damping);
      EXPECT_EQ(prepared->state().mean_diagonal, alone->state().mean_diagonal);
      ExpectEqual(prepared->state().given, alone->state().given);
      ExpectEqual(prepared->state().rotated, alone->state().rotated);
      ExpectEqual(prepared->state().factor, alone->state().factor);
    });
  }
}

INSTANTIATE_TEST_SUITE_P(Room, SharedHessian, ::testing::Values(0, 1, 2, 3));

// Not asked again after that: no further step of the ladder, on any rank.
TEST(PrepareHessian, EndsBetweenPanelsWhenItIsInterrupted) {
  const linalg::MatrixF given = OutlierHessian(300);
  for (const int last : {1, 3}) {
    dist::RunRanks(2, [&](dist::Communicator& communicator) {
      int asked = 0;
      const dist::Interrupt interrupt{[&] { return ++asked == last; }, {}};
      const auto prepared = PrepareHessian(dist::SharedMatrix::FromRoot(given, communicator), 5,
                                           communicator, interrupt);
      EXPECT_TRUE(absl::IsCancelled(prepared.status())) << prepared.status();
      EXPECT_EQ(asked, last);
    });
  }
}

TEST(PrepareHessian, TellsEveryRankWhatIsWrong) {
  linalg::MatrixF nan = Identity(8);
  nan(3, 2) = std::numeric_limits<float>::quiet_NaN();
  linalg::MatrixF indefinite = Identity(8);
  indefinite(1, 1) = -1;
  dist::RunRanks(3, [&](dist::Communicator& communicator) {
    const auto status = [&](const linalg::MatrixF& hessian) {
      return PrepareHessian(dist::SharedMatrix::FromRoot(hessian, communicator), 1, communicator)
          .status();
    };
    EXPECT_EQ(base::MessageOf(status(nan)), "hessian: row 3, column 2 is not finite");
    EXPECT_EQ(status(indefinite).code(), absl::StatusCode::kFailedPrecondition);
  });
}

}  // namespace
}  // namespace caldera::decompose
