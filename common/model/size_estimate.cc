#include "common/model/size_estimate.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/model/compressed_matrix_io.h"
#include "common/model/embedding_table.h"
#include "common/model/hf_model.h"
#include "common/model/model_tensors.h"
#include "common/model/safetensors_writer.h"
#include "common/model/tokenizer_files.h"

namespace caldera::model {
namespace {

constexpr int kFullTableBits = 16;
// The quantization_config that is spliced into config.json.
constexpr std::uint64_t kConfigAddition = 220;
// A line of the index without its tensor and file, and the name of a shard.
constexpr std::uint64_t kIndexLine = 12;
constexpr std::uint64_t kShardName = 32;

std::int64_t Elements(const std::vector<std::int64_t>& shape) {
  std::int64_t product = 1;
  for (const std::int64_t dimension : shape) product *= dimension;
  return product;
}

std::int64_t Elements(const std::vector<ExpectedTensor>& tensors) {
  std::int64_t sum = 0;
  for (const ExpectedTensor& tensor : tensors) sum += Elements(tensor.shape);
  return sum;
}

std::uint64_t BytesOf(const std::vector<SafetensorsDeclaration>& tensors) {
  std::uint64_t bytes = 0;
  for (const SafetensorsDeclaration& tensor : tensors) {
    bytes += static_cast<std::uint64_t>(Elements(tensor.shape) * BlockBytes(tensor.dtype));
  }
  return bytes;
}

// The dtype that a tensor is stored in when it is not coded.
Dtype PlainDtype(Dtype source) { return IsBlockType(source) ? Dtype::kBF16 : source; }

std::vector<SafetensorsDeclaration> NonLayerDeclarations(const TensorSource& source,
                                                         const ModelConfig& config,
                                                         base::Bits bits) {
  std::vector<SafetensorsDeclaration> tensors;
  for (const ExpectedTensor& expected : NonLayerTensors(config)) {
    const TensorInfo* found = source.Find(expected.name);
    Dtype dtype = PlainDtype(found == nullptr ? Dtype::kBF16 : found->dtype);
    if (expected.shape.size() != 2) {
      tensors.push_back({expected.name, dtype, expected.shape});
    } else if (bits.value() == kFullTableBits) {
      if (dtype == Dtype::kF32 || dtype == Dtype::kF64) dtype = Dtype::kBF16;
      tensors.push_back({expected.name, dtype, expected.shape});
    } else {
      const std::string stem = expected.name.substr(0, expected.name.rfind(".weight"));
      const EmbeddingHeader header{expected.shape[0], expected.shape[1], bits};
      std::ranges::copy(EmbeddingTensors(header, stem), std::back_inserter(tensors));
    }
  }
  return tensors;
}

bool IsProjectionWeight(int layer, const std::string& name) {
  for (int p = 0; p < kProjectionCount; ++p) {
    if (name == WeightName(layer, static_cast<Projection>(p))) return true;
  }
  return false;
}

// Files of the checkpoint, shard by shard.
class Files {
 public:
  absl::Status AddShard(const SafetensorsWriter::Metadata& metadata,
                        const std::vector<SafetensorsDeclaration>& tensors) {
    CALDERA_ASSIGN_OR_RETURN(
        const SafetensorsWriter writer,
        SafetensorsWriter::Start(metadata, tensors,
                                 [](std::span<const std::byte>) { return absl::OkStatus(); }));
    tensor_bytes += BytesOf(tensors);
    file_bytes += writer.file_bytes();
    for (const auto& tensor : tensors) file_bytes += tensor.name.size() + kShardName + kIndexLine;
    return absl::OkStatus();
  }

