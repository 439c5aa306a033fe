// Which roles may call which method: the one place that says so.
#ifndef CALDERA_COORDINATOR_ACCESS_RULES_H_
#define CALDERA_COORDINATOR_ACCESS_RULES_H_

#include <span>
#include <string>

#include "common/rpc/token.h"

namespace caldera::coordinator {

// Admins may call everything.
enum class Access { kUsers, kWorkers, kUsersAndWorkers };

// Methods go by their bare names: no two services share one.
struct AccessRule {
  const char* service;  // "CompressionService"
  const char* method;   // "GetCompressionJob"
  Access access;
};

// One rule for each method of each service.
std::span<const AccessRule> AccessRules();

// Whether somebody of `role` may call `method`. Nobody may call a method without a rule.
bool MayCall(rpc::Role role, const std::string& method);

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_ACCESS_RULES_H_
