#include "common/model/tensor_source.h"

#include <algorithm>

#include "common/base/status.h"

namespace caldera::model {

std::int64_t TensorInfo::row_elements() const {
  std::int64_t product = 1;
  for (std::size_t i = 1; i < shape.size(); ++i) product *= shape[i];
  return product;
}

const TensorInfo* TensorSource::Find(const std::string& tensor) const {
  const std::vector<TensorInfo>& all = tensors();
  const auto found = std::lower_bound(
      all.begin(), all.end(), tensor,
      [](const TensorInfo& info, const std::string& name) { return info.name < name; });
  return found != all.end() && found->name == tensor ? &*found : nullptr;
}

absl::StatusOr<std::vector<float>> TensorSource::ReadAll(const std::string& tensor) const {
  const TensorInfo* info = Find(tensor);
  if (info == nullptr) return base::NotFound("{}: no tensor \"{}\"", name(), tensor);
  std::vector<float> values(static_cast<std::size_t>(info->elements()));
  CALDERA_RETURN_IF_ERROR(ReadRows(tensor, 0, info->rows(), values));
  return values;
}

}  // namespace caldera::model
