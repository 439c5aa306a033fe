#include "coordinator/publish_waits.h"

#include <algorithm>

namespace caldera::coordinator {
namespace {

constexpr absl::Duration kFirstPause = absl::Seconds(1);
constexpr absl::Duration kLongestPause = absl::Seconds(30);

}  // namespace

bool PublishWaits::Postpone(const std::string& job, absl::Time now) {
  const auto [found, fresh] = waits_.try_emplace(job, Wait{now, now, kFirstPause});
  Wait& wait = found->second;
  const absl::Time last = wait.first + patience_;
  if (now >= last) {
    waits_.erase(found);
    return false;
  }
  if (!fresh) wait.pause = std::min(wait.pause * 2, kLongestPause);
  wait.next = std::min(now + wait.pause, last);
  return true;
}

bool PublishWaits::IsDue(const std::string& job, absl::Time now) const {
  const auto found = waits_.find(job);
  return found == waits_.end() || found->second.next <= now;
}

std::set<std::string> PublishWaits::DueAt(absl::Time now) const {
  std::set<std::string> due;
  for (const auto& [job, wait] : waits_) {
    if (wait.next <= now) due.insert(job);
  }
  return due;
}

}  // namespace caldera::coordinator
