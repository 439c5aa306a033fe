// The entry of a libFuzzer program. CALDERA_FUZZ_TARGET: the function of targets.h that it fuzzes.
#include <cstddef>
#include <cstdint>
#include <string>

#include "tests/fuzz/targets.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const caldera::fuzz::Target target = caldera::fuzz::CALDERA_FUZZ_TARGET();
  target.run(std::string(reinterpret_cast<const char*>(data), size));
  return 0;
}
