#include "worker/task_context.h"

#include <fmt/format.h>

#include <atomic>
#include <memory>
#include <thread>

#include "common/base/sha256.h"
#include "common/base/status.h"
#include "worker/rank_group.h"

namespace caldera::worker {

absl::Status StopReason(TaskContext& context) {
  absl::Status mine;
  if (context.leader != nullptr) {
    mine = context.leader->keeper.StopReason();
    context.leader->keeper.Advance();
  }
  return AgreeOnStatus(mine, context.ranks);
}

dist::Interrupt InterruptOf(TaskContext& context) {
  auto left = std::make_shared<std::atomic<bool>>(false);
  const auto leave = [&context, left, owner = std::this_thread::get_id()] {
    if (*left) return true;
    if (std::this_thread::get_id() != owner) return false;
    const bool stop = context.leader != nullptr && !context.leader->keeper.StopReason().ok();
    if (stop) context.ranks.Signal();
    if (context.ranks.Signalled()) *left = true;
    return left->load();
  };
  return {[&context] { return !StopReason(context).ok(); }, leave};
}

absl::StatusOr<model::ModelConfig> ShareConfig(TaskContext& context) {
  std::string json;
  if (context.leader != nullptr) {
    json = model::ModelConfigToJson(context.leader->inputs.model().config);
  }
  ShareString(json, context.ranks);
  return model::ParseModelConfig(json, "configuration of " + context.lease.job());
}

std::vector<double> CountFlops(TaskContext& context, double mine) {
  std::vector<double> all(static_cast<std::size_t>(context.ranks.size()), 0.0);
  all[static_cast<std::size_t>(context.ranks.rank())] = mine;
  context.ranks.AllReduceSum(all);
  context.rank_flops.resize(all.size());
  for (std::size_t rank = 0; rank < all.size(); ++rank) context.rank_flops[rank] += all[rank];
  return all;
}

std::uint64_t SeedFor(std::uint64_t seed, const std::string& label) {
  const std::string digest = base::Sha256Hex(fmt::format("{}/{}", seed, label));
  std::uint64_t value = 0;
  for (int byte = 7; byte >= 0; --byte) {
    const auto at = static_cast<std::size_t>(2 * byte);
    value = value << 8 | std::stoull(digest.substr(at, 2), nullptr, 16);
  }
  return value;
}

}  // namespace caldera::worker
