// gRPC reactors that never block gRPC's threads: the work of a call runs on a pool, its answer
// finishes the call from there. Used by the services; nothing else sees them.
#ifndef CALDERA_COORDINATOR_REACTORS_H_
#define CALDERA_COORDINATOR_REACTORS_H_

#include <grpcpp/grpcpp.h>

#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/rpc/status_conversion.h"
#include "coordinator/access_guard.h"
#include "coordinator/commit_queue.h"
#include "coordinator/thread_pool.h"

namespace caldera::coordinator {

// Where calls run, and what their answers wait for. Borrowed.
struct CallLane {
  ThreadPool* pool = nullptr;
  CommitQueue* commits = nullptr;
};

// `quick`: short calls. `slow`: planning, shards, chunks, publishing.
struct CallPools {
  CallLane quick;
  CallLane slow;
};

// Ends a call at once; for reactors of any kind.
template <typename Reactor>
class RefusingReactor final : public Reactor {
 public:
  explicit RefusingReactor(const absl::Status& status) { this->Finish(rpc::ToGrpc(status)); }
  void OnDone() override { std::unique_ptr<RefusingReactor> owned(this); }
};
// gRPC owns the reactor from here on; OnDone ends it.
template <typename Reactor>
Reactor* Refuse(const absl::Status& status) {
  return std::make_unique<RefusingReactor<Reactor>>(status).release();
}

// Answers a call once all that the state owes to it since `since` is durable.
inline void FinishWhenDurable(CallLane lane, CommitQueue::Position since,
                              grpc::ServerUnaryReactor* reactor, const absl::Status& status) {
  lane.commits->Await(since, [reactor, status](const absl::Status& durable) {
    reactor->Finish(rpc::ToGrpc(durable.ok() ? status : durable));
  });
}

// Runs `call()` (a StatusOr of the response) in the lane and answers with it, if the call has been
// admitted. gRPC keeps request and response alive until then.
template <typename Response, typename Call>
grpc::ServerUnaryReactor* RunUnary(const Admission& admission, CallLane lane, Response* response,
                                   Call call) {
  if (!admission.status.ok()) return Refuse<grpc::ServerUnaryReactor>(admission.status);
  grpc::ServerUnaryReactor* reactor = admission.context->DefaultReactor();
  lane.pool->Post([lane, reactor, response, call = std::move(call)] {
    const CommitQueue::Position since = lane.commits->position();
    absl::StatusOr<Response> result = call();
    const absl::Status status = result.status();
    if (result.ok()) *response = *std::move(result);
    FinishWhenDurable(lane, since, reactor, status);
  });
  return reactor;
}

// The same for a call that returns only a Status.
template <typename Call>
grpc::ServerUnaryReactor* RunStatus(const Admission& admission, CallLane lane, Call call) {
  if (!admission.status.ok()) return Refuse<grpc::ServerUnaryReactor>(admission.status);
  grpc::ServerUnaryReactor* reactor = admission.context->DefaultReactor();
  lane.pool->Post([lane, reactor, call = std::move(call)] {
    const CommitQueue::Position since = lane.commits->position();
    FinishWhenDurable(lane, since, reactor, call());
  });
  return reactor;
}

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_REACTORS_H_
