#include "coordinator/publisher.h"

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/base/sha256.h"
#include "common/base/status.h"
#include "common/model/hf_model.h"
#include "common/model/tokenizer_files.h"
#include "common/store/manifest.h"
#include "common/store/shard_index.h"
#include "coordinator/job_graph.h"
#include "coordinator/object_source.h"
#include "coordinator/publish_documents.h"

namespace caldera::coordinator {
namespace {

struct Shard {
  std::string file;
  store::ObjectInfo object;
};

// Shard 1 = embeddings, final norm, head; layer i = shard i + 2.
std::vector<Shard> ShardsOf(const JobState& job) {
  const int count = job.record.job.model().layers() + 1;
  std::vector<Shard> shards;
  for (const TaskRecord& task : job.tasks) {
    if (task.kind == TaskKind::kCalibrate || task.kind == TaskKind::kProbe) continue;
    const int number = task.kind == TaskKind::kEmbeddings ? 1 : task.index + 2;
    shards.push_back({store::ShardFileName(number, count),
                      {task.shard.sha256(), static_cast<std::uint64_t>(task.shard.size())}});
  }
  return shards;
}

// Sums over all tensors of the checkpoint, from the shards' headers.
struct TensorTotals {
  store::ShardIndex index;
  std::uint64_t matrix_bytes = 0;  // of compressed projections
};

class Publisher {
 public:
  Publisher(const PublishInputs& inputs, store::CheckpointStore* store)
      : inputs_(inputs),
        spec_(inputs.job->record.job.spec()),
        store_(store),
        manifest_(ManifestFacts(*inputs.job, inputs.tool_version)) {
    for (const store::ManifestMatrix& matrix : manifest_.matrices) compressed_.insert(matrix.name);
  }

  absl::StatusOr<v1::JobResult> Run() {
    for (const Shard& shard : ShardsOf(*inputs_.job)) {
      CALDERA_RETURN_IF_ERROR(base::WithContext(PublishShard(shard), shard.file));
    }
    CALDERA_RETURN_IF_ERROR(
        PublishText(store::kShardIndexFile, store::ShardIndexToJson(totals_.index)));
    CALDERA_ASSIGN_OR_RETURN(const std::string config, ConfigJson(*inputs_.model, spec_));
    CALDERA_RETURN_IF_ERROR(PublishText(model::kConfigFile, config));
    CALDERA_ASSIGN_OR_RETURN(const auto tokenizer, model::TokenizerFiles(*inputs_.model));
    for (const auto& [file, text] : tokenizer) {
      CALDERA_RETURN_IF_ERROR(PublishText(file, text));
    }
    CALDERA_RETURN_IF_ERROR(store_->PublishBytes(RunJson(*inputs_.job, *inputs_.workers),
                                                 spec_.output_uri(), store::kRunFile));
    return Finish();
  }

 private:
  absl::Status PublishShard(const Shard& shard) {
    CALDERA_RETURN_IF_ERROR(store_->VerifyObject(shard.object.sha256));
    CALDERA_ASSIGN_OR_RETURN(const std::unique_ptr<model::SafetensorsFile> file,
                             OpenSafetensorsObject(store_, shard.object.sha256));
    for (const model::TensorInfo& tensor : file->tensors()) {
      CALDERA_RETURN_IF_ERROR(AddTensor(tensor, shard.file));
    }
    CALDERA_RETURN_IF_ERROR(store_->Publish(shard.object.sha256, spec_.output_uri(), shard.file));
    manifest_.files[shard.file] = shard.object;
    return absl::OkStatus();
  }

  absl::Status AddTensor(const model::TensorInfo& tensor, const std::string& file) {
    if (!totals_.index.weight_map.emplace(tensor.name, file).second) {
      return base::DataLoss("tensor {} stands in two shards", tensor.name);
    }
    totals_.index.total_size += tensor.bytes;
    const std::string owner = tensor.name.substr(0, tensor.name.find_last_of('.'));
    if (compressed_.count(owner) > 0 && !tensor.name.ends_with(".bias")) {
      totals_.matrix_bytes += tensor.bytes;
    }
    return absl::OkStatus();
  }

  absl::Status PublishText(const std::string& file, const std::string& text) {
    CALDERA_RETURN_IF_ERROR(store_->PublishBytes(text, spec_.output_uri(), file));
    manifest_.files[file] = {base::Sha256Hex(text), text.size()};
    return absl::OkStatus();
  }

  void FillBits() {
    double weights = 0;
    for (const store::ManifestMatrix& matrix : manifest_.matrices) {
      weights += static_cast<double>(matrix.rows) * static_cast<double>(matrix.columns);
    }
    manifest_.bits_per_weight = 8.0 * static_cast<double>(totals_.matrix_bytes) / weights;
    manifest_.model_bits_per_weight = 8.0 * static_cast<double>(totals_.index.total_size) /
                                      static_cast<double>(manifest_.model.parameters);
  }

  absl::StatusOr<v1::JobResult> Finish() {
    FillBits();
    store::SummarizeManifest(manifest_);
    CALDERA_ASSIGN_OR_RETURN(const std::string json, store::ManifestToJson(manifest_));
    CALDERA_RETURN_IF_ERROR(inputs_.may_finish());
    CALDERA_RETURN_IF_ERROR(store_->PublishBytes(json, spec_.output_uri(), store::kManifestFile));
    v1::JobResult result;
    result.set_bits_per_weight(manifest_.bits_per_weight);
    result.set_model_bits_per_weight(manifest_.model_bits_per_weight);
    result.set_output_bytes(manifest_.output_bytes);
    result.set_mean_relative_error(manifest_.mean_relative_error);
    result.set_max_relative_error(manifest_.max_relative_error);
    result.set_manifest_sha256(base::Sha256Hex(json));
    return result;
  }

  const PublishInputs& inputs_;
  const v1::JobSpec& spec_;
  store::CheckpointStore* const store_;
  store::Manifest manifest_;
  std::set<std::string> compressed_;  // names of the matrices
  TensorTotals totals_;
};

}  // namespace

absl::StatusOr<v1::JobResult> PublishCheckpoint(const PublishInputs& inputs,
                                                store::CheckpointStore* store) {
  return Publisher(inputs, store).Run();
}

}  // namespace caldera::coordinator
