// Tensors with the CRC-32C of what was read of them: so that a model which is changed under a
// running job is noticed (dispatch.proto, WeightDigest).
#ifndef CALDERA_WORKER_WEIGHT_DIGESTS_H_
#define CALDERA_WORKER_WEIGHT_DIGESTS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/base/mutex.h"
#include "common/model/tensor_source.h"

namespace caldera::worker {

// Passes everything on to another source. A tensor that is read row after row from the first to the
// last, in any pieces, has a digest afterwards: that of the last such pass. Thread-safe as its
// contract asks, but passes of two threads over one tensor spoil each other's digest.
class DigestingSource final : public model::TensorSource {
 public:
  explicit DigestingSource(std::unique_ptr<model::TensorSource> inner);

  const std::string& name() const override { return inner_->name(); }
  const std::vector<model::TensorInfo>& tensors() const override { return inner_->tensors(); }
  absl::Status ReadRows(const std::string& tensor, std::int64_t first_row, std::int64_t row_count,
                        std::span<float> out) const override ABSL_LOCKS_EXCLUDED(mutex_);
  absl::StatusOr<std::vector<std::byte>> ReadRaw(const std::string& tensor) const override {
    return inner_->ReadRaw(tensor);
  }

  // nullopt unless the last pass over the tensor was whole.
  std::optional<std::uint32_t> DigestOf(const std::string& tensor) const
      ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Pass {
    std::int64_t next_row = 0;
    std::uint32_t crc = 0;
  };
  const std::unique_ptr<model::TensorSource> inner_;
  mutable base::Mutex mutex_;
  mutable std::map<std::string, Pass> passes_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace caldera::worker

#endif  // CALDERA_WORKER_WEIGHT_DIGESTS_H_
