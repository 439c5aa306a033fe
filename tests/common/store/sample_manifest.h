// A small manifest with every field set to a value of its own.
#ifndef CALDERA_TESTS_COMMON_STORE_SAMPLE_MANIFEST_H_
#define CALDERA_TESTS_COMMON_STORE_SAMPLE_MANIFEST_H_

#include "common/base/sha256.h"
#include "common/store/manifest.h"

namespace caldera::store {

inline ManifestMatrix SampleMatrix(const std::string& name, double relative_error) {
  return {.name = name,
          .rows = 576,
          .columns = 1536,
          .rank = 64,
          .q_bits = 2,
          .l_bits = 4,
          .r_bits = 8,
          .bits_per_weight = 2.6,
          .relative_error = relative_error,
          .error_curve = {0.25, 0.125, 0.1},
          .best_iteration = 2,
          .damping = 1e-4};
}

inline Manifest SampleManifest() {
  Manifest manifest;
  manifest.tool_version = "0.1.0";
  manifest.files = {{"config.json", {base::Sha256Hex("config"), 6}},
                    {"model-00001-of-00002.safetensors", {base::Sha256Hex("one"), 3}}};
  manifest.spec = {
      .calibration = {.samples = 64, .seq_len = 512, .ranges = 4, .seed = 18446744073709551615U},
      .decomposition = {.recipe = "default",
                        .codebook = "e8p",
                        .q_bits = 2,
                        .rank = 64,
                        .l_bits = 4,
                        .r_bits = 8,
                        .iterations = 3,
                        .seed = 7,
                        .target_bits = 2.5,
                        .target_bits_include = "embeddings"},
      .embedding_bits = 8};
  manifest.model = {.fingerprint = base::Sha256Hex("model"),
                    .architecture = "llama",
                    .layers = 30,
                    .parameters = 134515008,
                    .source_bytes = 269060552};
  manifest.calibration = {.sha256 = base::Sha256Hex("text"), .tokens = 32768};
  manifest.matrices = {SampleMatrix("model.layers.0.self_attn.q_proj", 0.1),
                       SampleMatrix("model.layers.0.self_attn.k_proj", 0.3)};
  manifest.bits_per_weight = 2.71;
  manifest.model_bits_per_weight = 3.9;
  SummarizeManifest(manifest);
  return manifest;
}

}  // namespace caldera::store

#endif  // CALDERA_TESTS_COMMON_STORE_SAMPLE_MANIFEST_H_
