// The entry of a libFuzzer program. CALDERA_FUZZ_TARGET: the function of targets.h that it fuzzes.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "tests/fuzz/number_mutator.h"
#include "tests/fuzz/targets.h"

namespace {

std::string TextOf(const std::uint8_t* data, std::size_t size) {
  return std::string(reinterpret_cast<const char*>(data), size);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const caldera::fuzz::Target target = caldera::fuzz::CALDERA_FUZZ_TARGET();
  target.run(TextOf(data, size));
  return 0;
}

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);

// One mutation in four is that of a number.
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t most, unsigned seed) {
  if (seed % 4 != 0) return LLVMFuzzerMutate(data, size, most);
  const std::string text = TextOf(data, size);
  const std::string changed = caldera::fuzz::WithAnotherNumber(text, seed / 4);
  if (changed == text || changed.size() > most) return LLVMFuzzerMutate(data, size, most);
  std::copy(changed.begin(), changed.end(), data);
  return changed.size();
}
