#include "worker/weight_digests.h"

#include <span>
#include <utility>

#include "common/base/crc32c.h"
#include "common/base/status.h"

namespace caldera::worker {

DigestingSource::DigestingSource(std::unique_ptr<model::TensorSource> inner)
    : inner_(std::move(inner)) {
  // All at once: made one by one, they would lie between the large buffers of the passes and keep
  // what is freed there from the next ones.
  for (const model::TensorInfo& tensor : inner_->tensors()) passes_[tensor.name];
}

absl::Status DigestingSource::ReadRows(const std::string& tensor, std::int64_t first_row,
                                       std::int64_t row_count, std::span<float> out) const {
  CALDERA_RETURN_IF_ERROR(inner_->ReadRows(tensor, first_row, row_count, out));
  const base::MutexLock lock(mutex_);
  Pass& pass = passes_[tensor];
  if (first_row == 0) pass = {};
  if (first_row != pass.next_row) return absl::OkStatus();
  pass.crc = base::ExtendCrc32c(pass.crc, std::as_bytes(out));
  pass.next_row += row_count;
  return absl::OkStatus();
}

std::optional<std::uint32_t> DigestingSource::DigestOf(const std::string& tensor) const {
  const model::TensorInfo* info = Find(tensor);
  const base::MutexLock lock(mutex_);
  const auto pass = passes_.find(tensor);
  if (info == nullptr || pass == passes_.end()) return std::nullopt;
  if (pass->second.next_row != info->rows()) return std::nullopt;
  return pass->second.crc;
}

}  // namespace caldera::worker
