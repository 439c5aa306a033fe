// Follows one job's events over gRPC and checks that none is missing: the watchers of
// bench-coordinator-load.
#ifndef CALDERA_BENCH_FOLLOWER_H_
#define CALDERA_BENCH_FOLLOWER_H_

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "bench/latencies.h"
#include "caldera/v1/compression.grpc.pb.h"
#include "fmt/format.h"

namespace caldera::bench {

// What the followers of one run share.
struct Followers {
  Latencies* latencies = nullptr;  // "event": from its time to its arrival
  std::atomic<std::int64_t> events = 0;
  std::atomic<int> ended = 0;    // streams that saw their job end
  std::atomic<int> missing = 0;  // gaps in sequence numbers
  std::atomic<int> broken = 0;   // streams that ended with an error
};

// Lives until its stream has ended (`followers->ended` or `broken` counts it).
class Follower : public grpc::ClientReadReactor<v1::JobEvent> {
 public:
  Follower(Followers* followers, v1::CompressionService::Stub* stub, const std::string& job)
      : followers_(followers) {
    request_.set_name(job);
    stub->async()->WatchCompressionJob(&context_, &request_, this);
    StartRead(&event_);
    StartCall();
  }

  void OnReadDone(bool ok) override {
    if (!ok) return;
    if (event_.sequence() != last_ + 1) ++followers_->missing;
    last_ = event_.sequence();
    ++followers_->events;
    const absl::Time made =
        absl::FromUnixSeconds(event_.time().seconds()) + absl::Nanoseconds(event_.time().nanos());
    followers_->latencies->Add("event", absl::Now() - made);
    StartRead(&event_);
  }

  void OnDone(const grpc::Status& status) override {
    ++(status.ok() ? followers_->ended : followers_->broken);
  }

 private:
  Followers* const followers_;
  grpc::ClientContext context_;
  v1::WatchCompressionJobRequest request_;
  v1::JobEvent event_;
  std::int64_t last_ = 0;
};

}  // namespace caldera::bench

#endif  // CALDERA_BENCH_FOLLOWER_H_
