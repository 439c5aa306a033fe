// A GGUF file of architecture "llama" or "qwen2" seen as a Hugging Face model.
//
// Names become Hugging Face names. Architecture "llama" stores the rows of q and k in interleaved
// order (GGUF row h*d + 2i + p is Hugging Face row h*d + p*d/2 + i, for head h, pair i < d/2,
// p in {0, 1}, d = head_dim); they are read back in Hugging Face order. Tensors that hold no weight
// (rope_freqs.weight) become configuration and are not listed.
#ifndef CALDERA_COMMON_MODEL_GGUF_MODEL_H_
#define CALDERA_COMMON_MODEL_GGUF_MODEL_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/model/gguf.h"
#include "common/model/model_config.h"
#include "common/model/tensor_source.h"

namespace caldera::model {

// The configuration in a GGUF's metadata; the file's tensors decide tied embeddings, biases, the
// vocabulary size and, by rope_freqs.weight, "llama3" rope scaling: the factors must be those that
// the llama3 formula yields (relative 1e-4), else UNIMPLEMENTED. INVALID_ARGUMENT names file and
// key.
absl::StatusOr<ModelConfig> GgufModelConfig(const GgufFile& file);

// "blk.3.attn_q.weight" -> "model.layers.3.self_attn.q_proj.weight"; nullopt for names without one.
std::optional<std::string> HuggingFaceName(const std::string& gguf_name);

class GgufModel : public TensorSource {
 public:
  // UNIMPLEMENTED names a tensor that is neither known nor ignorable.
  static absl::StatusOr<std::unique_ptr<GgufModel>> Open(std::shared_ptr<const GgufFile> file);

  const ModelConfig& config() const { return config_; }
  const GgufFile& file() const { return *file_; }

  const std::string& name() const override { return file_->name(); }
  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  // q and k of architecture "llama" are read by whole heads: up to 2 (head_dim - 1) rows more.
  absl::Status ReadRows(const std::string& tensor, std::int64_t first_row, std::int64_t row_count,
                        std::span<float> out) const override;
  // Block types come as stored; UNIMPLEMENTED for permuted q and k.
  absl::StatusOr<std::vector<std::byte>> ReadRaw(const std::string& tensor) const override;

 private:
  struct Origin {
    std::string gguf_name;
    std::int64_t permuted_head_rows = 0;  // head_dim where rows are interleaved, else 0
  };
  GgufModel(std::shared_ptr<const GgufFile> file, ModelConfig config);
  absl::Status AddTensor(const TensorInfo& stored);
  absl::StatusOr<const Origin*> OriginOf(const std::string& tensor) const;
  absl::Status ReadPermuted(const Origin& origin, std::int64_t first_row, std::int64_t row_count,
                            std::span<float> out) const;

  const std::shared_ptr<const GgufFile> file_;
  const ModelConfig config_;
  std::vector<TensorInfo> tensors_;
  std::map<std::string, Origin> origins_;  // by Hugging Face name
};

}  // namespace caldera::model

#endif  // CALDERA_COMMON_MODEL_GGUF_MODEL_H_
