#include "coordinator/layer_shard.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include "common/base/status.h"
#include "common/model/compressed_matrix_io.h"
#include "common/model/model_config.h"
#include "common/model/safetensors_writer.h"
#include "coordinator/error_details.h"
#include "coordinator/job_graph.h"
#include "coordinator/object_source.h"
#include "coordinator/spec.h"

namespace caldera::coordinator {
namespace {

constexpr std::uint64_t kCopyChunk = std::uint64_t{4} << 20;

std::string LayerPrefix(int layer) { return fmt::format("model.layers.{}.", layer); }

// Where the bytes of one tensor of the shard come from.
struct Origin {
  const model::SafetensorsFile* object = nullptr;  // null: `bytes`
  std::vector<std::byte> bytes;
};

template <typename Value, typename Convert>
std::vector<std::byte> Encode(const std::vector<float>& values, Convert convert) {
  std::vector<std::byte> bytes(values.size() * sizeof(Value));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const Value value = convert(values[i]);
    std::memcpy(bytes.data() + i * sizeof(Value), &value, sizeof(Value));
  }
  return bytes;
}

struct PlainTensor {
  model::Dtype dtype;
  std::vector<std::byte> bytes;
};

// A tensor in the dtype it is published in.
absl::StatusOr<PlainTensor> ReadPlain(const model::TensorSource& source,
                                      const model::TensorInfo& info) {
  if (!model::IsBlockType(info.dtype)) {
    absl::StatusOr<std::vector<std::byte>> raw = source.ReadRaw(info.name);
    if (raw.ok()) return PlainTensor{info.dtype, *std::move(raw)};
    if (raw.status().code() != absl::StatusCode::kUnimplemented) return raw.status();
  }
  CALDERA_ASSIGN_OR_RETURN(const std::vector<float> values, source.ReadAll(info.name));
  if (info.dtype == model::Dtype::kF32) {
    return PlainTensor{info.dtype, Encode<float>(values, [](float v) { return v; })};
  }
  if (info.dtype == model::Dtype::kF16) {
    return PlainTensor{info.dtype, Encode<std::uint16_t>(values, model::FloatToHalf)};
  }
  return PlainTensor{model::Dtype::kBF16, Encode<std::uint16_t>(values, model::FloatToBFloat16)};
}

class ShardBuilder {
 public:
  explicit ShardBuilder(const LayerShardInputs& inputs) : inputs_(inputs) {}

  absl::Status Collect(const store::CheckpointStore& store) {
    for (const v1::MatrixResult& matrix : inputs_.matrices) {
      CALDERA_RETURN_IF_ERROR(CollectMatrix(matrix, store));
    }
    return CollectOthers();
  }

  absl::StatusOr<store::ObjectInfo> Write(store::CheckpointStore* store) {
    CALDERA_ASSIGN_OR_RETURN(const std::unique_ptr<store::ObjectWriter> object,
                             store->Stage(inputs_.label));
    CALDERA_ASSIGN_OR_RETURN(model::SafetensorsWriter writer,
                             model::SafetensorsWriter::Start(
                                 metadata_, declarations_, [&object](std::span<const std::byte> b) {
                                   return object->Append(b);
                                 }));
    const std::vector<model::TensorInfo> order = writer.order();
    for (const model::TensorInfo& info : order) {
      CALDERA_RETURN_IF_ERROR(Copy(info, &writer));
    }
    CALDERA_RETURN_IF_ERROR(writer.Finish());
    return object->Commit();
  }

 private:
  absl::Status CollectMatrix(const v1::MatrixResult& matrix, const store::CheckpointStore& store) {
    // What is copied gets a digest of its own: damage would go unseen from here on.
    CALDERA_RETURN_IF_ERROR(
        base::WithContext(store.VerifyObject(matrix.object().sha256()), matrix.projection()));
    CALDERA_ASSIGN_OR_RETURN(std::unique_ptr<model::SafetensorsFile> file,
                             OpenSafetensorsObject(&store, matrix.object().sha256()));
    for (const auto& [key, value] : file->metadata()) {
      const auto [entry, inserted] = metadata_.emplace(key, value);
      if (!inserted && entry->second != value) {
        return base::DataLoss("{}: metadata \"{}\" disagrees with the layer's other matrices",
                              file->name(), key);
      }
    }
    for (const model::TensorInfo& info : file->tensors()) {
      declarations_.push_back({info.name, info.dtype, info.shape});
      origins_[info.name].object = file.get();
    }
    files_.push_back(std::move(file));
    return absl::OkStatus();
  }

  absl::Status CollectOthers() {
    const model::TensorSource& source = *inputs_.model->tensors;
    const std::string prefix = LayerPrefix(inputs_.layer);
    std::set<std::string> weights;
    for (int p = 0; p < model::kProjectionCount; ++p) {
      weights.insert(model::WeightName(inputs_.layer, static_cast<model::Projection>(p)));
    }
    for (const model::TensorInfo& info : source.tensors()) {
      if (info.name.rfind(prefix, 0) != 0 || weights.count(info.name) > 0) continue;
      CALDERA_ASSIGN_OR_RETURN(PlainTensor tensor, ReadPlain(source, info));
      declarations_.push_back({info.name, tensor.dtype, info.shape});
      origins_[info.name].bytes = std::move(tensor.bytes);
    }
    return absl::OkStatus();
  }

  absl::Status Copy(const model::TensorInfo& info, model::SafetensorsWriter* writer) {
    const Origin& origin = origins_[info.name];
    if (origin.object == nullptr) return writer->Append(info.name, origin.bytes);
    std::vector<std::byte> chunk;
    for (std::uint64_t offset = 0; offset < info.bytes; offset += chunk.size()) {
      chunk.resize(std::min(kCopyChunk, info.bytes - offset));
      CALDERA_RETURN_IF_ERROR(origin.object->ReadRawRange(info.name, offset, chunk));
      CALDERA_RETURN_IF_ERROR(writer->Append(info.name, chunk));
    }
    return absl::OkStatus();
  }

