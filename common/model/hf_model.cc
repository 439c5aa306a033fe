#include "common/model/hf_model.h"

#include <algorithm>
#include <set>
#include <utility>

#include "common/base/status.h"
#include "common/model/json_object.h"
#include "common/model/local_files.h"

namespace caldera::model {
namespace {

constexpr std::uint64_t kMaxIndexBytes = std::uint64_t{256} << 20;

bool IsBaseName(const std::string& file) {
  return !file.empty() && file != "." && file != ".." && file.find('/') == std::string::npos &&
         file.find('\\') == std::string::npos && file.find('\0') == std::string::npos;
}

bool Contains(const std::vector<FileSet::Entry>& entries, const std::string& file) {
  return std::any_of(entries.begin(), entries.end(),
                     [&file](const FileSet::Entry& entry) { return entry.name == file; });
}

}  // namespace

absl::StatusOr<std::map<std::string, std::string>> ParseSafetensorsIndex(const std::string& json,
                                                                         const std::string& name) {
  CALDERA_ASSIGN_OR_RETURN(const JsonObject index, JsonObject::Parse(json, name));
  CALDERA_ASSIGN_OR_RETURN(const JsonObject map, index.Object("weight_map"));
  std::map<std::string, std::string> files;
  for (const std::string& tensor : map.Keys()) {
    CALDERA_ASSIGN_OR_RETURN(const std::string file, map.String(tensor));
    if (!IsBaseName(file)) {
      return base::InvalidArgument("{}: tensor {}: \"{}\" is no file of the same directory", name,
                                   tensor, file);
    }
    files[tensor] = file;
  }
  return files;
}

bool IsIgnoredTensor(const std::string& name) {
  return name.ends_with("rotary_emb.inv_freq") || name.ends_with("rotary_emb.cos_cached") ||
         name.ends_with("rotary_emb.sin_cached");
}

HfModel::HfModel(std::string name) : name_(std::move(name)) {}

absl::StatusOr<std::unique_ptr<HfModel>> HfModel::Open(const FileSet& files) {
  std::unique_ptr<HfModel> model(new HfModel(files.name()));
  CALDERA_ASSIGN_OR_RETURN(const auto entries, files.List());
  if (Contains(entries, kSingleSafetensorsFile)) {
    CALDERA_RETURN_IF_ERROR(model->AddShard(files, kSingleSafetensorsFile));
  } else if (Contains(entries, kSafetensorsIndexFile)) {
    CALDERA_RETURN_IF_ERROR(model->OpenIndexed(files));
  } else {
    return base::NotFound("{}: neither {} nor {}", files.name(), kSingleSafetensorsFile,
                          kSafetensorsIndexFile);
  }
  std::sort(model->tensors_.begin(), model->tensors_.end(),
            [](const TensorInfo& a, const TensorInfo& b) { return a.name < b.name; });
  std::sort(model->file_names_.begin(), model->file_names_.end());
  return model;
}

absl::Status HfModel::OpenIndexed(const FileSet& files) {
  CALDERA_ASSIGN_OR_RETURN(const std::string text,
                           ReadText(files, kSafetensorsIndexFile, kMaxIndexBytes));
  const std::string index_name = name_ + "/" + kSafetensorsIndexFile;
  CALDERA_ASSIGN_OR_RETURN(const auto file_of, ParseSafetensorsIndex(text, index_name));
  std::set<std::string> shard_files;
  for (const auto& [tensor, file] : file_of) shard_files.insert(file);
  for (const std::string& file : shard_files) {
    CALDERA_RETURN_IF_ERROR(base::WithContext(AddShard(files, file), index_name));
  }
  for (const auto& [tensor, file] : file_of) {
    if (shards_.at(file)->Find(tensor) == nullptr) {
      return base::InvalidArgument("{}: tensor {} is not in {}", index_name, tensor, file);
    }
  }
  for (const auto& [tensor, shard] : shard_of_) {
    if (!file_of.contains(tensor)) {
      return base::InvalidArgument("{}: tensor {} of {} is not listed", index_name, tensor,
                                   shard->name());
    }
  }
  file_names_.emplace_back(kSafetensorsIndexFile);
  return absl::OkStatus();
}

absl::Status HfModel::AddShard(const FileSet& files, const std::string& file) {
  CALDERA_ASSIGN_OR_RETURN(auto source, files.Open(file));
  CALDERA_ASSIGN_OR_RETURN(auto shard, SafetensorsFile::Open(std::move(source)));
  for (const TensorInfo& info : shard->tensors()) {
    if (IsIgnoredTensor(info.name)) continue;
    const auto [known, added] = shard_of_.emplace(info.name, shard.get());
    if (!added) {
      return base::InvalidArgument("tensor {} is both in {} and in {}", info.name,
                                   known->second->name(), shard->name());
    }
    tensors_.push_back(info);
  }
  shards_.emplace(file, std::move(shard));
  file_names_.push_back(file);
  return absl::OkStatus();
}

absl::StatusOr<const SafetensorsFile*> HfModel::ShardOf(const std::string& tensor) const {
  const auto found = shard_of_.find(tensor);
  if (found == shard_of_.end()) return base::NotFound("{}: no tensor \"{}\"", name_, tensor);
  return found->second;
}

absl::StatusOr<std::map<std::string, std::string>> HfModel::MetadataOf(
    const std::string& tensor) const {
  CALDERA_ASSIGN_OR_RETURN(const SafetensorsFile* shard, ShardOf(tensor));
  return shard->metadata();
}

absl::Status HfModel::ReadRows(const std::string& tensor, std::int64_t first_row,
                               std::int64_t row_count, std::span<float> out) const {
  CALDERA_ASSIGN_OR_RETURN(const SafetensorsFile* shard, ShardOf(tensor));
  return shard->ReadRows(tensor, first_row, row_count, out);
}

absl::StatusOr<std::vector<std::byte>> HfModel::ReadRaw(const std::string& tensor) const {
  CALDERA_ASSIGN_OR_RETURN(const SafetensorsFile* shard, ShardOf(tensor));
  return shard->ReadRaw(tensor);
}

}  // namespace caldera::model
