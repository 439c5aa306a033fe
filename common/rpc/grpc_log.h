// gRPC's own messages, failed handshakes above all, as lines of our log.
#ifndef CALDERA_COMMON_RPC_GRPC_LOG_H_
#define CALDERA_COMMON_RPC_GRPC_LOG_H_

#include <map>
#include <string>

#include "absl/time/time.h"
#include "common/base/log.h"
#include "common/base/mutex.h"

namespace caldera::rpc {

// Remembers what has been said. Thread-safe.
class RepeatFilter {
 public:
  explicit RepeatFilter(absl::Duration every) : every_(every) {}
  // Whether `message` has not passed within the duration before `now`; if so it does now.
  bool Pass(const std::string& message, absl::Time now) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  const absl::Duration every_;
  base::Mutex mutex_;
  std::map<std::string, absl::Time> passed_ ABSL_GUARDED_BY(mutex_);
};

// From now on gRPC's messages go to `log`, each at most once in ten minutes (a client that is
// turned away tries again every few seconds). GRPC_VERBOSITY says which there are; errors unless
// set. gRPC has one place for the whole process and hands it no data: call this once, from main.
void RouteGrpcLog(const base::Logger& log);

}  // namespace caldera::rpc

#endif  // CALDERA_COMMON_RPC_GRPC_LOG_H_
