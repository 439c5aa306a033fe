#include "worker/lease_keeper.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "common/base/log.h"
#include "common/base/status.h"

namespace caldera::worker {
namespace {

// Signals are noticed within this time.
constexpr absl::Duration kTick = absl::Milliseconds(200);

// A clock that nobody sets: where NTP turns back an hour, heartbeats must not pause for an hour.
absl::Time SteadyNow() {
  return absl::UnixEpoch() + absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
}

}  // namespace

LeaseKeeper::LeaseKeeper(DispatchClient& client, const DrainSignal& drain, const v1::Lease& lease,
                         Options options)
    : client_(client),
      drain_(drain),
      lease_id_(lease.lease_id()),
      attempt_(lease.attempt()),
      options_(options) {
  client_.AllowHeartbeats();
  beating_ = std::thread([this] { BeatOnAndOn(); });
  watching_ = std::thread([this] { Watch(); });
}

LeaseKeeper::~LeaseKeeper() {
  {
    base::MutexLock lock(mutex_);
    done_ = true;
    done_changed_.NotifyAll();
  }
  client_.StopHeartbeats();
  beating_.join();
  watching_.join();
}

void LeaseKeeper::SetStatus(const std::string& status) {
  base::MutexLock lock(mutex_);
  status_ = status;
}

absl::Status LeaseKeeper::StopReason() const {
  base::MutexLock lock(mutex_);
  return stop_reason_;
}

bool LeaseKeeper::draining() const {
  base::MutexLock lock(mutex_);
  return told_to_drain_ || drain_.requested();
}

void LeaseKeeper::BeatOnAndOn() {
  do {
    Beat();
  } while (Sleep(options_.interval));
}

void LeaseKeeper::Watch() {
  do {
    CheckDrain();
    CheckHang();
  } while (Sleep(std::min(kTick, options_.interval)));
}

bool LeaseKeeper::Sleep(absl::Duration pause) {
  const absl::Time wake = SteadyNow() + pause;
  base::MutexLock lock(mutex_);
  while (!done_ && SteadyNow() < wake) done_changed_.WaitFor(mutex_, wake - SteadyNow());
  return !done_;
}

void LeaseKeeper::Beat() {
  v1::HeartbeatRequest request;
  request.set_lease_id(lease_id_);
  request.set_attempt(attempt_);
  request.set_progress(progress_.load(std::memory_order_relaxed));
  {
    base::MutexLock lock(mutex_);
    request.set_status(status_);
  }
  const auto response = client_.Heartbeat(std::move(request));
  base::MutexLock lock(mutex_);
  if (!response.ok()) {
    if (absl::IsFailedPrecondition(response.status())) stop_reason_ = response.status();
    return;
  }
  if (response->directive() == v1::HeartbeatResponse::CANCEL) {
    stop_reason_ = base::Cancelled("the coordinator cancelled lease {}", lease_id_);
  }
  if (response->directive() == v1::HeartbeatResponse::DRAIN) told_to_drain_ = true;
}

void LeaseKeeper::CheckDrain() {
  base::MutexLock lock(mutex_);
  if (!drain_.requested() && !told_to_drain_) return;
  if (drain_started_ == absl::InfiniteFuture()) drain_started_ = SteadyNow();
  if (SteadyNow() - drain_started_ > options_.drain_timeout && stop_reason_.ok()) {
    stop_reason_ = base::Cancelled("drained: the matrix in flight did not fit the drain timeout");
  }
}

void LeaseKeeper::CheckHang() {
  std::string what;
  {
    base::MutexLock lock(mutex_);
    if (stop_reason_.ok() || done_) return;
    if (hung_since_ == absl::InfiniteFuture()) hung_since_ = SteadyNow();
    if (SteadyNow() - hung_since_ < options_.hang_timeout) return;
    what = fmt::format("lease {} is to stop ({}) and has not for {}, last seen at \"{}\"",
                       lease_id_, base::MessageOf(stop_reason_),
                       absl::FormatDuration(options_.hang_timeout), status_);
  }
  if (options_.on_hang && !told_hang_) options_.on_hang(what);
  told_hang_ = true;
}

}  // namespace caldera::worker
