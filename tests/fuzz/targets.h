// Every fuzz target; each is defined in the file of its name. CONTRIBUTING.md says how to add one.
#ifndef CALDERA_TESTS_FUZZ_TARGETS_H_
#define CALDERA_TESTS_FUZZ_TARGETS_H_

#include <vector>

#include "tests/fuzz/fuzz_target.h"

namespace caldera::fuzz {

Target CalibrationTextTarget();
Target CompressedMatrixTarget();
Target CsvTarget();
Target EmbeddingTableTarget();
Target GgufTarget();
Target GgufModelTarget();
Target HessianTarget();
Target JobSpecTarget();
Target ManifestTarget();
Target ModelConfigTarget();
Target ModelIndexTarget();
Target NpyTarget();
Target ReceiptsTarget();
Target S3DocumentsTarget();
Target S3SettingsTarget();
Target SafetensorsTarget();
Target TokenFileTarget();
Target TokenizerJsonTarget();

std::vector<Target> AllTargets();

}  // namespace caldera::fuzz

#endif  // CALDERA_TESTS_FUZZ_TARGETS_H_
