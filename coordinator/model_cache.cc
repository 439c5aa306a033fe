#include "coordinator/model_cache.h"

#include <utility>

#include "common/base/status.h"
#include "common/store/open_files.h"

namespace caldera::coordinator {
namespace {
constexpr std::size_t kKept = 4;
}  // namespace

absl::StatusOr<std::shared_ptr<const model::OpenedModel>> ModelCache::Open(
    const v1::CompressionJob& job) {
  const std::string key = job.model().sha256() + job.spec().model_uri();
  {
    base::MutexLock lock(mutex_);
    const auto found = models_.find(key);
    if (found != models_.end()) return found->second;
  }
  CALDERA_ASSIGN_OR_RETURN(model::OpenedModel opened, store::OpenModel(job.spec().model_uri()));
  if (opened.fingerprint_sha256 != job.model().sha256()) {
    return base::DataLoss("model {} has changed since job {} was created", job.spec().model_uri(),
                          job.name());
  }
  auto shared = std::make_shared<const model::OpenedModel>(std::move(opened));
  base::MutexLock lock(mutex_);
  if (models_.size() >= kKept) models_.erase(models_.begin());
  models_[key] = shared;
  return shared;
}

}  // namespace caldera::coordinator
