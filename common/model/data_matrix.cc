#include "common/model/data_matrix.h"

#include <cmath>
#include <memory>
#include <utility>

#include "common/base/status.h"
#include "common/model/csv_matrix.h"
#include "common/model/dtype.h"
#include "common/model/local_files.h"
#include "common/model/npy.h"
#include "common/model/safetensors.h"

namespace caldera::model {
namespace {

// The tensor that `name` chooses, or the only matrix when it is empty.
absl::StatusOr<const TensorInfo*> ChooseTensor(const SafetensorsFile& file,
                                               const std::string& name) {
  if (!name.empty()) {
    const TensorInfo* info = file.Find(name);
    if (info == nullptr) return base::NotFound("{} has no tensor {}", file.name(), name);
    if (info->shape.size() == 2) return info;
    return base::InvalidArgument("{}: tensor {} has {} dimensions, expected 2", file.name(), name,
                                 info->shape.size());
  }
  std::vector<const TensorInfo*> matrices;
  std::vector<std::string> names;
  for (const TensorInfo& info : file.tensors()) {
    if (info.shape.size() != 2) continue;
    matrices.push_back(&info);
    names.push_back(info.name);
  }
  if (matrices.size() == 1) return matrices[0];
  if (matrices.empty()) {
    return base::InvalidArgument("{} has no tensor with two dimensions", file.name());
  }
  constexpr std::size_t kShown = 5;
  const bool more = names.size() > kShown;
  if (more) names.resize(kShown);
  return base::InvalidArgument("{} has {} matrices ({}{}): name one of them", file.name(),
                               matrices.size(), fmt::join(names, ", "), more ? ", ..." : "");
}

absl::StatusOr<DataMatrix> ReadSafetensors(std::unique_ptr<ByteSource> source,
                                           const std::string& tensor) {
  CALDERA_ASSIGN_OR_RETURN(const auto file, SafetensorsFile::Open(std::move(source)));
  CALDERA_ASSIGN_OR_RETURN(const TensorInfo* info, ChooseTensor(*file, tensor));
  CALDERA_ASSIGN_OR_RETURN(const std::vector<std::byte> bytes, file->ReadRaw(info->name));
  DataMatrix matrix{info->shape[0], info->shape[1], {}};
  matrix.values.resize(static_cast<std::size_t>(info->elements()));
  const absl::Status decoded = DecodeToDouble(info->dtype, bytes, matrix.values);
  if (!decoded.ok()) return base::WithContext(decoded, file->name() + ": tensor " + info->name);
  return matrix;
}

absl::StatusOr<DataMatrix> ReadByExtension(const std::string& path, const std::string& tensor) {
  const bool safetensors = path.ends_with(".safetensors");
  if (!safetensors && !path.ends_with(".npy") && !path.ends_with(".csv")) {
    return base::InvalidArgument("{}: expected a name that ends in .npy, .csv or .safetensors",
                                 path);
  }
  if (!safetensors && !tensor.empty()) {
    return base::InvalidArgument("{}: has no named tensors, so no {}", path, tensor);
  }
  CALDERA_ASSIGN_OR_RETURN(auto source, FileByteSource::Open(path));
  if (safetensors) return ReadSafetensors(std::move(source), tensor);
  return path.ends_with(".npy") ? ReadNpy(*source) : ReadCsvMatrix(*source);
}

}  // namespace

absl::StatusOr<DataMatrix> ReadDataMatrix(const std::string& path, const std::string& tensor) {
  CALDERA_ASSIGN_OR_RETURN(DataMatrix matrix, ReadByExtension(path, tensor));
  if (matrix.values.empty()) {
    return base::InvalidArgument("{}: a {} x {} matrix has no values", path, matrix.rows,
                                 matrix.columns);
  }
  for (std::size_t i = 0; i < matrix.values.size(); ++i) {
    if (std::isfinite(matrix.values[i])) continue;
    const auto columns = static_cast<std::size_t>(matrix.columns);
    return base::InvalidArgument("{}: row {}, column {} is not finite", path, i / columns,
                                 i % columns);
  }
  return matrix;
}

}  // namespace caldera::model
