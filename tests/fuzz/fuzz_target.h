// What a fuzz target is: code that reads bytes from outside, and inputs to begin from.
//
// One description serves two builds: with CALDERA_FUZZ every target becomes a libFuzzer program
// (libfuzzer_main.cc), and in every other build fuzz_test runs it over its seeds and their mutants.
#ifndef CALDERA_TESTS_FUZZ_FUZZ_TARGET_H_
#define CALDERA_TESTS_FUZZ_FUZZ_TARGET_H_

#include <string>
#include <vector>

namespace caldera::fuzz {

// What became of an input. Seeds say what they expect, so a test sees that they get past the first
// check.
enum class Verdict { kAccepted, kRefused };

struct Seed {
  std::string name;  // of its file in a corpus: [a-z0-9_]
  Verdict verdict = Verdict::kAccepted;
  std::string bytes;
};

struct Target {
  std::string name;  // of its program, corpus and dictionary: [a-z0-9_]
  // Reads the input as the product reads such bytes, uses what was accepted, and ends the process
  // (CALDERA_CHECK) when something that must hold of it does not. Any bytes are fine. Keeps
  // nothing.
  Verdict (*run)(const std::string& input);
  std::vector<Seed> (*seeds)();
};

}  // namespace caldera::fuzz

#endif  // CALDERA_TESTS_FUZZ_FUZZ_TARGET_H_
