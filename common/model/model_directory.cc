#include "common/model/model_directory.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "common/base/sha256.h"
#include "common/base/status.h"
#include "common/model/gguf_model.h"
#include "common/model/hf_model.h"
#include "common/model/json_object.h"
#include "common/model/local_files.h"
#include "common/model/model_tensors.h"
#include "common/model/safetensors.h"

namespace caldera::model {
namespace {

constexpr std::uint64_t kMaxConfigBytes = std::uint64_t{16} << 20;
constexpr std::uint64_t kSampleBytes = 4096;
constexpr std::uint64_t kSamples = 16;
constexpr std::uint64_t kHashBlock = std::uint64_t{1} << 20;

// The digest under construction; every part goes in with its length, so parts cannot run together.
class FingerprintBuilder {
 public:
  void AddText(const std::string& text) {
    sha_.Update(fmt::format("{}:", text.size()));
    sha_.Update(text);
  }
  absl::Status AddRange(const ByteSource& source, std::uint64_t begin, std::uint64_t end) {
    sha_.Update(fmt::format("{}-{}:", begin, end));
    std::vector<std::byte> block;
    for (std::uint64_t at = begin; at < end; at += block.size()) {
      block.resize(static_cast<std::size_t>(std::min(kHashBlock, end - at)));
      CALDERA_RETURN_IF_ERROR(source.Read(at, block));
      sha_.Update(block);
    }
    return absl::OkStatus();
  }
  absl::Status AddSamples(const ByteSource& source) {
    for (std::uint64_t i = 0; i < kSamples; ++i) {
      const std::uint64_t begin = source.size() / kSamples * i;
      const std::uint64_t end = std::min(source.size(), begin + kSampleBytes);
      CALDERA_RETURN_IF_ERROR(AddRange(source, begin, end));
    }
    return absl::OkStatus();
  }
  std::string Finish() { return sha_.HexDigest(); }

