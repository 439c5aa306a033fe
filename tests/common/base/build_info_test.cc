#include "common/base/build_info.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace caldera::base {
namespace {

TEST(BuildInfo, SaysWhatThisBinaryIs) {
  const BuildInfo info = GetBuildInfo();
  EXPECT_THAT(info.version, testing::MatchesRegex("[0-9]+\\.[0-9]+\\.[0-9]+"));
  EXPECT_THAT(info.git_commit, testing::MatchesRegex("[0-9a-f]{12}|unknown"));
  EXPECT_THAT(info.compiler, testing::MatchesRegex(".+ [0-9.]+"));
  EXPECT_FALSE(info.simd_target.empty());
}

}  // namespace
}  // namespace caldera::base
