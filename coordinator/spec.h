// What a job may ask for: defaults, ranges of every field, URIs. Pure: no file is touched here;
// what needs the model or the disk is checked by planner.h.
#ifndef CALDERA_COORDINATOR_SPEC_H_
#define CALDERA_COORDINATOR_SPEC_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "caldera/v1/compression.pb.h"
#include "common/model/compressed_matrix.h"
#include "common/model/job_settings.h"
#include "common/model/model_config.h"
#include "coordinator/error_details.h"

namespace caldera::coordinator {

// The spec with zero fields replaced by the defaults of compression.proto (rank 0 and seed 0 are
// values, not "unset") and URIs in the form of store::NormalUri. r_bits follows l_bits when only
// that is given.
v1::JobSpec WithDefaults(v1::JobSpec spec);

// The part of a spec that has no places and no seeds.
model::JobSettings SettingsOf(const v1::JobSpec& spec);

// What a matrix of this shape is coded like under a spec that has its defaults (the codebook and
// the transform blocks, which have no part in its size, are left out). Precondition: CheckSpec is
// empty.
model::CompressedMatrixHeader HeaderFor(const v1::Decomposition& decomposition,
                                        const model::MatrixShape& shape);

// Violations of a spec that has its defaults: bits, ranges, URIs. Empty when it is fine.
std::vector<FieldViolation> CheckSpec(const v1::JobSpec& spec);

// Violations that need the model's shapes: rank must be below min(m, n) of every projection.
std::vector<FieldViolation> CheckSpecAgainstModel(const v1::JobSpec& spec,
                                                  const model::ModelConfig& config);

// [a-z0-9-]{1,63}, or INVALID_ARGUMENT naming job_id.
absl::Status CheckJobId(const std::string& job_id);
// A lower-case UUID4, or INVALID_ARGUMENT naming `field`.
absl::Status CheckUuid(const std::string& text, const std::string& field);

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_SPEC_H_
