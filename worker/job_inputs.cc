#include "worker/job_inputs.h"

#include <utility>

#include "common/base/process_info.h"
#include "common/base/sha256.h"
#include "common/base/status.h"
#include "common/model/local_files.h"
#include "common/model/tokenizer.h"
#include "common/store/open_files.h"

namespace caldera::worker {
namespace {

absl::StatusOr<model::OpenedModel> OpenThroughCoordinator(const v1::Lease& lease,
                                                          const CheckpointAccess& access) {
  CALDERA_ASSIGN_OR_RETURN(std::shared_ptr<const model::FileSet> files,
                           OpenRemoteModel(access, lease.job()));
  CALDERA_ASSIGN_OR_RETURN(model::OpenedModel opened, model::OpenModel(std::move(files)));
  if (opened.fingerprint_sha256 != lease.model_sha256()) {
    return base::DataLoss("model {} has changed since {} was created: fingerprint {}, expected {}",
                          lease.spec().model_uri(), lease.job(), opened.fingerprint_sha256,
                          lease.model_sha256());
  }
  return opened;
}

// The text as it is reached from this host, or an error: it is not there, or another one.
absl::StatusOr<std::unique_ptr<model::ByteSource>> OpenCalibrationHere(
    const v1::Lease& lease, const base::AllowedRoots& roots) {
  CALDERA_ASSIGN_OR_RETURN(auto text, store::OpenFile(lease.spec().calibration().uri(), roots));
  CALDERA_ASSIGN_OR_RETURN(const std::string digest, model::DigestOf(*text));
  if (digest == lease.calibration_sha256()) return text;
  return base::DataLoss("{} is not the text of {}", text->name(), lease.job());
}

absl::StatusOr<std::unique_ptr<model::ByteSource>> OpenCalibration(
    const v1::Lease& lease, Reach reach, const CheckpointAccess& access,
    const base::AllowedRoots& roots) {
  const std::string& uri = lease.spec().calibration().uri();
  const std::string file = uri.substr(uri.find_last_of('/') + 1);
  if (reach == Reach::kDirect) {
    auto local = OpenCalibrationHere(lease, roots);
    if (local.ok()) return local;
  }
  CALDERA_ASSIGN_OR_RETURN(const std::string text, ReadRemoteCalibration(access, lease.job()));
  const std::string digest = base::Sha256Hex(text);
  if (digest != lease.calibration_sha256()) {
    return base::DataLoss(
        "calibration text {} has changed since {} was created: SHA-256 {}, "
        "expected {}",
        uri, lease.job(), digest, lease.calibration_sha256());
  }
  const auto* bytes = reinterpret_cast<const std::byte*>(text.data());
  return std::make_unique<model::MemoryByteSource>(
      file, std::vector<std::byte>(bytes, bytes + text.size()));
}

}  // namespace

JobInputs::JobInputs(std::string job, model::OpenedModel model, Reach reach,
                     CheckpointAccess access, const base::AllowedRoots& roots)
    : job_(std::move(job)),
      model_(std::move(model)),
      reach_(reach),
      access_(std::move(access)),
      roots_(roots) {
  auto digests = std::make_unique<DigestingSource>(std::move(model_.tensors));
  digests_ = digests.get();
  model_.tensors = std::move(digests);
}

absl::StatusOr<std::unique_ptr<JobInputs>> JobInputs::Open(const v1::Lease& lease, Reach reach,
                                                           CheckpointAccess access,
                                                           const base::AllowedRoots& roots) {
  if (reach == Reach::kDirect) {
    auto local = store::OpenModel(lease.spec().model_uri(), roots);
    if (local.ok() && local->fingerprint_sha256 == lease.model_sha256()) {
      return std::unique_ptr<JobInputs>(
          new JobInputs(lease.job(), *std::move(local), reach, std::move(access), roots));
    }
  }
  CALDERA_ASSIGN_OR_RETURN(model::OpenedModel opened, OpenThroughCoordinator(lease, access));
  return std::unique_ptr<JobInputs>(
      new JobInputs(lease.job(), std::move(opened), reach, std::move(access), roots));
}

bool JobInputs::Fits(const v1::Lease& lease) const {
  return lease.job() == job_ && lease.model_sha256() == model_.fingerprint_sha256;
}

absl::StatusOr<model::TokenWindows> JobInputs::LoadWindows(const v1::Lease& lease) const {
  CALDERA_ASSIGN_OR_RETURN(const auto tokenizer, model::LoadTokenizer(*model_.files));
  CALDERA_ASSIGN_OR_RETURN(const auto file, OpenCalibration(lease, reach_, access_, roots_));
  CALDERA_ASSIGN_OR_RETURN(const auto ids, model::TokenizeFile(*file, *tokenizer));
  const v1::Calibration& calibration = lease.spec().calibration();
  model::CalibrationOptions options;
  options.samples = calibration.samples();
  options.seq_len = calibration.seq_len();
  options.seed = calibration.seed();
  return model::CalibrationWindows(ids, *tokenizer, options);
}

absl::StatusOr<std::vector<std::vector<std::int32_t>>> JobInputs::RangeWindows(
    const v1::Lease& lease, int range, int ranges) {
  if (windows_ == nullptr) {
    CALDERA_ASSIGN_OR_RETURN(auto windows, LoadWindows(lease));
    windows_ = std::make_unique<model::TokenWindows>(std::move(windows));
    base::ReturnFreeMemory();
  }
  const std::int64_t count = windows_->count();
  const std::int64_t first = count * range / ranges;
  const std::int64_t last = count * (range + 1) / ranges;
  std::vector<std::vector<std::int32_t>> run;
  for (std::int64_t i = first; i < last; ++i) {
    const auto window = windows_->window(i);
    run.emplace_back(window.begin(), window.end());
  }
  return run;
}

}  // namespace caldera::worker
