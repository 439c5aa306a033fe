#include "coordinator/receipts.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <set>
#include <utility>

#include "caldera/v1/receipts.pb.h"
#include "common/base/status.h"
#include "common/model/model_config.h"
#include "coordinator/error_details.h"
#include "coordinator/spec.h"

namespace caldera::coordinator {
namespace {

constexpr char kFolder[] = "receipts";
constexpr char kJobFile[] = "job.json";

std::string KeyOf(const base::JobId& job, const std::string& name) {
  return fmt::format("{}/{}/{}", kFolder, job.value(), name);
}

absl::Status Parse(const std::string& key, const store::CheckpointStore& store,
                   google::protobuf::Message* message) {
  CALDERA_ASSIGN_OR_RETURN(const std::string json, store.ReadKey(key));
  const auto status = google::protobuf::util::JsonStringToMessage(json, message);
  if (status.ok()) return absl::OkStatus();
  return base::DataLoss("{}: {}", key, std::string(status.message()));
}

absl::Status CheckJob(const v1::CompressionJob& job) {
  constexpr int kMostLayers = 4096;  // as model::ValidateModelConfig
  if (job.model().layers() < 1 || job.model().layers() > kMostLayers) {
    return base::DataLoss("a model of {} layers", job.model().layers());
  }
  return ViolationsToStatus(CheckSpec(job.spec()));
}

absl::Status CheckLayer(const std::string& key, int layer, const JobState& job) {
  if (layer >= 0 && layer < job.record.job.model().layers()) return absl::OkStatus();
  return base::DataLoss("{}: layer {} of {}", key, layer, job.record.job.model().layers());
}

bool IsStored(const v1::ObjectRef& object, const store::CheckpointStore& store) {
  const auto info = store.StatObject(object.sha256());
  return info.ok() && static_cast<std::int64_t>(info->size) == object.size();
}

// Adds up the receipts of one job.
class JobReader {
 public:
  JobReader(const store::CheckpointStore& store, JobState* job) : store_(store), job_(*job) {}

  absl::Status ReadJob(const std::string& key) {
    v1::JobReceipt receipt;
    CALDERA_RETURN_IF_ERROR(Parse(key, store_, &receipt));
    JobRecord& record = job_.record;
    CALDERA_ASSIGN_OR_RETURN(record.id, ParseJobName(receipt.job().name()));
    record.ordinal = receipt.ordinal();
    record.request_id = receipt.request_id();
    record.request_fingerprint = receipt.request_fingerprint();
    record.calibration_sha256 = receipt.calibration_sha256();
    record.calibration_tokens = receipt.calibration_tokens();
    record.job = receipt.job();
    record.job.clear_error();
    record.job.clear_result();
    const WorkEstimate work{receipt.calibrate_work(), receipt.compress_work(),
                            receipt.embeddings_work(), receipt.probe_work()};
    CALDERA_RETURN_IF_ERROR(base::WithContext(CheckJob(record.job), key));
    job_.tasks = MakeTasks(record.id, record.job.spec(), record.job.model().layers(), work);
    return absl::OkStatus();
  }

  absl::Status ReadMatrix(const std::string& key) {
    v1::MatrixReceipt receipt;
    CALDERA_RETURN_IF_ERROR(Parse(key, store_, &receipt));
    CALDERA_RETURN_IF_ERROR(CheckLayer(key, receipt.layer(), job_));
    CALDERA_ASSIGN_OR_RETURN(const int projection, ProjectionIndex(receipt.matrix().projection()));
    if (!IsStored(receipt.matrix().object(), store_)) return absl::OkStatus();
    job_.matrices[{receipt.layer(), projection}] = {receipt.matrix(), receipt.attempt(),
                                                    base::WorkerId(receipt.worker())};
    return absl::OkStatus();
  }

  absl::Status ReadHessians(const std::string& key) {
    v1::HessiansReceipt receipt;
    CALDERA_RETURN_IF_ERROR(Parse(key, store_, &receipt));
    for (const v1::HessianRef& hessian : receipt.hessians()) {
      CALDERA_RETURN_IF_ERROR(CheckLayer(key, hessian.layer(), job_));
      if (!IsStored(hessian.object(), store_)) continue;
      job_.hessians[{hessian.layer(), hessian.range(), hessian.kind()}] = hessian;
    }
    return absl::OkStatus();
  }

