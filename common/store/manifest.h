// manifest.json: what a published checkpoint is, and the proof that it is complete.
//
// Written last, by rename: a directory without it is no checkpoint. It lists every other file but
// run.json with size and SHA-256 and holds only facts that two runs of one job share, so its bytes
// are reproducible. docs/formats/manifest.md specifies every field.
#ifndef CALDERA_COMMON_STORE_MANIFEST_H_
#define CALDERA_COMMON_STORE_MANIFEST_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/store/checkpoint_store.h"

namespace caldera::store {

inline constexpr char kManifestFormat[] = "caldera.checkpoint.v1";
inline constexpr char kManifestFile[] = "manifest.json";
// Times, workers, attempts, host, threads: the one file that differs between runs; never listed.
inline constexpr char kRunFile[] = "run.json";

// The job's spec without its places (URIs) and without what leaves no trace in the bytes.
struct ManifestSpec {
  struct Calibration {
    std::int64_t samples = 0;  // windows
    std::int64_t seq_len = 0;  // tokens per window
    std::int64_t ranges = 0;
    std::uint64_t seed = 0;
    friend bool operator==(const Calibration&, const Calibration&) = default;
  };
  struct Decomposition {
    std::string recipe;
    std::string codebook;
    double q_bits = 0;
    std::int64_t rank = 0;
    std::int64_t l_bits = 0;
    std::int64_t r_bits = 0;
    std::int64_t iterations = 0;
    std::uint64_t seed = 0;
    double target_bits = 0;
    std::string target_bits_include;
    friend bool operator==(const Decomposition&, const Decomposition&) = default;
  };
  Calibration calibration;
  Decomposition decomposition;
  std::int64_t embedding_bits = 0;
  friend bool operator==(const ManifestSpec&, const ManifestSpec&) = default;
};

// The model it was made from.
struct ManifestModel {
  std::string fingerprint;   // sha256 over names, sizes and headers of the source files
  std::string architecture;  // "llama", "mistral", "qwen2"
  std::int64_t layers = 0;
  std::int64_t parameters = 0;    // tied ones once
  std::int64_t source_bytes = 0;  // of the source's tensor files
  friend bool operator==(const ManifestModel&, const ManifestModel&) = default;
};

// The text it was calibrated on.
struct ManifestCalibration {
  std::string sha256;       // of the text's bytes
  std::int64_t tokens = 0;  // that entered the Hessians
  friend bool operator==(const ManifestCalibration&, const ManifestCalibration&) = default;
};

// One compressed linear layer.
struct ManifestMatrix {
  std::string name;  // "model.layers.0.self_attn.q_proj"
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t rank = 0;
  double q_bits = 0;
  std::int64_t l_bits = 0;
  std::int64_t r_bits = 0;
  double bits_per_weight = 0;
  double relative_error = 0;
  std::vector<double> error_curve;
  std::int64_t best_iteration = 0;
  double damping = 0;
  double probe_divergence = 0;
  friend bool operator==(const ManifestMatrix&, const ManifestMatrix&) = default;
};

struct Manifest {
  std::string tool_version;
  std::map<std::string, ObjectInfo> files;  // by base name
  ManifestSpec spec;
  ManifestModel model;
  ManifestCalibration calibration;
  std::vector<ManifestMatrix> matrices;  // in layer, then projection order
  double bits_per_weight = 0;            // over the compressed linear layers
  double model_bits_per_weight = 0;      // over all parameters
  std::int64_t output_bytes = 0;         // sum over `files`
  double mean_relative_error = 0;        // over `matrices`; 0 when there are none
  double max_relative_error = 0;
  friend bool operator==(const Manifest&, const Manifest&) = default;
};

// Fills output_bytes and the two error summaries from `files` and `matrices`.
void SummarizeManifest(Manifest& manifest);

// Sorted keys, two spaces, '\n' at the end; doubles in the shortest form that reads back the same.
// INVALID_ARGUMENT naming the field for a number that is not finite, a name that is no key part, a
// digest that is none, manifest.json or run.json listed, or output_bytes that is not the sum.
absl::StatusOr<std::string> ManifestToJson(const Manifest& manifest);

// The exact inverse, strict: `name` (the file) and the field are named for anything missing,
// unknown, of the wrong type or out of its bounds (DATA_LOSS). UNIMPLEMENTED for another format
// version.
absl::StatusOr<Manifest> ParseManifest(const std::string& json, const std::string& name);

}  // namespace caldera::store

#endif  // CALDERA_COMMON_STORE_MANIFEST_H_
