#include "worker/embeddings_job.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/base/status.h"
#include "common/model/embedding_code.h"
#include "common/model/embedding_nibbles.h"
#include "common/model/embedding_table.h"
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

// What the shard will hold.
struct Content {
  model::SafetensorsWriter::Metadata metadata = {{"format", "pt"}};
  std::vector<Part> parts;
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

// Calls `take` with consecutive rows of a tensor in float32, until the lease is over.
template <typename Take>
absl::Status ForRows(Leader& leader, const model::TensorInfo& tensor, Take take) {
  const model::TensorSource& source = *leader.inputs.model().tensors;
  std::vector<float> rows;
  for (std::int64_t first = 0; first < tensor.rows(); first += RowsPerPiece(tensor)) {
    const std::int64_t count = std::min(RowsPerPiece(tensor), tensor.rows() - first);
    leader.keeper.Advance();
    CALDERA_RETURN_IF_ERROR(leader.keeper.StopReason());
    rows.resize(static_cast<std::size_t>(count * tensor.row_elements()));
    CALDERA_RETURN_IF_ERROR(source.ReadRows(tensor.name, first, count, rows));
    CALDERA_RETURN_IF_ERROR(take(rows));
  }
  return absl::OkStatus();
}

// A table at 8 bits: "X.weight" becomes "X.codes" and "X.scale".
absl::Status AddCoded(Leader& leader, const model::TensorInfo& tensor, std::vector<Part>& parts) {
  std::vector<std::int8_t> codes;
  std::vector<std::uint16_t> scales;
  CALDERA_RETURN_IF_ERROR(ForRows(leader, tensor, [&](const std::vector<float>& rows) {
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

// Column scales of a table at 4 bits. A head reads what the final norm gives, so its weights say
// how much a column matters; an embedding that is no head has no such weights.
absl::StatusOr<model::NibbleColumns> PlanColumns(Leader& leader, const model::TensorInfo& tensor) {
  const model::OpenedModel& model = leader.inputs.model();
  model::ColumnPowers powers(tensor.row_elements());
  CALDERA_RETURN_IF_ERROR(
      ForRows(leader, tensor, [&](const std::vector<float>& rows) { return powers.Add(rows); }));
  std::vector<float> importance;
  if (tensor.name == model::kHeadName || model.config.tie_word_embeddings) {
    CALDERA_ASSIGN_OR_RETURN(importance, model.tensors->ReadAll(model::kFinalNormName));
    for (const float weight : importance) {
      if (std::isfinite(weight)) continue;
      return base::InvalidArgument("{}: value {} is not finite", model::kFinalNormName, weight);
    }
  }
  return powers.Plan(importance);
}

// A table at 4 bits: "X.weight" becomes "X.codes", "X.scale" and "X.column_scale".
absl::Status AddNibbles(Leader& leader, const model::TensorInfo& tensor, Content& content) {
  CALDERA_ASSIGN_OR_RETURN(const model::NibbleColumns columns, PlanColumns(leader, tensor));
  model::NibbleCode code;
  const auto add = [&](const std::vector<float>& rows) {
    CALDERA_ASSIGN_OR_RETURN(const model::NibbleCode piece, model::EncodeNibbles(rows, columns));
    code.codes.insert(code.codes.end(), piece.codes.begin(), piece.codes.end());
    code.scales.insert(code.scales.end(), piece.scales.begin(), piece.scales.end());
    return absl::OkStatus();
  };
  CALDERA_RETURN_IF_ERROR(ForRows(leader, tensor, add));
  const std::string stem = tensor.name.substr(0, tensor.name.rfind(".weight"));
  const model::EmbeddingHeader header{tensor.rows(), tensor.row_elements(), base::Bits{4}};
  const auto declarations = model::EmbeddingTensors(header, stem);
  content.parts.push_back({declarations[0], BytesOf(code.codes), ""});
  content.parts.push_back({declarations[1], BytesOf(code.scales), ""});
  content.parts.push_back({declarations[2], BytesOf(columns.scales), ""});
  content.metadata[stem] = model::EmbeddingHeaderToJson(header);
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

absl::Status StreamAsBFloat16(Leader& leader, const Part& part, model::SafetensorsWriter& writer) {
  const model::TensorInfo& tensor = *leader.inputs.model().tensors->Find(part.streamed_from);
  std::vector<std::uint16_t> narrow;
  return ForRows(leader, tensor, [&](const std::vector<float>& rows) {
    narrow.resize(rows.size());
    std::transform(rows.begin(), rows.end(), narrow.begin(), model::FloatToBFloat16);
    return writer.Append(part.declaration.name, std::as_bytes(std::span(narrow)));
  });
}

absl::StatusOr<Content> Collect(const v1::Lease& lease, Leader& leader) {
  const model::OpenedModel& model = leader.inputs.model();
  Content content;
  for (const auto& expected : model::NonLayerTensors(model.config)) {
    const model::TensorInfo* tensor = model.tensors->Find(expected.name);
    if (tensor == nullptr) {
      return base::NotFound("{} has no tensor {}", model.tensors->name(), expected.name);
    }
    const bool table = tensor->shape.size() == 2;
    if (table && lease.spec().embedding_bits() == 4) {
      CALDERA_RETURN_IF_ERROR(
          base::WithContext(AddNibbles(leader, *tensor, content), tensor->name));
    } else if (table && lease.spec().embedding_bits() == 8) {
      CALDERA_RETURN_IF_ERROR(AddCoded(leader, *tensor, content.parts));
    } else {
      const WideFloat wide = table ? WideFloat::kNarrow : WideFloat::kKeep;
      CALDERA_RETURN_IF_ERROR(AddPlain(*model.tensors, *tensor, wide, content.parts));
    }
  }
  return content;
}

}  // namespace

absl::StatusOr<v1::ObjectRef> RunEmbeddings(const v1::Lease& lease, Leader& leader) {
  leader.keeper.SetStatus("embeddings");
  CALDERA_ASSIGN_OR_RETURN(const Content content, Collect(lease, leader));
  std::vector<model::SafetensorsDeclaration> declarations;
  std::map<std::string, const Part*> by_name;
  for (const Part& part : content.parts) {
    declarations.push_back(part.declaration);
    by_name[part.declaration.name] = &part;
  }
  CALDERA_ASSIGN_OR_RETURN(const auto sink, leader.objects.Create());
  CALDERA_ASSIGN_OR_RETURN(
      auto writer, model::SafetensorsWriter::Start(
                       content.metadata, declarations,
                       [&sink](std::span<const std::byte> bytes) { return sink->Append(bytes); }));
  for (const model::TensorInfo& tensor : writer.order()) {
    const Part& part = *by_name.at(tensor.name);
    leader.keeper.Advance();
    CALDERA_RETURN_IF_ERROR(leader.keeper.StopReason());
    CALDERA_RETURN_IF_ERROR(part.streamed_from.empty() ? writer.Append(tensor.name, part.bytes)
                                                       : StreamAsBFloat16(leader, part, writer));
  }
  CALDERA_RETURN_IF_ERROR(writer.Finish());
  return sink->Finish();
}

}  // namespace caldera::worker
