// One WatchCompressionJob stream: stored events, then live ones, until the job has ended.
#ifndef CALDERA_COORDINATOR_WATCH_REACTOR_H_
#define CALDERA_COORDINATOR_WATCH_REACTOR_H_

#include <grpcpp/grpcpp.h>

#include "caldera/v1/compression.pb.h"
#include "coordinator/coordinator.h"
#include "coordinator/thread_pool.h"

namespace caldera::coordinator {

// Starts the stream; the reactor owns itself until gRPC is done with it. Holds no thread while
// nothing happens. Finishes with the job's end, an error of ReadEvents, or CANCELLED.
grpc::ServerWriteReactor<v1::JobEvent>* StartWatch(Coordinator* coordinator, ThreadPool* pool,
                                                   const v1::WatchCompressionJobRequest& request);

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_WATCH_REACTOR_H_