  const LayerShardInputs& inputs_;
  std::vector<std::unique_ptr<model::SafetensorsFile>> files_;
  model::SafetensorsWriter::Metadata metadata_;
  std::vector<model::SafetensorsDeclaration> declarations_;
  std::map<std::string, Origin> origins_;
};

absl::Status BadMatrix(const v1::MatrixResult& matrix, int layer, const std::string& what) {
  return WithReason(base::InvalidArgument("layer {} {}: {}", layer, matrix.projection(), what),
                    kReasonBadMatrix);
}

std::string MatrixPrefix(const v1::MatrixResult& matrix, int layer) {
  return LayerPrefix(layer) + matrix.projection();
}

absl::Status CheckHeader(const v1::MatrixResult& matrix, const MatrixExpectation& expected,
                         const model::CompressedMatrixHeader& header) {
  if (header.rows != matrix.rows() || header.columns != matrix.columns()) {
    return BadMatrix(matrix, expected.layer,
                     fmt::format("its header says {} x {}", header.rows, header.columns));
  }
  if (header.rank != matrix.rank() || header.rank > expected.decomposition.rank()) {
    return BadMatrix(matrix, expected.layer,
                     fmt::format("its header says rank {}, the result {}, the job {}", header.rank,
                                 matrix.rank(), expected.decomposition.rank()));
  }
  const model::CompressedMatrixHeader asked =
      HeaderFor(expected.decomposition, {header.rows, header.columns});
  if (header.axis != asked.axis) {
    return BadMatrix(matrix, expected.layer, "its codewords run along the other axis");
  }
  if (header.q_bits != asked.q_bits || header.extra_bytes() != asked.extra_bytes()) {
    return BadMatrix(
        matrix, expected.layer,
        fmt::format("{} bits and {} beyond them, the job asks for {} bits", header.q_bits.value(),
                    header.extra_bytes(), expected.decomposition.q_bits()));
  }
  return absl::OkStatus();
}

absl::Status CheckTensors(const v1::MatrixResult& matrix, int layer,
                          const model::CompressedMatrixHeader& header,
                          const model::SafetensorsFile& file) {
  const std::vector<model::SafetensorsDeclaration> tensors =
      model::MatrixTensors(header, MatrixPrefix(matrix, layer));
  if (tensors.size() != file.tensors().size()) {
    return BadMatrix(matrix, layer,
                     fmt::format("{} holds {} tensors, not {}", file.name(), file.tensors().size(),
                                 tensors.size()));
  }
  for (const model::SafetensorsDeclaration& tensor : tensors) {
    const model::TensorInfo* found = file.Find(tensor.name);
    if (found == nullptr || found->dtype != tensor.dtype || found->shape != tensor.shape) {
      return BadMatrix(
          matrix, layer,
          fmt::format("{}: {} is missing or of another shape", file.name(), tensor.name));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckFile(const v1::MatrixResult& matrix, const MatrixExpectation& expected,
                       const model::SafetensorsFile& file) {
  const std::string prefix = MatrixPrefix(matrix, expected.layer);
  const auto text = file.metadata().find(prefix);
  if (text == file.metadata().end()) {
    return BadMatrix(matrix, expected.layer,
                     fmt::format("{} has no header of {}", file.name(), prefix));
  }
  CALDERA_ASSIGN_OR_RETURN(const model::CompressedMatrixHeader header,
                           model::ParseMatrixHeader(text->second, prefix));
  CALDERA_RETURN_IF_ERROR(CheckHeader(matrix, expected, header));
  return CheckTensors(matrix, expected.layer, header, file);
}

}  // namespace

absl::StatusOr<store::ObjectInfo> AssembleLayerShard(const LayerShardInputs& inputs,
                                                     store::CheckpointStore* store) {
  ShardBuilder builder(inputs);
  CALDERA_RETURN_IF_ERROR(builder.Collect(*store));
  return builder.Write(store);
}

absl::Status CheckMatrixObject(const v1::MatrixResult& matrix, const MatrixExpectation& expected,
                               const store::CheckpointStore& store) {
  CALDERA_ASSIGN_OR_RETURN(const int projection, ProjectionIndex(matrix.projection()));
  const model::MatrixShape shape =
      model::ShapeOf(*expected.config, static_cast<model::Projection>(projection));
  if (matrix.rows() != shape.rows || matrix.columns() != shape.columns) {
    return BadMatrix(matrix, expected.layer,
                     fmt::format("{} x {}, the model has {} x {}", matrix.rows(), matrix.columns(),
                                 shape.rows, shape.columns));
  }
  if (!std::isfinite(matrix.relative_error()) || matrix.relative_error() < 0) {
    return BadMatrix(matrix, expected.layer, "relative_error is not a finite number >= 0");
  }
  CALDERA_ASSIGN_OR_RETURN(const store::ObjectInfo object,
                           store.StatObject(matrix.object().sha256()));
  if (static_cast<std::int64_t>(object.size) != matrix.object().size()) {
    return BadMatrix(matrix, expected.layer,
                     fmt::format("object {} has {} bytes, not {}", object.sha256, object.size,
                                 matrix.object().size()));
  }
  CALDERA_ASSIGN_OR_RETURN(const std::unique_ptr<model::SafetensorsFile> file,
                           OpenSafetensorsObject(&store, object.sha256));
  return CheckFile(matrix, expected, *file);
}

}  // namespace caldera::coordinator
