// The small files of a published checkpoint, as text made from values.
#ifndef CALDERA_COORDINATOR_PUBLISH_DOCUMENTS_H_
#define CALDERA_COORDINATOR_PUBLISH_DOCUMENTS_H_

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "caldera/v1/compression.pb.h"
#include "common/model/model_directory.h"
#include "common/store/manifest.h"
#include "coordinator/records.h"

namespace caldera::coordinator {

// config.json: the source's text (from GGUF: ModelConfigToJson) with
// "quantization_config" {quant_method "caldera", version, codebook, q_bits, rank, l_bits, r_bits,
// embedding_bits} as its last member. INVALID_ARGUMENT when the source's is no JSON object.
absl::StatusOr<std::string> ConfigJson(const model::OpenedModel& model, const v1::JobSpec& spec);

// Who did what, when, with how many flops per rank: {job, created, started, model_uri, output_uri,
// tasks[], matrices[], workers[]}. Differs between runs.
std::string RunJson(const JobState& job, const std::map<std::string, WorkerRecord>& workers);

// The manifest's spec, model, calibration and matrices (not its files and sums).
store::Manifest ManifestFacts(const JobState& job, const std::string& tool_version);

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_PUBLISH_DOCUMENTS_H_
