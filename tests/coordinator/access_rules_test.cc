#include "coordinator/access_rules.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "tests/coordinator/all_methods.h"

namespace caldera::coordinator {
namespace {

std::set<std::string> RuledMethods() {
  std::set<std::string> methods;
  for (const AccessRule& rule : AccessRules()) {
    methods.insert(std::string("/caldera.v1.") + rule.service + "/" + rule.method);
  }
  return methods;
}

TEST(AccessRules, EveryMethodOfEveryServiceHasOne) {
  std::set<std::string> paths;
  for (const Method& method : AllMethods()) paths.insert(method.path);
  EXPECT_EQ(RuledMethods(), paths);
}

TEST(AccessRules, NoTwoServicesShareTheNameOfAMethod) {
  std::set<std::string> names;
  for (const AccessRule& rule : AccessRules()) {
    EXPECT_TRUE(names.insert(rule.method).second) << rule.method;
  }
}

TEST(AccessRules, UsersDoNotWorkAndWorkersDoNotUse) {
  for (const AccessRule& rule : AccessRules()) {
    const std::string service = rule.service;
    const std::string method = rule.method;
    const bool reads = method == "Read" || method == "ListFiles";
    EXPECT_EQ(MayCall(rpc::Role::kUser, method), service == "CompressionService" || reads)
        << method;
    EXPECT_EQ(MayCall(rpc::Role::kWorker, method), service != "CompressionService") << method;
    EXPECT_TRUE(MayCall(rpc::Role::kAdmin, method)) << method;
  }
}

TEST(AccessRules, NobodyMayCallWhatHasNoRule) {
  for (const rpc::Role role : {rpc::Role::kUser, rpc::Role::kWorker, rpc::Role::kAdmin}) {
    EXPECT_FALSE(MayCall(role, "Shutdown"));
    EXPECT_FALSE(MayCall(role, ""));
  }
}

}  // namespace
}  // namespace caldera::coordinator
