// Every fuzz target over its seeds and their simplest mutants, in builds without libFuzzer.
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <set>

#include "tests/fuzz/number_mutator.h"
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
    for (std::size_t i = 0; i < seed.bytes.size(); ++i) {
      std::string bytes = seed.bytes;
      const char others[] = {'\0', '9', '\xFF', static_cast<char>(bytes[i] ^ 1)};
      bytes[i] = others[i % std::size(others)];
      GetParam().run(bytes);
    }
  }
}

TEST(NumberMutator, ReplacesOneNumberOfAText) {
  std::set<std::string> seen;
  for (unsigned seed = 1; seed < 2000; ++seed) seen.insert(WithAnotherNumber("a7,\"b\":30", seed));
  EXPECT_EQ(seen.size(), 36U) << "18 other numbers in each of two places";
  for (const char* expected : {"a0,\"b\":30", "a8,\"b\":30", "a14,\"b\":30", "a7,\"b\":29",
                               "a7,\"b\":18446744073709551615"}) {
    EXPECT_TRUE(seen.contains(expected)) << expected;
  }
  EXPECT_EQ(WithAnotherNumber("none", 1), "none");
}

std::string NameOf(const ::testing::TestParamInfo<Target>& info) { return info.param.name; }
INSTANTIATE_TEST_SUITE_P(Seeds, FuzzTarget, ::testing::ValuesIn(AllTargets()), NameOf);

}  // namespace
}  // namespace caldera::fuzz
