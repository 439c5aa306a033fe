// Every fuzz target over its seeds and their simplest mutants, in builds without libFuzzer.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "tests/fuzz/targets.h"

namespace caldera::fuzz {
namespace {

class FuzzTarget : public ::testing::TestWithParam<Target> {};

TEST_P(FuzzTarget, GivesItsSeedsTheVerdictTheyAreMeantToHave) {
  for (const Seed& seed : GetParam().seeds()) {
    EXPECT_EQ(GetParam().run(seed.bytes), seed.verdict) << seed.name;
  }
}

TEST_P(FuzzTarget, HasSeedsOfDifferentNamesAndOneThatIsAccepted) {
  const std::vector<Seed> seeds = GetParam().seeds();
  std::set<std::string> names;
  for (const Seed& seed : seeds) names.insert(seed.name);
  EXPECT_EQ(names.size(), seeds.size());
  EXPECT_TRUE(std::any_of(seeds.begin(), seeds.end(),
                          [](const Seed& seed) { return seed.verdict == Verdict::kAccepted; }));
}

TEST_P(FuzzTarget, ReadsEveryTruncationOfItsSeeds) {
  for (const Seed& seed : GetParam().seeds()) {
    for (std::size_t size = 0; size < seed.bytes.size(); ++size) {
      GetParam().run(seed.bytes.substr(0, size));
    }
  }
}

TEST_P(FuzzTarget, ReadsItsSeedsWithAnyByteReplaced) {
  for (const Seed& seed : GetParam().seeds()) {
    std::string bytes = seed.bytes;
    for (char& byte : bytes) {
      const char before = byte;
      for (const char other : {'\0', '9', '\xFF', static_cast<char>(before ^ 1)}) {
        byte = other;
        GetParam().run(bytes);
      }
      byte = before;
    }
  }
}

std::string NameOf(const ::testing::TestParamInfo<Target>& info) { return info.param.name; }
INSTANTIATE_TEST_SUITE_P(Seeds, FuzzTarget, ::testing::ValuesIn(AllTargets()), NameOf);

}  // namespace
}  // namespace caldera::fuzz
