// The tensors of a Hugging Face directory: model.safetensors, or the shards that
// model.safetensors.index.json names.
#ifndef CALDERA_COMMON_MODEL_HF_MODEL_H_
#define CALDERA_COMMON_MODEL_HF_MODEL_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/model/byte_source.h"
#include "common/model/safetensors.h"
#include "common/model/tensor_source.h"

namespace caldera::model {

inline constexpr char kSingleSafetensorsFile[] = "model.safetensors";
inline constexpr char kSafetensorsIndexFile[] = "model.safetensors.index.json";
inline constexpr char kConfigFile[] = "config.json";

// "weight_map" of an index: tensor name -> shard file. INVALID_ARGUMENT names the tensor whose file
// is no plain base name; `name` is what errors call the index.
absl::StatusOr<std::map<std::string, std::string>> ParseSafetensorsIndex(const std::string& json,
                                                                         const std::string& name);

// Buffers that old checkpoints carry and nobody needs: "*.rotary_emb.inv_freq" and the like.
bool IsIgnoredTensor(const std::string& name);

class HfModel : public TensorSource {
 public:
  // Opens headers only; model.safetensors wins over an index, as in transformers. NOT_FOUND when
  // there is neither. INVALID_ARGUMENT when a shard holds a tensor twice, or index and shards
  // disagree (the message names tensor and file). Ignored tensors are not listed.
  static absl::StatusOr<std::unique_ptr<HfModel>> Open(const FileSet& files);

  // The files in use, sorted: shards, and the index when there is one.
  const std::vector<std::string>& file_names() const { return file_names_; }
  // "__metadata__" of the shard that holds `tensor`; NOT_FOUND as in ReadRows.
  absl::StatusOr<std::map<std::string, std::string>> MetadataOf(const std::string& tensor) const;

  const std::string& name() const override { return name_; }
  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  absl::Status ReadRows(const std::string& tensor, std::int64_t first_row, std::int64_t row_count,
                        std::span<float> out) const override;
  absl::StatusOr<std::vector<std::byte>> ReadRaw(const std::string& tensor) const override;

 private:
  explicit HfModel(std::string name);
  absl::Status OpenIndexed(const FileSet& files);
  absl::Status AddShard(const FileSet& files, const std::string& file);
  absl::StatusOr<const SafetensorsFile*> ShardOf(const std::string& tensor) const;

  const std::string name_;
  std::vector<std::string> file_names_;
  std::map<std::string, std::unique_ptr<SafetensorsFile>> shards_;  // by file name
  std::map<std::string, const SafetensorsFile*> shard_of_;  // by tensor; points into shards_
  std::vector<TensorInfo> tensors_;
};

}  // namespace caldera::model

#endif  // CALDERA_COMMON_MODEL_HF_MODEL_H_
