#include "coordinator/allocation.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "common/base/status.h"
#include "common/model/compressed_matrix.h"
#include "coordinator/spec.h"

namespace caldera::coordinator {
namespace {

// Three bits would be those of every column; just below, they go where they lower the error most.
double StepBits(int step) {
  return step == kAllotmentSteps / 2 ? 3 - 1.0 / 1024 : 2 + 2.0 * step / kAllotmentSteps;
}

// An edge of an item's lower convex hull.
struct Segment {
  std::size_t item;
  int from;
  int to;
  double gain_per_byte;
};

double GainPerByte(const AllotmentItem& item, int from, int to) {
  const auto a = static_cast<std::size_t>(from);
  const auto b = static_cast<std::size_t>(to);
  // Steps of a small matrix may cost nothing: maps of its columns' bits come and go.
  const double cost = static_cast<double>(item.bytes[b]) - static_cast<double>(item.bytes[a]);
  return (item.loss[a] - item.loss[b]) / std::max(cost, 1.0);
}

// From each corner on, the step with the largest gain per byte is the next corner.
void AddHull(std::size_t index, const AllotmentItem& item, std::vector<Segment>* segments) {
  for (int from = 0; from < kAllotmentSteps;) {
    int best = from + 1;
    for (int to = from + 2; to <= kAllotmentSteps; ++to) {
      if (GainPerByte(item, from, to) > GainPerByte(item, from, best)) best = to;
    }
    segments->push_back({index, from, best, GainPerByte(item, from, best)});
    from = best;
  }
}

std::vector<Segment> SegmentsByGain(std::span<const AllotmentItem> items) {
  std::vector<Segment> segments;
  for (std::size_t i = 0; i < items.size(); ++i) AddHull(i, items[i], &segments);
  std::stable_sort(segments.begin(), segments.end(), [](const Segment& a, const Segment& b) {
    return a.gain_per_byte > b.gain_per_byte;
  });
  return segments;
}

std::uint64_t BytesAt(const v1::Decomposition& decomposition, const model::MatrixShape& shape,
                      double q_bits) {
  v1::Decomposition one = decomposition;
  one.set_q_bits(q_bits);
  return model::StoredBytes(HeaderFor(one, shape));
}

absl::Status CheckCurve(const v1::MatrixProbe& probe, const std::string& name) {
  const auto& curve = probe.loss_curve();
  if (curve.size() != kAllotmentSteps + 1) {
    return base::InvalidArgument("{}: loss_curve has {} values, expected {}", name, curve.size(),
                                 kAllotmentSteps + 1);
  }
  for (int i = 0; i < curve.size(); ++i) {
    const double bound = i == 0 ? 1 : curve[i - 1];
    if (curve[i] >= 0 && curve[i] <= bound && (i > 0 || curve[i] == 1)) continue;
    return base::InvalidArgument("{}: loss_curve[{}] is {}, expected 1 first, then falling to 0",
                                 name, i, curve[i]);
  }
  return absl::OkStatus();
}

absl::Status CheckNumber(const std::string& field, double value) {
  if (std::isfinite(value) && value >= 0) return absl::OkStatus();
  return base::InvalidArgument("{} is {}, expected a finite number from 0 on", field, value);
}

absl::Status CheckProbe(const v1::MatrixProbe& probe, int layer, const std::string& projection) {
  const std::string name = fmt::format("probe of layer {} {}", layer, projection);
  if (probe.layer() != layer || probe.projection() != projection) {
    return base::InvalidArgument("{} expected, not layer {} {}", name, probe.layer(),
                                 probe.projection());
  }
  if (probe.rows() < 1 || probe.columns() < 1) {
    return base::InvalidArgument("{}: {} x {}", name, probe.rows(), probe.columns());
  }
  CALDERA_RETURN_IF_ERROR(CheckNumber(name + ": divergence", probe.divergence()));
  CALDERA_RETURN_IF_ERROR(CheckNumber(name + ": relative_error", probe.relative_error()));
  return CheckCurve(probe, name);
}

}  // namespace

std::vector<int> AllotSteps(std::span<const AllotmentItem> items, std::uint64_t budget) {
  std::vector<int> steps(items.size(), 0);
  std::uint64_t used = 0;
  for (const AllotmentItem& item : items) used += item.bytes.front();
  const auto take = [&](std::size_t i, int to) {
    const std::uint64_t now = items[i].bytes[static_cast<std::size_t>(steps[i])];
    const std::uint64_t then = items[i].bytes[static_cast<std::size_t>(to)];
    if (to <= steps[i] || used - now + then > budget) return;
    used += then - now;
    steps[i] = to;
  };
  const std::vector<Segment> segments = SegmentsByGain(items);
  for (const Segment& segment : segments) {
    if (steps[segment.item] == segment.from) take(segment.item, segment.to);
  }
  for (const Segment& segment : segments) {
    for (int to = kAllotmentSteps; to > steps[segment.item]; --to) take(segment.item, to);
  }
  return steps;
}

std::vector<double> AllotBits(const v1::Decomposition& decomposition, std::uint64_t budget,
                              std::span<const v1::MatrixProbe> probes) {
  std::vector<AllotmentItem> items;
  for (const v1::MatrixProbe& probe : probes) {
    AllotmentItem& item = items.emplace_back();
    for (int step = 0; step <= kAllotmentSteps; ++step) {
      item.bytes.push_back(BytesAt(decomposition, {probe.rows(), probe.columns()}, StepBits(step)));
      item.loss.push_back(probe.divergence() * probe.loss_curve(step));
    }
  }
  std::vector<double> q_bits;
  for (const int step : AllotSteps(items, budget)) q_bits.push_back(StepBits(step));
  return q_bits;
}

absl::Status CheckProbes(int first_layer, int last_layer, std::span<const v1::MatrixProbe> probes) {
  const auto expected =
      static_cast<std::size_t>(last_layer - first_layer) * model::kProjectionCount;
  if (probes.size() != expected) {
    return base::InvalidArgument("{} probes, expected {}", probes.size(), expected);
  }
  std::size_t next = 0;
  for (int layer = first_layer; layer < last_layer; ++layer) {
    for (int p = 0; p < model::kProjectionCount; ++p) {
      const std::string projection = model::ProjectionPath(static_cast<model::Projection>(p));
      CALDERA_RETURN_IF_ERROR(CheckProbe(probes[next++], layer, projection));
    }
  }
  return absl::OkStatus();
}

}  // namespace caldera::coordinator
