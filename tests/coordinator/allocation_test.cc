#include "coordinator/allocation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "common/base/status.h"
#include "common/model/compressed_matrix.h"
#include "coordinator/spec.h"
#include "tests/coordinator/tiny_model.h"

namespace caldera::coordinator {
namespace {

using testing::HasSubstr;

// Bytes grow by `bytes` a step, the loss falls from `loss` by a factor at each.
AllotmentItem Item(std::uint64_t bytes, double loss, double factor) {
  AllotmentItem item;
  for (int step = 0; step <= kAllotmentSteps; ++step) {
    item.bytes.push_back(1000 + bytes * static_cast<std::uint64_t>(step));
    item.loss.push_back(loss * std::pow(factor, step));
  }
  return item;
}

std::uint64_t BytesOf(std::span<const AllotmentItem> items, const std::vector<int>& steps) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < items.size(); ++i) {
    sum += items[i].bytes[static_cast<std::size_t>(steps[i])];
  }
  return sum;
}

double LossOf(std::span<const AllotmentItem> items, const std::vector<int>& steps) {
  double sum = 0;
  for (std::size_t i = 0; i < items.size(); ++i) {
    sum += items[i].loss[static_cast<std::size_t>(steps[i])];
  }
  return sum;
}

// The least loss of two items within the budget.
double LeastLoss(std::span<const AllotmentItem> items, std::uint64_t budget) {
  double least = std::numeric_limits<double>::infinity();
  for (int a = 0; a <= kAllotmentSteps; ++a) {
    for (int b = 0; b <= kAllotmentSteps; ++b) {
      if (BytesOf(items, {a, b}) <= budget) least = std::min(least, LossOf(items, {a, b}));
    }
  }
  return least;
}

TEST(AllotSteps, IsTheBestChoiceOfAll) {
  const std::vector<AllotmentItem> items = {Item(10, 5, .9), Item(10, 1, .7)};
  for (std::uint64_t budget = 2000; budget <= 2700; budget += 7) {
    const std::vector<int> steps = AllotSteps(items, budget);
    EXPECT_LE(BytesOf(items, steps), budget);
    EXPECT_NEAR(LossOf(items, steps), LeastLoss(items, budget), 1e-12) << budget;
  }
}

TEST(AllotSteps, SpendsWhatIsLeftOnASmallerItem) {
  const std::vector<AllotmentItem> items = {Item(100, 50, .5), Item(1, 1, .99)};
  EXPECT_EQ(AllotSteps(items, 2000 + 100 + 20), (std::vector<int>{1, 20}));
}

TEST(AllotSteps, StartsAtTheBottomAndEndsAtTheTop) {
  const std::vector<AllotmentItem> items = {Item(10, 5, .9), Item(20, 1, .7)};
  EXPECT_EQ(AllotSteps(items, 0), (std::vector<int>{0, 0}));
  EXPECT_EQ(AllotSteps(items, 1 << 20), (std::vector<int>{kAllotmentSteps, kAllotmentSteps}));
}

TEST(AllotSteps, PassesOverStepsThatCostMoreThanTheyGain) {
  // Whole numbers of bits are cheap: a map of the columns goes away.
  AllotmentItem item = Item(10, 8, .95);
  for (int step = 1; step < kAllotmentSteps; ++step) {
    if (step != 16) item.bytes[static_cast<std::size_t>(step)] += 200;
  }
  const std::vector<AllotmentItem> items = {item, item};
  EXPECT_EQ(AllotSteps(items, 2000 + 160), (std::vector<int>{16, 0}));
}

TEST(AllotSteps, TakesItemsWithoutLossLast) {
  const std::vector<AllotmentItem> items = {Item(10, 0, .9), Item(10, 1e-9, .9)};
  EXPECT_EQ(AllotSteps(items, 2000 + 10 * kAllotmentSteps), (std::vector<int>{0, kAllotmentSteps}));
}

v1::MatrixProbe Probe(int layer, int projection, double divergence) {
  const auto p = static_cast<model::Projection>(projection);
  const model::MatrixShape shape = model::ShapeOf(TinyConfig(), p);
  v1::MatrixProbe probe;
  probe.set_layer(layer);
  probe.set_projection(model::ProjectionPath(p));
  probe.set_rows(shape.rows);
  probe.set_columns(shape.columns);
  probe.set_relative_error(.1);
  probe.set_divergence(divergence);
  for (int step = 0; step <= kAllotmentSteps; ++step) probe.add_loss_curve(std::pow(.9, step));
  return probe;
}