 private:
  base::Sha256 sha_;
};

bool IsSafetensors(const std::string& file) { return file.ends_with(".safetensors"); }
bool IsGguf(const std::string& file) { return file.ends_with(".gguf"); }

// Bytes from the start of a weight file to its tensor data.
absl::StatusOr<std::uint64_t> HeaderBytes(const ByteSource& source) {
  CALDERA_ASSIGN_OR_RETURN(const std::string json, ReadSafetensorsHeaderText(source));
  return sizeof(std::uint64_t) + json.size();
}

absl::Status AddWeightFile(const ByteSource& source, std::uint64_t header_bytes,
                           FingerprintBuilder& fingerprint) {
  CALDERA_RETURN_IF_ERROR(fingerprint.AddRange(source, 0, std::min(header_bytes, source.size())));
  return fingerprint.AddSamples(source);
}

// Name and size of a file of the set; the fingerprint holds those of everything that shapes a
// result.
absl::StatusOr<std::uint64_t> AddNameAndSize(const ByteSource& source, const std::string& file,
                                             FingerprintBuilder& fingerprint) {
  fingerprint.AddText(file);
  fingerprint.AddText(fmt::format("{}", source.size()));
  return source.size();
}

absl::Status AddTokenizerFiles(const FileSet& files, FingerprintBuilder& fingerprint) {
  CALDERA_ASSIGN_OR_RETURN(const auto entries, files.List());
  for (const FileSet::Entry& entry : entries) {
    if (!entry.name.starts_with("tokenizer")) continue;
    fingerprint.AddText(entry.name);
    fingerprint.AddText(fmt::format("{}", entry.size));
  }
  return absl::OkStatus();
}

absl::Status AddHfFiles(const HfModel& hf, FingerprintBuilder& fingerprint, OpenedModel& model) {
  for (const std::string& file : hf.file_names()) {
    CALDERA_ASSIGN_OR_RETURN(const auto source, model.files->Open(file));
    CALDERA_ASSIGN_OR_RETURN(const std::uint64_t size, AddNameAndSize(*source, file, fingerprint));
    if (!IsSafetensors(file)) {  // the index
      CALDERA_RETURN_IF_ERROR(fingerprint.AddRange(*source, 0, size));
      continue;
    }
    CALDERA_ASSIGN_OR_RETURN(const std::uint64_t header, HeaderBytes(*source));
    CALDERA_RETURN_IF_ERROR(AddWeightFile(*source, header, fingerprint));
    model.source_bytes += size;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> QuantizationMethod(const std::string& config, const std::string& name) {
  CALDERA_ASSIGN_OR_RETURN(const JsonObject json, JsonObject::Parse(config, name));
  if (!json.Has("quantization_config")) return std::string();
  CALDERA_ASSIGN_OR_RETURN(const JsonObject quantization, json.Object("quantization_config"));
  return quantization.String("quant_method");
}

absl::Status OpenHuggingFace(OpenedModel& model) {
  model.format = ModelFormat::kHuggingFace;
  const std::string config_name = model.files->name() + "/" + kConfigFile;
  CALDERA_ASSIGN_OR_RETURN(const std::string config,
                           ReadText(*model.files, kConfigFile, kMaxConfigBytes));
  CALDERA_ASSIGN_OR_RETURN(model.config, ParseModelConfig(config, config_name));
  CALDERA_ASSIGN_OR_RETURN(model.quantization_method, QuantizationMethod(config, config_name));
  CALDERA_ASSIGN_OR_RETURN(std::unique_ptr<HfModel> hf, HfModel::Open(*model.files));
  FingerprintBuilder fingerprint;
  fingerprint.AddText(config);
  CALDERA_RETURN_IF_ERROR(AddHfFiles(*hf, fingerprint, model));
  CALDERA_RETURN_IF_ERROR(AddTokenizerFiles(*model.files, fingerprint));
  model.fingerprint_sha256 = fingerprint.Finish();
  model.tensors = std::move(hf);
  return absl::OkStatus();
}

absl::Status OpenGguf(const std::string& file, OpenedModel& model) {
  model.format = ModelFormat::kGguf;
  CALDERA_ASSIGN_OR_RETURN(auto source, model.files->Open(file));
  CALDERA_ASSIGN_OR_RETURN(auto opened, GgufFile::Open(std::move(source)));
  model.gguf = std::move(opened);
  CALDERA_ASSIGN_OR_RETURN(auto gguf_model, GgufModel::Open(model.gguf));
  model.config = gguf_model->config();
  FingerprintBuilder fingerprint;
  CALDERA_ASSIGN_OR_RETURN(model.source_bytes,
                           AddNameAndSize(model.gguf->source(), file, fingerprint));
  CALDERA_RETURN_IF_ERROR(
      AddWeightFile(model.gguf->source(), model.gguf->header().data_offset, fingerprint));
  model.fingerprint_sha256 = fingerprint.Finish();
  model.tensors = std::move(gguf_model);
  return absl::OkStatus();
}

// The one GGUF file of a set without config.json.
absl::StatusOr<std::string> OnlyGguf(const FileSet& files,
                                     const std::vector<FileSet::Entry>& entries) {
  std::vector<std::string> found;
  for (const FileSet::Entry& entry : entries) {
    if (IsGguf(entry.name) || entries.size() == 1) found.push_back(entry.name);
  }
  if (found.size() == 1) return found.front();
  if (found.empty()) {
    return base::NotFound("{}: no model, neither {} nor a .gguf file", files.name(), kConfigFile);
  }
  return base::InvalidArgument("{}: {} .gguf files; name one of them", files.name(), found.size());
}

std::uint64_t BFloat16Bytes(const TensorSource& tensors) {
  std::uint64_t bytes = 0;
  for (const TensorInfo& info : tensors.tensors()) {
    if (HasFloatValue(info.dtype)) bytes += 2 * static_cast<std::uint64_t>(info.elements());
  }
  return bytes;
}

}  // namespace

absl::StatusOr<OpenedModel> OpenModel(std::shared_ptr<const FileSet> files) {
  OpenedModel model;
  model.files = std::move(files);
  CALDERA_ASSIGN_OR_RETURN(const auto entries, model.files->List());
  const bool has_config =
      std::any_of(entries.begin(), entries.end(),
                  [](const FileSet::Entry& entry) { return entry.name == kConfigFile; });
  if (has_config) {
    CALDERA_RETURN_IF_ERROR(OpenHuggingFace(model));
  } else {
    CALDERA_ASSIGN_OR_RETURN(const std::string file, OnlyGguf(*model.files, entries));
    CALDERA_RETURN_IF_ERROR(OpenGguf(file, model));
  }
  model.bfloat16_bytes = BFloat16Bytes(*model.tensors);
  return model;
}

absl::StatusOr<OpenedModel> OpenModel(const std::string& uri_or_path,
                                      const base::AllowedRoots& roots) {
  CALDERA_ASSIGN_OR_RETURN(std::unique_ptr<FileSet> files, OpenLocalFiles(uri_or_path, roots));
  return OpenModel(std::shared_ptr<const FileSet>(std::move(files)));
}

absl::Status ValidateModelTensors(const OpenedModel& model) {
  if (!model.quantization_method.empty()) {
    return base::Unimplemented("{}: weights quantised by \"{}\" are not original weights",
                               model.files->name(), model.quantization_method);
  }
  for (const ExpectedTensor& expected : NonLayerTensors(model.config)) {
    CALDERA_RETURN_IF_ERROR(CheckTensor(*model.tensors, expected));
  }
  for (int layer = 0; layer < static_cast<int>(model.config.num_hidden_layers); ++layer) {
    for (const ExpectedTensor& expected : OtherLayerTensors(model.config, layer)) {
      CALDERA_RETURN_IF_ERROR(CheckTensor(*model.tensors, expected));
    }
    for (const ExpectedTensor& expected : ProjectionTensors(model.config, layer)) {
      CALDERA_RETURN_IF_ERROR(CheckTensor(*model.tensors, expected));
    }
  }
  return absl::OkStatus();
}

}  // namespace caldera::model
