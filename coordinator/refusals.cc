#include "coordinator/refusals.h"

#include <algorithm>

#include "common/base/status.h"
#include "coordinator/error_details.h"

namespace caldera::coordinator {
namespace {

constexpr char kAllOthers[] = "others";

}  // namespace

Refusals::Peer& Refusals::Find(const std::string& peer, absl::Time now) {
  const auto found = peers_.find(peer);
  if (found != peers_.end()) return found->second;
  if (peers_.size() >= options_.most_peers) {
    std::erase_if(peers_, [&](const auto& entry) {
      return now - entry.second.refilled > options_.log_every;
    });
  }
  const bool room = peers_.size() < options_.most_peers;
  const auto [added, is_new] = peers_.try_emplace(room ? peer : kAllOthers);
  if (is_new) {
    added->second.left = options_.burst;
    added->second.refilled = now;
  }
  return added->second;
}

bool Refusals::Take(Peer& peer, absl::Time now) {
  const double gained = absl::ToDoubleSeconds(now - peer.refilled) * options_.per_second;
  peer.left = std::min(options_.burst, peer.left + std::max(0.0, gained));
  peer.refilled = now;
  if (peer.left < 1) return false;
  peer.left -= 1;
  return true;
}

absl::Status Refusals::Answer(const std::string& peer, const std::string& method,
                              absl::Status status) {
  const absl::Time now = clock_->Now();
  std::int64_t unlogged = 0;
  {
    const base::MutexLock lock(mutex_);
    Peer& known = Find(peer, now);
    if (!Take(known, now)) {
      status = rpc::WithRetryDelay(
          WithReason(base::ResourceExhausted("{}: too many refused calls", peer),
                     kReasonTooManyRefusals),
          absl::Seconds(1 / options_.per_second));
    }
    const auto [entry, is_new] =
        known.logged.try_emplace(ReasonOf(status), absl::InfinitePast(), 0);
    auto& [last, count] = entry->second;
    if (now - last < options_.log_every) {
      ++count;
      return status;
    }
    unlogged = std::exchange(count, 0);
    last = now;
  }
  log_.With({{"peer", peer}, {"method", method}, {"reason", ReasonOf(status)}})
      .Warning("refused: {}{}", base::MessageOf(status),
               unlogged == 0 ? "" : fmt::format(" ({} more since the last such line)", unlogged));
  return status;
}

}  // namespace caldera::coordinator
