#include "common/model/gguf_model.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "common/base/status.h"

namespace caldera::model {
namespace {

struct NamePair {
  const char* gguf;
  const char* hugging_face;
};
constexpr NamePair kNonLayerNames[] = {
    {"token_embd.weight", "model.embed_tokens.weight"},
    {"output_norm.weight", "model.norm.weight"},
    {"output.weight", "lm_head.weight"},
};
// Modules of a layer, before ".weight" or ".bias".
constexpr NamePair kLayerModules[] = {
    {"attn_norm", "input_layernorm"}, {"ffn_norm", "post_attention_layernorm"},
    {"attn_q", "self_attn.q_proj"},   {"attn_k", "self_attn.k_proj"},
    {"attn_v", "self_attn.v_proj"},   {"attn_output", "self_attn.o_proj"},
    {"ffn_gate", "mlp.gate_proj"},    {"ffn_up", "mlp.up_proj"},
    {"ffn_down", "mlp.down_proj"},
};

// Tensors without weights: rope_freqs is configuration, the others are buffers that can be
// computed.
bool IsIgnorable(const std::string& gguf_name) {
  return gguf_name == "rope_freqs.weight" || gguf_name.ends_with(".attn_rot_embd") ||
         gguf_name.ends_with(".attn_rot_embd.weight");
}

// The parts of "blk.LAYER.MODULE.KIND".
struct LayerTensorName {
  int layer = 0;
  std::string module;
  std::string kind;
};
std::optional<LayerTensorName> SplitLayerName(const std::string& name) {
  const std::string prefix = "blk.";
  if (!name.starts_with(prefix)) return std::nullopt;
  LayerTensorName parts;
  const char* const begin = name.data() + prefix.size();
  const char* const end = name.data() + name.size();
  const auto [after, error] = std::from_chars(begin, end, parts.layer);
  // "blk.007" must not be a second name of layer 7.
  if (error != std::errc() || after == end || *after != '.' || parts.layer < 0 ||
      std::string(begin, after) != std::to_string(parts.layer)) {
    return std::nullopt;
  }
  const std::string rest(after + 1, end);
  const std::size_t dot = rest.rfind('.');
  if (dot == std::string::npos) return std::nullopt;
  parts.module = rest.substr(0, dot);
  parts.kind = rest.substr(dot + 1);
  return parts;
}

bool IsQueryOrKey(const std::string& gguf_name) {
  const auto parts = SplitLayerName(gguf_name);
  return parts && (parts->module == "attn_q" || parts->module == "attn_k");
}

}  // namespace

std::optional<std::string> HuggingFaceName(const std::string& gguf_name) {
  for (const auto& [gguf, hugging_face] : kNonLayerNames) {
    if (gguf_name == gguf) return hugging_face;
  }
  const auto parts = SplitLayerName(gguf_name);
  if (!parts || (parts->kind != "weight" && parts->kind != "bias")) return std::nullopt;
  for (const auto& [gguf, hugging_face] : kLayerModules) {
    if (parts->module != gguf) continue;
    return "model.layers." + std::to_string(parts->layer) + "." + hugging_face + "." + parts->kind;
  }
  return std::nullopt;
}

GgufModel::GgufModel(std::shared_ptr<const GgufFile> file, ModelConfig config)
    : file_(std::move(file)), config_(std::move(config)) {}

absl::StatusOr<std::unique_ptr<GgufModel>> GgufModel::Open(std::shared_ptr<const GgufFile> file) {
  CALDERA_ASSIGN_OR_RETURN(ModelConfig config, GgufModelConfig(*file));
  std::unique_ptr<GgufModel> model(new GgufModel(std::move(file), std::move(config)));
  for (const TensorInfo& stored : model->file_->tensors()) {
    CALDERA_RETURN_IF_ERROR(model->AddTensor(stored));
  }
  std::sort(model->tensors_.begin(), model->tensors_.end(),
            [](const TensorInfo& a, const TensorInfo& b) { return a.name < b.name; });
  return model;
}

absl::Status GgufModel::AddTensor(const TensorInfo& stored) {
  if (IsIgnorable(stored.name)) return absl::OkStatus();
  const auto name = HuggingFaceName(stored.name);
  if (!name) {
    return base::Unimplemented("{}: tensor {} is not known", file_->name(), stored.name);
  }
  Origin origin{stored.name, 0};
  if (config_.architecture == Architecture::kLlama && IsQueryOrKey(stored.name)) {
    origin.permuted_head_rows = config_.head_dim;
    if (stored.rows() % config_.head_dim != 0) {
      return base::InvalidArgument("{}: tensor {} has {} rows, no multiple of head_dim {}",
                                   file_->name(), stored.name, stored.rows(), config_.head_dim);
    }
  }
  TensorInfo info = stored;
  info.name = *name;
  tensors_.push_back(std::move(info));
  origins_.emplace(*name, std::move(origin));
  return absl::OkStatus();
}

absl::StatusOr<const GgufModel::Origin*> GgufModel::OriginOf(const std::string& tensor) const {
  const auto found = origins_.find(tensor);
  if (found == origins_.end()) return base::NotFound("{}: no tensor \"{}\"", name(), tensor);
  return &found->second;
}

absl::Status GgufModel::ReadRows(const std::string& tensor, std::int64_t first_row,
                                 std::int64_t row_count, std::span<float> out) const {
  CALDERA_ASSIGN_OR_RETURN(const Origin* origin, OriginOf(tensor));
  if (origin->permuted_head_rows == 0) {
    return file_->ReadRows(origin->gguf_name, first_row, row_count, out);
  }
  return ReadPermuted(*origin, first_row, row_count, out);
}

absl::Status GgufModel::ReadPermuted(const Origin& origin, std::int64_t first_row,
                                     std::int64_t row_count, std::span<float> out) const {
  const TensorInfo& info = *file_->Find(origin.gguf_name);
  const std::int64_t row = info.row_elements();
  if (first_row < 0 || row_count < 0 || first_row > info.rows() ||
      row_count > info.rows() - first_row) {
    return base::OutOfRange("{}: tensor {}: {} rows from row {}, it has {}", name(),
                            origin.gguf_name, row_count, first_row, info.rows());
  }
  if (out.size() != static_cast<std::size_t>(row_count * row)) {
    return base::InvalidArgument("{}: tensor {}: room for {} values, {} rows have {}", name(),
                                 origin.gguf_name, out.size(), row_count, row_count * row);
  }
  const std::int64_t head_rows = origin.permuted_head_rows;
  const std::int64_t end = first_row + row_count;
  std::vector<float> head(static_cast<std::size_t>(head_rows * row));
  for (std::int64_t at = first_row; at < end;) {
    const std::int64_t head_start = at / head_rows * head_rows;
    CALDERA_RETURN_IF_ERROR(file_->ReadRows(origin.gguf_name, head_start, head_rows, head));
    for (; at < end && at < head_start + head_rows; ++at) {
      const std::int64_t half = (at - head_start) / (head_rows / 2);
      const std::int64_t pair = (at - head_start) % (head_rows / 2);
      std::copy_n(head.begin() + (2 * pair + half) * row, row,
                  out.begin() + (at - first_row) * row);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::byte>> GgufModel::ReadRaw(const std::string& tensor) const {
  CALDERA_ASSIGN_OR_RETURN(const Origin* origin, OriginOf(tensor));
  if (origin->permuted_head_rows == 0) return file_->ReadRaw(origin->gguf_name);
  return base::Unimplemented("{}: the stored rows of {} are permuted", name(), tensor);
}

}  // namespace caldera::model
