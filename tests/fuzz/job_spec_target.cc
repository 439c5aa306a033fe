// Input: a JobSpec on the wire; the same bytes are also read as its JSON.
#include <google/protobuf/stubs/logging.h>
#include <google/protobuf/util/json_util.h>

#include "common/base/check.h"
#include "common/base/status.h"
#include "common/store/open_files.h"
#include "coordinator/spec.h"
#include "tests/common/model/test_files.h"
#include "tests/fuzz/targets.h"

namespace caldera::fuzz {
namespace {

void UseWithModel(const v1::JobSpec& spec) {
  const model::ModelConfig config = model::testing::SmallConfig();
  if (!coordinator::CheckSpecAgainstModel(spec, config).empty()) return;
  for (int p = 0; p < model::kProjectionCount; ++p) {
    const model::MatrixShape shape = model::ShapeOf(config, static_cast<model::Projection>(p));
    const auto header = coordinator::HeaderFor(spec.decomposition(), shape);
    const absl::Status valid = model::ValidateMatrixHeader(header);
    CALDERA_CHECK(valid.ok(), "a matrix of an accepted spec: {}", base::MessageOf(valid));
    CALDERA_CHECK(model::StoredBytes(header) > 0, "a matrix without bytes");
  }
}

Verdict Check(const v1::JobSpec& given) {
  (void)coordinator::CheckJobId(given.model_uri());
  (void)coordinator::CheckUuid(given.model_uri(), "request_id");
  const v1::JobSpec spec = coordinator::WithDefaults(given);
  const auto violations = coordinator::CheckSpec(spec);
  const absl::Status status = coordinator::ViolationsToStatus(violations);
  CALDERA_CHECK(status.ok() == violations.empty(), "{} violations give {}", violations.size(),
                base::MessageOf(status));
  if (!status.ok()) return Verdict::kRefused;
  CALDERA_CHECK(coordinator::WithDefaults(spec).SerializeAsString() == spec.SerializeAsString(),
                "the defaults of a spec with defaults are others");
  const auto output = store::NormalUri(spec.output_uri(), store::UriUse::kPublish);
  CALDERA_CHECK(output.ok() && *output == spec.output_uri(), "\"{}\" is no place",
                spec.output_uri());
  UseWithModel(spec);
  return Verdict::kAccepted;
}

Verdict Run(const std::string& input) {
  const google::protobuf::LogSilencer quiet;  // of texts that are not UTF-8
  v1::JobSpec spec;
  if (spec.ParseFromString(input)) return Check(spec);
  spec.Clear();
  if (google::protobuf::util::JsonStringToMessage(input, &spec).ok()) return Check(spec);
  return Verdict::kRefused;
}

v1::JobSpec Small() {
  v1::JobSpec spec;
  spec.set_model_uri("file:///models/m");
  spec.set_output_uri("/out/");
  spec.mutable_calibration()->set_uri("file:///text.txt");
  return spec;
}

v1::JobSpec Full() {
  v1::JobSpec spec = Small();
  spec.set_embedding_bits(4);
  v1::Calibration* calibration = spec.mutable_calibration();
  calibration->set_samples(8);
  calibration->set_seq_len(64);
  calibration->set_ranges(2);
  v1::Decomposition* decomposition = spec.mutable_decomposition();
  decomposition->set_codebook("trellis");
  decomposition->set_q_bits(2.5);
  decomposition->set_rank(3);
  decomposition->set_l_bits(8);
  decomposition->set_iterations(5);
  return spec;
}

std::string Json(const v1::JobSpec& spec) {
  std::string json;
  (void)google::protobuf::util::MessageToJsonString(spec, &json);
  return json;
}

std::vector<Seed> Seeds() {
  v1::JobSpec published = Small();
  published.mutable_decomposition()->set_recipe("published");
  v1::JobSpec target = Small();
  target.mutable_decomposition()->set_target_bits(2.5);
  target.mutable_decomposition()->set_target_bits_include("embeddings");
  v1::JobSpec infinite = Full();
  infinite.mutable_decomposition()->set_q_bits(1e300);
  v1::JobSpec negative = Full();
  negative.mutable_decomposition()->set_rank(-1);
  v1::JobSpec outside = Small();
  outside.set_output_uri("file:///out/../etc");
  return {{"small", Verdict::kAccepted, Small().SerializeAsString()},
          {"full", Verdict::kAccepted, Full().SerializeAsString()},
          {"full_json", Verdict::kAccepted, Json(Full())},
          {"published", Verdict::kAccepted, Json(published)},
          {"target", Verdict::kAccepted, Json(target)},
          {"too_many_bits", Verdict::kRefused, infinite.SerializeAsString()},
          {"negative_rank", Verdict::kRefused, Json(negative)},
          {"outside", Verdict::kRefused, Json(outside)}};
}

}  // namespace

Target JobSpecTarget() { return {"job_spec", Run, Seeds}; }

}  // namespace caldera::fuzz
