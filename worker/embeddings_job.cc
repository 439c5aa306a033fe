#include "worker/embeddings_job.h"

#include <algorithm>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/base/status.h"
#include "common/model/embedding_code.h"
#include "common/model/model_tensors.h"
#include "common/model/safetensors_writer.h"

namespace caldera::worker {
namespace {

constexpr std::int64_t kPieceBytes = std::int64_t{16} << 20;

// One stored tensor: declaration, and its bytes unless they are rows streamed as BF16.
struct Part {
  model::SafetensorsDeclaration declaration;
  std::vector<std::byte> bytes;
  std::string streamed_from;  // source tensor; empty: bytes
};

template <typename T>
std::vector<std::byte> BytesOf(const std::vector<T>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return {bytes.begin(), bytes.end()};
}

std::int64_t RowsPerPiece(const model::TensorInfo& tensor) {
  return std::max<std::int64_t>(1,
                                kPieceBytes / 4 / std::max<std::int64_t>(1, tensor.row_elements()));
}

// Calls `take` with consecutive rows of a tensor in float32.
template <typename Take>
absl::Status ForRows(const model::TensorSource& source, const model::TensorInfo& tensor,
                     Take take) {
  std::vector<float> rows;
  for (std::int64_t first = 0; first < tensor.rows(); first += RowsPerPiece(tensor)) {
    const std::int64_t count = std::min(RowsPerPiece(tensor), tensor.rows() - first);
    rows.resize(static_cast<std::size_t>(count * tensor.row_elements()));
    CALDERA_RETURN_IF_ERROR(source.ReadRows(tensor.name, first, count, rows));
    CALDERA_RETURN_IF_ERROR(take(rows));
  }
  return absl::OkStatus();
}

// A table at 8 bits: "X.weight" becomes "X.codes" and "X.scale".
absl::Status AddCoded(const model::TensorSource& source, const model::TensorInfo& tensor,
                      std::vector<Part>& parts) {
  std::vector<std::int8_t> codes;
  std::vector<std::uint16_t> scales;
  CALDERA_RETURN_IF_ERROR(ForRows(source, tensor, [&](const std::vector<float>& rows) {
    auto coded = model::EncodeEmbedding(rows, tensor.row_elements());
    if (!coded.ok()) return base::WithContext(coded.status(), tensor.name);
    codes.insert(codes.end(), coded->codes.begin(), coded->codes.end());
    scales.insert(scales.end(), coded->scales.begin(), coded->scales.end());
    return absl::OkStatus();
  }));
  const std::string stem = tensor.name.substr(0, tensor.name.rfind(".weight"));
  parts.push_back({{stem + ".codes", model::Dtype::kI8, tensor.shape}, BytesOf(codes), ""});
  parts.push_back({{stem + ".scale", model::Dtype::kF16, {tensor.rows()}}, BytesOf(scales), ""});
  return absl::OkStatus();
}

// Plain types as given; GGUF block types (and, for tables, float32) as BF16.
enum class WideFloat { kKeep, kNarrow };
absl::Status AddPlain(const model::TensorSource& source, const model::TensorInfo& tensor,
                      WideFloat wide, std::vector<Part>& parts) {
  const bool narrow = wide == WideFloat::kNarrow &&
                      (tensor.dtype == model::Dtype::kF32 || tensor.dtype == model::Dtype::kF64);
  if (model::IsBlockType(tensor.dtype) || narrow) {
    parts.push_back({{tensor.name, model::Dtype::kBF16, tensor.shape}, {}, tensor.name});
    return absl::OkStatus();
  }
  CALDERA_ASSIGN_OR_RETURN(auto bytes, source.ReadRaw(tensor.name));
  parts.push_back({{tensor.name, tensor.dtype, tensor.shape}, std::move(bytes), ""});
  return absl::OkStatus();
}

absl::Status StreamAsBFloat16(const model::TensorSource& source, const Part& part,
                              model::SafetensorsWriter& writer) {
  std::vector<std::uint16_t> narrow;
  return ForRows(source, *source.Find(part.streamed_from), [&](const std::vector<float>& rows) {
    narrow.resize(rows.size());
    std::transform(rows.begin(), rows.end(), narrow.begin(), model::FloatToBFloat16);
    return writer.Append(part.declaration.name, std::as_bytes(std::span(narrow)));
  });
}

absl::StatusOr<std::vector<Part>> Collect(const v1::Lease& lease, const model::OpenedModel& model) {
  std::vector<Part> parts;
  for (const auto& expected : model::NonLayerTensors(model.config)) {
    const model::TensorInfo* tensor = model.tensors->Find(expected.name);
    if (tensor == nullptr) {
      return base::NotFound("{} has no tensor {}", model.tensors->name(), expected.name);
    }
    const bool table = tensor->shape.size() == 2;
    if (table && lease.spec().embedding_bits() == 8) {
      CALDERA_RETURN_IF_ERROR(AddCoded(*model.tensors, *tensor, parts));
    } else {
      const WideFloat wide = table ? WideFloat::kNarrow : WideFloat::kKeep;
      CALDERA_RETURN_IF_ERROR(AddPlain(*model.tensors, *tensor, wide, parts));
    }
  }
  return parts;
}

}  // namespace

absl::StatusOr<v1::ObjectRef> RunEmbeddings(const v1::Lease& lease, Leader& leader) {
  leader.keeper.SetStatus("embeddings");
  const model::OpenedModel& model = leader.inputs.model();
  CALDERA_ASSIGN_OR_RETURN(const std::vector<Part> parts, Collect(lease, model));
  std::vector<model::SafetensorsDeclaration> declarations;
  std::map<std::string, const Part*> by_name;
  for (const Part& part : parts) {
    declarations.push_back(part.declaration);
    by_name[part.declaration.name] = &part;
  }
  CALDERA_ASSIGN_OR_RETURN(const auto sink, leader.objects.Create());
  CALDERA_ASSIGN_OR_RETURN(
      auto writer, model::SafetensorsWriter::Start(
                       {{"format", "pt"}}, declarations,
                       [&sink](std::span<const std::byte> bytes) { return sink->Append(bytes); }));
  for (const model::TensorInfo& tensor : writer.order()) {
    const Part& part = *by_name.at(tensor.name);
    leader.keeper.Advance();
    CALDERA_RETURN_IF_ERROR(leader.keeper.StopReason());
    CALDERA_RETURN_IF_ERROR(part.streamed_from.empty()
                                ? writer.Append(tensor.name, part.bytes)
                                : StreamAsBFloat16(*model.tensors, part, writer));
  }
  CALDERA_RETURN_IF_ERROR(writer.Finish());
  return sink->Finish();
}

}  // namespace caldera::worker
