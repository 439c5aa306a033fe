// Input: a manifest.json.
#include "common/base/check.h"
#include "common/base/status.h"
#include "common/store/keys.h"
#include "common/store/manifest.h"
#include "tests/common/store/sample_manifest.h"
#include "tests/fuzz/targets.h"

namespace caldera::fuzz {
namespace {

Verdict Run(const std::string& input) {
  const auto manifest = store::ParseManifest(input, "manifest.json");
  if (!manifest.ok()) return Verdict::kRefused;
  std::uint64_t bytes = 0;
  for (const auto& [name, info] : manifest->files) {
    CALDERA_CHECK(store::ValidateKeyPart(name).ok(), "\"{}\" is no name of a file", name);
    CALDERA_CHECK(store::ValidateDigest(info.sha256).ok(), "\"{}\" is no digest", info.sha256);
    CALDERA_CHECK(!__builtin_add_overflow(bytes, info.size, &bytes), "the sizes overflow");
  }
  CALDERA_CHECK(std::cmp_equal(manifest->output_bytes, bytes), "output_bytes is another sum");
  const auto written = store::ManifestToJson(*manifest);
  CALDERA_CHECK(written.ok(), "what was read: {}", base::MessageOf(written.status()));
  const auto again = store::ParseManifest(*written, "again");
  CALDERA_CHECK(again.ok() && *again == *manifest, "what was written reads differently");
  return Verdict::kAccepted;
}

std::string With(std::string text, const std::string& from, const std::string& to) {
  return text.replace(text.find(from), from.size(), to);
}

std::vector<Seed> Seeds() {
  const std::string sample = *store::ManifestToJson(store::SampleManifest());
  store::Manifest small = store::SampleManifest();
  small.files.clear();
  small.matrices.clear();
  store::SummarizeManifest(small);
  return {
      {"sample", Verdict::kAccepted, sample},
      {"no_files", Verdict::kAccepted, *store::ManifestToJson(small)},
      {"wrong_sum", Verdict::kRefused, With(sample, "\"bytes\": 6", "\"bytes\": 7")},
      {"sizes_that_overflow", Verdict::kRefused,
       With(With(sample, "\"bytes\": 6", "\"bytes\": 18446744073709551615"), "\"bytes\": 3",
            "\"bytes\": 10")},
      {"file_outside", Verdict::kRefused, With(sample, "\"config.json\"", "\"../config.json\"")},
      {"negative", Verdict::kRefused, With(sample, "\"rank\": 64", "\"rank\": -1")},
      {"too_large", Verdict::kRefused,
       With(sample, "\"rank\": 64", "\"rank\": 9223372036854775808")},
      {"another_format", Verdict::kRefused, With(sample, "checkpoint.v1", "checkpoint.v2")}};
}

}  // namespace

Target ManifestTarget() { return {"manifest", Run, Seeds}; }

}  // namespace caldera::fuzz