std::vector<v1::MatrixProbe> Probes(int layers) {
  std::vector<v1::MatrixProbe> probes;
  for (int layer = 0; layer < layers; ++layer) {
    for (int p = 0; p < model::kProjectionCount; ++p) {
      probes.push_back(Probe(layer, p, .001 * (1 + layer) * (1 + p)));
    }
  }
  return probes;
}

v1::JobSpec SpecWithTarget(double target_bits, int rank) {
  v1::JobSpec spec;
  spec.mutable_decomposition()->set_target_bits(target_bits);
  spec.mutable_decomposition()->set_rank(rank);
  return WithDefaults(spec);
}

class AllottedModel : public testing::TestWithParam<std::pair<double, int>> {};

TEST_P(AllottedModel, StaysWithinItsTargetAndComesNearIt) {
  const model::ModelConfig config = TinyConfig();
  const auto layers = static_cast<int>(config.num_hidden_layers);
  const v1::JobSpec spec = SpecWithTarget(GetParam().first, GetParam().second);
  const std::vector<v1::MatrixProbe> probes = Probes(layers);
  std::int64_t weights = 0;
  for (const v1::MatrixProbe& probe : probes) weights += probe.rows() * probe.columns();
  const auto budget =
      static_cast<std::uint64_t>(GetParam().first * static_cast<double>(weights) / 8);

  const std::vector<double> q_bits = AllotBits(spec.decomposition(), budget, probes);

  ASSERT_EQ(q_bits.size(), probes.size());
  std::uint64_t bytes = 0;
  std::uint64_t smallest_step = budget;
  for (std::size_t i = 0; i < probes.size(); ++i) {
    v1::Decomposition one = spec.decomposition();
    one.set_q_bits(q_bits[i]);
    const model::MatrixShape shape = {probes[i].rows(), probes[i].columns()};
    bytes += model::StoredBytes(HeaderFor(one, shape));
    smallest_step =
        std::min(smallest_step, static_cast<std::uint64_t>(shape.rows * shape.columns / 8 / 16));
  }
  EXPECT_LE(bytes, budget);
  EXPECT_GE(bytes + 8 * smallest_step, budget);
  EXPECT_GT(q_bits.back(), q_bits.front());  // of the largest and the smallest divergence
}

INSTANTIATE_TEST_SUITE_P(Targets, AllottedModel,
                         testing::Values(std::pair(3.0, 0), std::pair(3.5, 0), std::pair(7.0, 3)));

TEST(CheckProbes, AcceptsTheProbesOfItsLayers) { EXPECT_TRUE(CheckProbes(0, 2, Probes(2)).ok()); }

template <typename Change>
std::string Refusal(Change change) {
  std::vector<v1::MatrixProbe> probes = Probes(2);
  change(probes);
  const absl::Status status = CheckProbes(0, 2, probes);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  return base::MessageOf(status);
}

TEST(CheckProbes, NamesWhatIsWrong) {
  using List = std::vector<v1::MatrixProbe>;
  EXPECT_THAT(Refusal([](List& list) { list.pop_back(); }), HasSubstr("13 probes, expected 14"));
  EXPECT_THAT(Refusal([](List& list) { std::swap(list[0], list[1]); }),
              HasSubstr("layer 0 self_attn.q_proj expected"));
  EXPECT_THAT(Refusal([](List& list) { list[9].set_divergence(std::nan("")); }),
              HasSubstr("layer 1 self_attn.v_proj: divergence"));
  EXPECT_THAT(Refusal([](List& list) { list[0].set_relative_error(-1); }),
              HasSubstr("relative_error"));
  EXPECT_THAT(Refusal([](List& list) { list[0].mutable_loss_curve()->RemoveLast(); }),
              HasSubstr("32 values"));
  EXPECT_THAT(Refusal([](List& list) { list[0].set_loss_curve(7, 2); }),
              HasSubstr("loss_curve[7]"));
  EXPECT_THAT(Refusal([](List& list) { list[0].set_rows(0); }), HasSubstr("0 x"));
}

}  // namespace
}  // namespace caldera::coordinator
