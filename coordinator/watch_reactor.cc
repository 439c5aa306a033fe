#include "coordinator/watch_reactor.h"

#include <atomic>
#include <deque>
#include <memory>
#include <utility>

#include "common/rpc/status_conversion.h"

namespace caldera::coordinator {
namespace {

// One chain of steps runs at a time: Pump -> StartWrite -> OnWriteDone -> ... -> Pump -> asleep.
// `asleep_` hands the chain over: whoever turns it from true to false goes on with it.
class WatchReactor : public grpc::ServerWriteReactor<v1::JobEvent> {
 public:
  WatchReactor(Coordinator* coordinator, ThreadPool* pool, std::string name, std::int64_t after)
      : coordinator_(coordinator), pool_(pool), name_(std::move(name)), after_(after) {}

  void Start(std::shared_ptr<WatchReactor> self) {
    self_ = std::move(self);
    PostPump();
  }

  void OnWriteDone(bool ok) override {
    if (!ok) {
      Finish(grpc::Status::CANCELLED);
      return;
    }
    after_ = queue_.front().sequence();
    queue_.pop_front();
    if (queue_.empty()) {
      PostPump();
    } else {
      StartWrite(&queue_.front());
    }
  }

  void OnCancel() override {
    cancelled_ = true;
    if (asleep_.exchange(false)) PostPump();
  }

  void OnDone() override {
    coordinator_->StopWaiting(wait_);
    self_.reset();  // may delete this
  }

 private:
  void PostPump() {
    pool_->Post([self = self_] { self->Pump(); });
  }

  void Pump() {
    if (cancelled_) {
      Finish(grpc::Status::CANCELLED);
      return;
    }
    absl::StatusOr<Coordinator::EventBatch> batch = coordinator_->ReadEvents(name_, after_);
    if (!batch.ok()) {
      Finish(rpc::ToGrpc(batch.status()));
    } else if (!batch->events.empty()) {
      queue_.assign(batch->events.begin(), batch->events.end());
      StartWrite(&queue_.front());
    } else if (batch->ended) {
      Finish(grpc::Status::OK);
    } else {
      Sleep();
    }
  }

  void Sleep() {
    // From here on another thread may go on with the chain and end it: only locals and `self`.
    const std::shared_ptr<WatchReactor> self = self_;
    const std::int64_t after = after_;
    asleep_ = true;
    wait_ = coordinator_->AwaitEvents(name_, after, [self] {
      if (self->asleep_.exchange(false)) self->PostPump();
    });
    if (cancelled_) {
      coordinator_->StopWaiting(wait_);
      if (asleep_.exchange(false)) PostPump();
    }
  }

  Coordinator* const coordinator_;
  ThreadPool* const pool_;
  const std::string name_;
  std::int64_t after_;
  std::deque<v1::JobEvent> queue_;
  std::atomic<bool> cancelled_ = false;
  std::atomic<bool> asleep_ = false;
  std::atomic<Coordinator::WaitId> wait_ = 0;
  std::shared_ptr<WatchReactor> self_;  // until OnDone
};

}  // namespace

grpc::ServerWriteReactor<v1::JobEvent>* StartWatch(Coordinator* coordinator, ThreadPool* pool,
                                                   const v1::WatchCompressionJobRequest& request) {
  auto reactor =
      std::make_shared<WatchReactor>(coordinator, pool, request.name(), request.after_sequence());
  reactor->Start(reactor);
  return reactor.get();
}

}  // namespace caldera::coordinator
