// gRPC reactors that never block gRPC's threads: the work of a call runs on a pool, its answer
// finishes the call from there. Used by the services; nothing else sees them.
#ifndef CALDERA_COORDINATOR_REACTORS_H_
#define CALDERA_COORDINATOR_REACTORS_H_

#include <grpcpp/grpcpp.h>

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/rpc/status_conversion.h"
#include "coordinator/thread_pool.h"

namespace caldera::coordinator {

// Borrowed. `quick`: short calls (a transaction at most). `slow`: planning, shards, chunks,
// publishing.
struct CallPools {
  ThreadPool* quick = nullptr;
  ThreadPool* slow = nullptr;
};

// Runs `call()` (a StatusOr of the response) on the pool and finishes with it. gRPC keeps request
// and response alive until then.
template <typename Response, typename Call>
grpc::ServerUnaryReactor* RunUnary(grpc::CallbackServerContext* context, ThreadPool* pool,
                                   Response* response, Call call) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  pool->Post([reactor, response, call = std::move(call)] {
    absl::StatusOr<Response> result = call();
    if (result.ok()) *response = *std::move(result);
    reactor->Finish(rpc::ToGrpc(result.status()));
  });
  return reactor;
}

// The same for a call that returns only a Status.
template <typename Call>
grpc::ServerUnaryReactor* RunStatus(grpc::CallbackServerContext* context, ThreadPool* pool,
                                    Call call) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  pool->Post([reactor, call = std::move(call)] { reactor->Finish(rpc::ToGrpc(call())); });
  return reactor;
}

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_REACTORS_H_