  // Calibration whose Hessians are all there need not be repeated.
  void FinishCalibration() {
    const int expected = job_.record.job.model().layers() * model::kHessianKindCount;
    for (TaskRecord& task : job_.tasks) {
      if (task.kind != TaskKind::kCalibrate) continue;
      const auto found = std::count_if(
          job_.hessians.begin(), job_.hessians.end(),
          [&task](const auto& entry) { return std::get<1>(entry.first) == task.index; });
      if (found == expected) task.state = TaskState::kDone;
    }
  }

 private:
  const store::CheckpointStore& store_;
  JobState& job_;
};

absl::StatusOr<JobState> ReadJob(const base::JobId& id, const std::set<std::string>& names,
                                 const store::CheckpointStore& store) {
  JobState job;
  JobReader reader(store, &job);
  CALDERA_RETURN_IF_ERROR(reader.ReadJob(KeyOf(id, kJobFile)));
  if (job.record.id != id) {
    return base::DataLoss("{}: tells of {}", KeyOf(id, kJobFile), JobName(job.record.id));
  }
  for (const std::string& name : names) {
    if (name == kJobFile) continue;
    const bool hessians = name.starts_with("hessians-");
    CALDERA_RETURN_IF_ERROR(hessians ? reader.ReadHessians(KeyOf(id, name))
                                     : reader.ReadMatrix(KeyOf(id, name)));
  }
  reader.FinishCalibration();
  return job;
}

}  // namespace

void Receipts::Write(const std::string& key, const google::protobuf::Message& message) const {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::string json;
  const bool printed = google::protobuf::util::MessageToJsonString(message, &json, options).ok();
  const absl::Status status =
      printed ? store_->WriteKey(key, json) : base::Internal("not printable");
  if (!status.ok()) log_.Warning("{}: {}", key, base::MessageOf(status));
}

void Receipts::WriteJob(const JobRecord& job, const WorkEstimate& work) const {
  v1::JobReceipt receipt;
  *receipt.mutable_job() = job.job;
  receipt.set_ordinal(job.ordinal);
  receipt.set_request_id(job.request_id);
  receipt.set_request_fingerprint(job.request_fingerprint);
  receipt.set_calibration_sha256(job.calibration_sha256);
  receipt.set_calibration_tokens(job.calibration_tokens);
  receipt.set_calibrate_work(work.calibrate);
  receipt.set_compress_work(work.compress);
  receipt.set_embeddings_work(work.embeddings);
  receipt.set_probe_work(work.probe);
  Write(KeyOf(job.id, kJobFile), receipt);
}

void Receipts::WriteMatrix(const base::JobId& job, int layer, const MatrixRecord& matrix) const {
  v1::MatrixReceipt receipt;
  receipt.set_layer(layer);
  *receipt.mutable_matrix() = matrix.result;
  receipt.set_attempt(matrix.attempt);
  receipt.set_worker(matrix.worker.value());
  Write(KeyOf(job, fmt::format("{}-{}.json", layer, matrix.result.projection())), receipt);
}

void Receipts::WriteHessians(const base::JobId& job,
                             const std::vector<v1::HessianRef>& hessians) const {
  if (hessians.empty()) return;
  v1::HessiansReceipt receipt;
  *receipt.mutable_hessians() = {hessians.begin(), hessians.end()};
  Write(KeyOf(job, fmt::format("hessians-{}-{}.json", hessians.front().layer(),
                               hessians.front().range())),
        receipt);
}

void Receipts::Remove(const base::JobId& job) const {
  const auto keys = store_->ListKeys(fmt::format("{}/{}", kFolder, job.value()));
  if (!keys.ok()) return;
  for (const std::string& key : *keys) (void)store_->RemoveKey(key);
}

absl::StatusOr<ReceivedJobs> ReadReceipts(const store::CheckpointStore& store) {
  CALDERA_ASSIGN_OR_RETURN(const std::vector<std::string> keys, store.ListKeys(kFolder));
  std::map<std::string, std::set<std::string>> names;  // by job
  for (const std::string& key : keys) {
    const std::string rest = key.substr(std::min(key.size(), sizeof(kFolder)));
    const std::size_t slash = rest.find('/');
    if (slash != std::string::npos) names[rest.substr(0, slash)].insert(rest.substr(slash + 1));
  }
  ReceivedJobs received;
  for (const auto& [id, files] : names) {
    absl::StatusOr<JobState> job = ReadJob(base::JobId(id), files, store);
    if (job.ok()) {
      received.jobs.push_back(*std::move(job));
    } else {
      received.broken[id] = base::MessageOf(job.status());
    }
  }
  return received;
}

}  // namespace caldera::coordinator
