// A mutation for texts with numbers in them: bounds are what parsers check, and a fuzzer that
// changes bytes seldom writes one.
#ifndef CALDERA_TESTS_FUZZ_NUMBER_MUTATOR_H_
#define CALDERA_TESTS_FUZZ_NUMBER_MUTATOR_H_

#include <string>

namespace caldera::fuzz {

// `input` with one of its decimal numbers replaced: by its neighbour, its double, or a number at an
// end of a type's range. `seed` draws which. The same text when it holds no digit.
std::string WithAnotherNumber(const std::string& input, unsigned seed);

}  // namespace caldera::fuzz

#endif  // CALDERA_TESTS_FUZZ_NUMBER_MUTATOR_H_
