#include "client/export_dense.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <utility>
#include <vector>

#include "common/base/file.h"
#include "common/base/status.h"
#include "common/model/local_files.h"
#include "common/model/safetensors_writer.h"
#include "common/store/manifest.h"
#include "common/store/open_files.h"
#include "common/store/shard_index.h"
#include "numerics/llama/compressed_source.h"

namespace caldera::client {
namespace {

constexpr std::int64_t kPieceElements = std::int64_t{1} << 22;

using Shards = std::vector<std::vector<const model::TensorInfo*>>;

std::string TorchName(model::Dtype dtype) {
  if (dtype == model::Dtype::kF32) return "float32";
  return dtype == model::Dtype::kF16 ? "float16" : "bfloat16";
}

Shards CutIntoShards(const model::TensorSource& source, const DenseExportOptions& options) {
  Shards shards(1);
  std::int64_t bytes = 0;
  for (const model::TensorInfo& tensor : source.tensors()) {
    const std::int64_t size = tensor.elements() * model::BlockBytes(options.dtype);
    if (!shards.back().empty() && bytes + size > options.shard_bytes) {
      shards.emplace_back();
      bytes = 0;
    }
    shards.back().push_back(&tensor);
    bytes += size;
  }
  return shards;
}

// float32 values in the stored type.
std::vector<std::byte> Encode(std::span<const float> values, model::Dtype dtype) {
  if (dtype == model::Dtype::kF32) {
    const auto bytes = std::as_bytes(values);
    return {bytes.begin(), bytes.end()};
  }
  std::vector<std::uint16_t> narrow(values.size());
  std::transform(values.begin(), values.end(), narrow.begin(),
                 dtype == model::Dtype::kF16 ? model::FloatToHalf : model::FloatToBFloat16);
  const auto bytes = std::as_bytes(std::span(narrow));
  return {bytes.begin(), bytes.end()};
}

absl::Status WriteTensor(const model::TensorSource& source, const model::TensorInfo& tensor,
                         model::Dtype dtype, model::SafetensorsWriter& writer) {
  const std::int64_t row = std::max<std::int64_t>(1, tensor.row_elements());
  const std::int64_t step = std::max<std::int64_t>(1, kPieceElements / row);
  std::vector<float> values;
  for (std::int64_t first = 0; first < tensor.rows(); first += step) {
    const std::int64_t count = std::min(step, tensor.rows() - first);
    values.resize(static_cast<std::size_t>(count * row));
    CALDERA_RETURN_IF_ERROR(source.ReadRows(tensor.name, first, count, values));
    CALDERA_RETURN_IF_ERROR(writer.Append(tensor.name, Encode(values, dtype)));
  }
  return absl::OkStatus();
}

absl::Status WriteShard(const model::TensorSource& source,
                        const std::vector<const model::TensorInfo*>& tensors, model::Dtype dtype,
                        const std::string& path) {
  const base::UniqueFd file(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (!file) return base::ErrnoToStatus(errno, path);
  std::vector<model::SafetensorsDeclaration> declarations;
  for (const auto* tensor : tensors) declarations.push_back({tensor->name, dtype, tensor->shape});
  CALDERA_ASSIGN_OR_RETURN(
      auto writer, model::SafetensorsWriter::Start({{"format", "pt"}}, declarations,
                                                   [&](std::span<const std::byte> bytes) {
                                                     return base::WriteAll(file.get(), bytes, path);
                                                   }));
  for (const model::TensorInfo& tensor : writer.order()) {
    CALDERA_RETURN_IF_ERROR(WriteTensor(source, *source.Find(tensor.name), dtype, writer));
  }
  return writer.Finish();
}

absl::Status WriteShards(const model::TensorSource& source, const std::string& output,
                         const DenseExportOptions& options) {
  const Shards shards = CutIntoShards(source, options);
  const int count = static_cast<int>(shards.size());
  store::ShardIndex index;
  for (int i = 0; i < count; ++i) {
    const std::string file = count == 1 ? "model.safetensors" : store::ShardFileName(i + 1, count);
    const auto& tensors = shards[static_cast<std::size_t>(i)];
    CALDERA_RETURN_IF_ERROR(WriteShard(source, tensors, options.dtype, output + "/" + file));
    for (const auto* tensor : tensors) {
      index.weight_map[tensor->name] = file;
      index.total_size +=
          static_cast<std::uint64_t>(tensor->elements() * model::BlockBytes(options.dtype));
    }
  }
  if (count == 1) return absl::OkStatus();
  return base::WriteFile(output + "/" + store::kShardIndexFile, store::ShardIndexToJson(index));
}

// The original configuration without our quantisation.
absl::StatusOr<std::string> DenseConfig(const std::string& text, const std::string& name,
                                        model::Dtype dtype) {
  nlohmann::json config = nlohmann::json::parse(text, nullptr, false);
  if (!config.is_object()) return base::InvalidArgument("{} is not a JSON object", name);
  config.erase("quantization_config");
  config["torch_dtype"] = TorchName(dtype);
  return config.dump(2) + "\n";
}

// Everything beside weights and our own records: tokenizer, generation settings.
bool IsPassedOn(const std::string& file) {
  return !file.ends_with(".safetensors") && file != store::kShardIndexFile &&
         file != store::kManifestFile && file != store::kRunFile && file != "config.json" &&
         !file.ends_with(".bin") && !file.ends_with(".gguf");
}

absl::Status CopyFiles(const model::FileSet& files, const std::string& output, model::Dtype dtype) {
  const std::string& checkpoint = files.name();
  constexpr std::uint64_t kLimit = std::uint64_t{256} << 20;
  const auto config = model::ReadText(files, "config.json", kLimit);
  if (!config.ok()) {
    return base::FailedPrecondition("{} has no config.json to export with", checkpoint);
  }
  CALDERA_ASSIGN_OR_RETURN(const std::string dense,
                           DenseConfig(*config, checkpoint + "/config.json", dtype));
  CALDERA_RETURN_IF_ERROR(base::WriteFile(output + "/config.json", dense));
  CALDERA_ASSIGN_OR_RETURN(const auto entries, files.List());
  for (const auto& entry : entries) {
    if (!IsPassedOn(entry.name)) continue;
    CALDERA_ASSIGN_OR_RETURN(const std::string text, model::ReadText(files, entry.name, kLimit));
    CALDERA_RETURN_IF_ERROR(base::WriteFile(output + "/" + entry.name, text));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ExportDense(const std::string& checkpoint, const std::string& output,
                         const DenseExportOptions& options) {
  CALDERA_ASSIGN_OR_RETURN(std::shared_ptr<const model::FileSet> files,
                           store::OpenFiles(checkpoint));
  CALDERA_ASSIGN_OR_RETURN(const model::OpenedModel opened, llama::OpenAnyModel(std::move(files)));
  CALDERA_RETURN_IF_ERROR(base::MakeDirectories(output));
  std::error_code error;
  if (!std::filesystem::is_empty(output, error)) {
    return base::AlreadyExists("{} is not empty", output);
  }
  CALDERA_RETURN_IF_ERROR(CopyFiles(*opened.files, output, options.dtype));
  return WriteShards(*opened.tensors, output, options);
}

}  // namespace caldera::client
