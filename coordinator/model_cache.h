// Models opened once per job and kept: headers, configuration, tokenizer files. No tensor data.
#ifndef CALDERA_COORDINATOR_MODEL_CACHE_H_
#define CALDERA_COORDINATOR_MODEL_CACHE_H_

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "caldera/v1/compression.pb.h"
#include "common/base/allowed_roots.h"
#include "common/base/mutex.h"
#include "common/model/model_directory.h"

namespace caldera::coordinator {

// Thread-safe. Holds the few models used last; holders keep theirs alive.
class ModelCache {
 public:
  explicit ModelCache(base::AllowedRoots roots) : roots_(std::move(roots)) {}
  // The model of a job. DATA_LOSS when it is no longer the one that was planned (other
  // fingerprint).
  absl::StatusOr<std::shared_ptr<const model::OpenedModel>> Open(const v1::CompressionJob& job);

 private:
  const base::AllowedRoots roots_;
  base::Mutex mutex_;
  // By fingerprint and place.
  std::map<std::string, std::shared_ptr<const model::OpenedModel>> models_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_MODEL_CACHE_H_
