#include "tests/fuzz/targets.h"

namespace caldera::fuzz {

std::vector<Target> AllTargets() {
  return {CalibrationTextTarget(),
          CompressedMatrixTarget(),
          CsvTarget(),
          EmbeddingTableTarget(),
          GgufTarget(),
          GgufModelTarget(),
          HessianTarget(),
          JobSpecTarget(),
          ManifestTarget(),
          ModelConfigTarget(),
          ModelIndexTarget(),
          NpyTarget(),
          ReceiptsTarget(),
          S3DocumentsTarget(),
          S3SettingsTarget(),
          SafetensorsTarget(),
          TokenFileTarget(),
          TokenizerJsonTarget()};
}

}  // namespace caldera::fuzz
