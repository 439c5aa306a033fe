// Input: three receipts of one job, NUL between them: the job's, a matrix's, Hessians'.
#include <google/protobuf/util/json_util.h>

#include <span>

#include "caldera/v1/receipts.pb.h"
#include "common/base/check.h"
#include "common/base/sha256.h"
#include "common/store/memory_store.h"
#include "coordinator/receipts.h"
#include "coordinator/spec.h"
#include "tests/fuzz/inputs.h"
#include "tests/fuzz/targets.h"

namespace caldera::fuzz {
namespace {

constexpr char kObject[] = "an object";

// A store that holds one object, so receipts of it count.
void Fill(const std::string& input, store::MemoryStore& store) {
  const std::vector<std::string> receipts = Parts(input, '\0', 3);
  const char* const names[] = {"job.json", "0-self_attn.q_proj.json", "hessians-0-0.json"};
  for (std::size_t i = 0; i < receipts.size(); ++i) {
    if (!receipts[i].empty()) {
      CALDERA_CHECK(store.WriteKey(std::string("receipts/a/") + names[i], receipts[i]).ok(),
                    "the receipt {} cannot be written", names[i]);
    }
  }
  const auto writer = store.Stage("test");
  const std::string object = kObject;
  CALDERA_CHECK(writer.ok() && (*writer)->Append(std::as_bytes(std::span(object))).ok() &&
                    (*writer)->Commit().ok(),
                "the object cannot be written");
}

// What the coordinator asks of a job that it has taken in.
void Use(const coordinator::JobState& job) {
  const int layers = job.record.job.model().layers();
  for (const auto& [key, matrix] : job.matrices) {
    CALDERA_CHECK(key.first >= 0 && key.first < layers, "a matrix of layer {} of {}", key.first,
                  layers);
  }
  for (const auto& [key, hessian] : job.hessians) {
    CALDERA_CHECK(std::get<0>(key) >= 0 && std::get<0>(key) < layers, "a Hessian of layer {} of {}",
                  std::get<0>(key), layers);
  }
  for (const coordinator::TaskRecord& task : job.tasks) {
    (void)coordinator::InputsReady(job, task);
    (void)coordinator::DescribeTask(job, task);
  }
  const v1::CompressionJob described = coordinator::DescribeJob(job, absl::UnixEpoch());
  CALDERA_CHECK(described.progress().layers() == layers, "progress over {} layers of {}",
                described.progress().layers(), layers);
  (void)coordinator::DescribeLayer(job, 0);
}

Verdict Run(const std::string& input) {
  store::MemoryStore store("fuzz");
  Fill(input, store);
  const auto received = coordinator::ReadReceipts(store);
  CALDERA_CHECK(received.ok(), "the store cannot be listed");
  for (const coordinator::JobState& job : received->jobs) Use(job);
  return received->jobs.empty() ? Verdict::kRefused : Verdict::kAccepted;
}

v1::ObjectRef Object() {
  v1::ObjectRef object;
  object.set_sha256(base::Sha256Hex(kObject));
  object.set_size(sizeof(kObject) - 1);
  return object;
}

v1::JobReceipt JobOf(int layers) {
  v1::JobReceipt receipt;
  receipt.set_ordinal(3);
  receipt.set_compress_work(1e6);
  v1::CompressionJob* job = receipt.mutable_job();
  job->set_name("compressionJobs/a");
  job->mutable_model()->set_layers(layers);
  v1::JobSpec spec;
  spec.set_model_uri("file:///m");
  spec.set_output_uri("file:///o");
  spec.mutable_calibration()->set_uri("file:///t");
  spec.mutable_calibration()->set_ranges(1);
  *job->mutable_spec() = coordinator::WithDefaults(spec);
  return receipt;
}

std::string Json(const google::protobuf::Message& message) {
  std::string json;
  (void)google::protobuf::util::MessageToJsonString(message, &json);
  return json;
}

std::string MatrixOf(int layer) {
  v1::MatrixReceipt receipt;
  receipt.set_layer(layer);
  receipt.set_worker("w");
  receipt.mutable_matrix()->set_projection("self_attn.q_proj");
  *receipt.mutable_matrix()->mutable_object() = Object();
  return Json(receipt);
}

std::string HessiansOf(int layer) {
  v1::HessiansReceipt receipt;
  for (const char* kind : {"attn_in", "attn_out", "mlp_in", "mlp_down"}) {
    v1::HessianRef* hessian = receipt.add_hessians();
    hessian->set_layer(layer);
    hessian->set_kind(kind);
    *hessian->mutable_object() = Object();
  }
  return Json(receipt);
}

std::vector<Seed> Seeds() {
  const std::string nul(1, '\0');
  const std::string job = Json(JobOf(2));
  return {{"job", Verdict::kAccepted, job},
          {"all", Verdict::kAccepted, job + nul + MatrixOf(1) + nul + HessiansOf(0)},
          {"no_layers", Verdict::kRefused, Json(JobOf(0))},
          {"too_many_layers", Verdict::kRefused, Json(JobOf(2147483647))},
          {"matrix_beyond_the_layers", Verdict::kRefused, job + nul + MatrixOf(2)},
          {"hessians_of_no_layer", Verdict::kRefused, job + nul + nul + HessiansOf(-1)}};
}

}  // namespace

Target ReceiptsTarget() { return {"receipts", Run, Seeds}; }

}  // namespace caldera::fuzz