  std::uint64_t tensor_bytes = 0;
  std::uint64_t file_bytes = 0;  // with their lines of the index
};

absl::Status AddLayer(const OpenedModel& model, const DecompositionSettings& settings, int layer,
                      Files& files) {
  SafetensorsWriter::Metadata metadata;
  std::vector<SafetensorsDeclaration> tensors;
  const std::string prefix = fmt::format("model.layers.{}.", layer);
  for (int p = 0; p < kProjectionCount; ++p) {
    const auto projection = static_cast<Projection>(p);
    const CompressedMatrixHeader header = HeaderFor(settings, ShapeOf(model.config, projection));
    const std::string name = prefix + ProjectionPath(projection);
    metadata[name] = MatrixHeaderToJson(header);
    std::ranges::copy(MatrixTensors(header, name), std::back_inserter(tensors));
  }
  // Sorted by name, so a layer's tensors stand together.
  const std::vector<TensorInfo>& all = model.tensors->tensors();
  auto info = std::ranges::lower_bound(all, prefix, {}, &TensorInfo::name);
  for (; info != all.end() && info->name.starts_with(prefix); ++info) {
    if (IsProjectionWeight(layer, info->name)) continue;
    tensors.push_back({info->name, PlainDtype(info->dtype), info->shape});
  }
  return files.AddShard(metadata, tensors);
}

absl::StatusOr<std::uint64_t> ConfigBytes(const OpenedModel& model) {
  if (model.format == ModelFormat::kGguf) return ModelConfigToJson(model.config).size();
  CALDERA_ASSIGN_OR_RETURN(const auto config, model.files->Open(kConfigFile));
  return config->size();
}

}  // namespace

std::int64_t ParameterCount(const ModelConfig& config) {
  return Elements(NonLayerTensors(config)) + ProjectionWeights(config) +
         config.num_hidden_layers * Elements(OtherLayerTensors(config, 0));
}

std::int64_t ProjectionWeights(const ModelConfig& config) {
  return config.num_hidden_layers * Elements(ProjectionTensors(config, 0));
}

std::uint64_t MatrixBytes(const ModelConfig& config, const DecompositionSettings& settings) {
  std::uint64_t bytes = 0;
  for (int p = 0; p < kProjectionCount; ++p) {
    bytes += StoredBytes(HeaderFor(settings, ShapeOf(config, static_cast<Projection>(p))));
  }
  return bytes * static_cast<std::uint64_t>(config.num_hidden_layers);
}

std::uint64_t NonLayerBytes(const TensorSource& source, const ModelConfig& config,
                            base::Bits bits) {
  return BytesOf(NonLayerDeclarations(source, config, bits));
}

std::uint64_t HessianBytes(const ModelConfig& config, int ranges) {
  std::int64_t floats = 0;
  for (int k = 0; k < kHessianKindCount; ++k) {
    const std::int64_t n = HessianSize(config, static_cast<HessianKind>(k));
    floats += n * (n + 1) / 2;
  }
  return static_cast<std::uint64_t>(4 * floats * config.num_hidden_layers * ranges);
}

absl::StatusOr<CheckpointSizes> EstimateSizes(const OpenedModel& model,
                                              const JobSettings& settings) {
  const ModelConfig& config = model.config;
  Files files;
  CALDERA_RETURN_IF_ERROR(files.AddShard(
      {{"format", "pt"}},
      NonLayerDeclarations(*model.tensors, config, base::Bits(settings.embedding_bits))));
  CheckpointSizes sizes;
  sizes.embedding_bytes = files.tensor_bytes;
  for (int layer = 0; layer < static_cast<int>(config.num_hidden_layers); ++layer) {
    CALDERA_RETURN_IF_ERROR(AddLayer(model, settings.decomposition, layer, files));
  }
  sizes.matrix_bytes = MatrixBytes(config, settings.decomposition);
  sizes.tensor_bytes = files.tensor_bytes;
  CALDERA_ASSIGN_OR_RETURN(const std::uint64_t config_bytes, ConfigBytes(model));
  CALDERA_ASSIGN_OR_RETURN(const std::uint64_t tokenizer_bytes, TokenizerFileBytes(model));
  sizes.output_bytes = files.file_bytes + config_bytes + kConfigAddition + tokenizer_bytes;
  sizes.bits_per_weight = 8.0 * static_cast<double>(sizes.matrix_bytes) /
                          static_cast<double>(ProjectionWeights(config));
  sizes.model_bits_per_weight =
      8.0 * static_cast<double>(sizes.tensor_bytes) / static_cast<double>(ParameterCount(config));
  return sizes;
}

absl::StatusOr<std::uint64_t> MatrixBudget(const OpenedModel& model, const JobSettings& settings) {
  const double target = settings.decomposition.target_bits;
  if (settings.decomposition.target_bits_include.empty()) {
    const auto weights = static_cast<double>(ProjectionWeights(model.config));
    return static_cast<std::uint64_t>(target * weights / 8);
  }
  JobSettings two_bits = settings;
  two_bits.decomposition.q_bits = 2;
  CALDERA_ASSIGN_OR_RETURN(const CheckpointSizes sizes, EstimateSizes(model, two_bits));
  const auto others = static_cast<double>(sizes.tensor_bytes - sizes.matrix_bytes);
  const double all = target * static_cast<double>(ParameterCount(model.config)) / 8;
  return static_cast<std::uint64_t>(std::max(0.0, all - others));
}

absl::StatusOr<JobSettings> WithSameBits(const OpenedModel& model, JobSettings settings) {
  DecompositionSettings& decomposition = settings.decomposition;
  if (decomposition.target_bits == 0) return settings;
  CALDERA_ASSIGN_OR_RETURN(const std::uint64_t budget, MatrixBudget(model, settings));
  decomposition.target_bits = 0;
  decomposition.target_bits_include.clear();
  decomposition.q_bits = 4;
  while (decomposition.q_bits > 2 && MatrixBytes(model.config, decomposition) > budget) {
    decomposition.q_bits -= 1.0 / 16;
  }
  return settings;
}

}  // namespace caldera::model
