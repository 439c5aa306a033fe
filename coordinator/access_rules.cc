#include "coordinator/access_rules.h"

#include <algorithm>

namespace caldera::coordinator {
namespace {

constexpr AccessRule kRules[] = {
    {"CompressionService", "CreateCompressionJob", Access::kUsers},
    {"CompressionService", "GetCompressionJob", Access::kUsers},
    {"CompressionService", "Estimate", Access::kUsers},
    {"CompressionService", "ListCompressionJobs", Access::kUsers},
    {"CompressionService", "CancelCompressionJob", Access::kUsers},
    {"CompressionService", "ResumeCompressionJob", Access::kUsers},
    {"CompressionService", "DeleteCompressionJob", Access::kUsers},
    {"CompressionService", "ListLayers", Access::kUsers},
    {"CompressionService", "ListWorkers", Access::kUsers},
    {"CompressionService", "WatchCompressionJob", Access::kUsers},
    {"DispatchService", "Register", Access::kWorkers},
    {"DispatchService", "AcquireLease", Access::kWorkers},
    {"DispatchService", "Heartbeat", Access::kWorkers},
    {"DispatchService", "CommitMatrix", Access::kWorkers},
    {"DispatchService", "CommitHessians", Access::kWorkers},
    {"DispatchService", "CompleteLease", Access::kWorkers},
    {"DispatchService", "FailLease", Access::kWorkers},
    {"DispatchService", "Unregister", Access::kWorkers},
    {"CheckpointService", "ListFiles", Access::kUsersAndWorkers},
    {"CheckpointService", "Read", Access::kUsersAndWorkers},
    {"CheckpointService", "Write", Access::kWorkers},
    {"CheckpointService", "QueryWriteStatus", Access::kWorkers},
};

bool Includes(Access access, rpc::Role role) {
  switch (role) {
    case rpc::Role::kUser:
      return access != Access::kWorkers;
    case rpc::Role::kWorker:
      return access != Access::kUsers;
    case rpc::Role::kAdmin:
      return true;
  }
  return false;
}

}  // namespace

std::span<const AccessRule> AccessRules() { return kRules; }

bool MayCall(rpc::Role role, const std::string& method) {
  const auto rule = std::find_if(std::begin(kRules), std::end(kRules),
                                 [&method](const AccessRule& r) { return method == r.method; });
  return rule != std::end(kRules) && Includes(rule->access, role);
}

}  // namespace caldera::coordinator
