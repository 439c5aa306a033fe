#include "worker/hessian_object.h"

#include <cstring>
#include <string>
#include <utility>

#include "common/base/status.h"
#include "common/model/local_files.h"
#include "common/model/safetensors.h"
#include "common/model/safetensors_writer.h"

namespace caldera::worker {
namespace {

constexpr char kFormat[] = "caldera.hessian.v1";
constexpr char kTensor[] = "hessian";

absl::StatusOr<std::int64_t> ReadNumber(const model::SafetensorsFile& file,
                                        const std::string& key) {
  const auto found = file.metadata().find(key);
  if (found == file.metadata().end() || found->second.empty() || found->second.size() > 15 ||
      found->second.find_first_not_of("0123456789") != std::string::npos) {
    return base::DataLoss("{}: metadata field {} is not a number", file.name(), key);
  }
  return std::stoll(found->second);
}

}  // namespace

absl::StatusOr<std::vector<std::byte>> EncodeHessian(const decompose::HessianSum& hessian) {
  const auto values = std::as_bytes(std::span(hessian.packed_lower));
  model::SafetensorsTensor tensor;
  tensor.declaration = {
      kTensor, model::Dtype::kF32, {static_cast<std::int64_t>(hessian.packed_lower.size())}};
  tensor.bytes.assign(values.begin(), values.end());
  return model::WriteSafetensors({{"format", kFormat},
                                  {"size", std::to_string(hessian.size)},
                                  {"tokens", std::to_string(hessian.tokens)}},
                                 {std::move(tensor)});
}

absl::StatusOr<decompose::HessianSum> DecodeHessian(std::vector<std::byte> bytes,
                                                    const std::string& name) {
  auto opened = model::SafetensorsFile::Open(
      std::make_unique<model::MemoryByteSource>(name, std::move(bytes)));
  if (!opened.ok()) return base::DataLoss("{}", base::MessageOf(opened.status()));
  const model::SafetensorsFile& file = **opened;
  const auto format = file.metadata().find("format");
  if (format == file.metadata().end() || format->second != kFormat) {
    return base::DataLoss("{}: not a {} object", name, kFormat);
  }
  decompose::HessianSum sum;
  CALDERA_ASSIGN_OR_RETURN(sum.size, ReadNumber(file, "size"));
  CALDERA_ASSIGN_OR_RETURN(sum.tokens, ReadNumber(file, "tokens"));
  const model::TensorInfo* tensor = file.Find(kTensor);
  const bool fits = tensor != nullptr && sum.size < (std::int64_t{1} << 24) &&
                    tensor->dtype == model::Dtype::kF32 && tensor->shape.size() == 1 &&
                    tensor->shape[0] == sum.size * (sum.size + 1) / 2;
  if (!fits) return base::DataLoss("{}: tensor {} does not fit size {}", name, kTensor, sum.size);
  CALDERA_ASSIGN_OR_RETURN(sum.packed_lower, file.ReadAll(kTensor));
  return sum;
}

}  // namespace caldera::worker
