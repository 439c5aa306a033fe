#include "common/rpc/grpc_log.h"

#include <grpc/support/log.h>

#include <memory>

#include "absl/time/clock.h"

namespace caldera::rpc {
namespace {

constexpr absl::Duration kEvery = absl::Minutes(10);
constexpr std::size_t kMostMessages = 256;

struct Route {
  base::Logger log;
  RepeatFilter filter{kEvery};
};
// Never destroyed: gRPC's threads may log while the process ends.
Route* route = nullptr;

base::LogLevel LevelOf(gpr_log_severity severity) {
  switch (severity) {
    case GPR_LOG_SEVERITY_DEBUG:
      return base::LogLevel::kDebug;
    case GPR_LOG_SEVERITY_INFO:
      return base::LogLevel::kInfo;
    case GPR_LOG_SEVERITY_ERROR:
      break;
  }
  // Of the connection, not of this program: it goes on.
  return base::LogLevel::kWarning;
}

void Forward(gpr_log_func_args* arguments) {
  const std::string message = arguments->message;
  if (route->filter.Pass(message, absl::Now())) {
    route->log.Write(LevelOf(arguments->severity), "gRPC: " + message);
  }
}

}  // namespace

bool RepeatFilter::Pass(const std::string& message, absl::Time now) {
  const base::MutexLock lock(mutex_);
  std::erase_if(passed_, [&](const auto& entry) { return now - entry.second >= every_; });
  if (passed_.count(message) > 0 || passed_.size() >= kMostMessages) return false;
  passed_[message] = now;
  return true;
}

void RouteGrpcLog(const base::Logger& log) {
  if (route == nullptr) route = std::make_unique<Route>().release();
  route->log = log;
  gpr_set_log_function(Forward);
}

}  // namespace caldera::rpc
