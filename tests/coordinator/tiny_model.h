// A real, tiny Llama model on disk (random weights, byte-level tokenizer), its calibration text,
// and matrix objects in the shape that workers commit. Everything is made by the house's own
// writers.
#ifndef CALDERA_TESTS_COORDINATOR_TINY_MODEL_H_
#define CALDERA_TESTS_COORDINATOR_TINY_MODEL_H_

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "caldera/v1/compression.pb.h"
#include "common/base/check.h"
#include "common/base/file.h"
#include "common/base/sha256.h"
#include "common/base/status.h"
#include "common/model/compressed_matrix_io.h"
#include "common/model/model_config.h"
#include "common/model/model_tensors.h"
#include "common/model/safetensors_writer.h"
#include "common/store/checkpoint_store.h"

namespace caldera::coordinator {

inline model::ModelConfig TinyConfig() {
  model::ModelConfig config;
  config.hidden_size = 16;
  config.intermediate_size = 24;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 2;
  config.num_key_value_heads = 1;
  config.head_dim = 8;
  config.vocab_size = 256;
  config.max_position_embeddings = 64;
  config.tie_word_embeddings = true;
  return config;
}

// Deterministic values in (-1, 1).
inline std::vector<std::byte> FloatBytes(std::size_t count, unsigned seed) {
  std::vector<float> values(count);
  unsigned state = seed * 2654435761U + 1U;
  for (float& value : values) {
    state = state * 1664525U + 1013904223U;
    value = static_cast<float>(state >> 8U) / static_cast<float>(1U << 23U) - 1.0F;
  }
  std::vector<std::byte> bytes(count * sizeof(float));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

inline model::SafetensorsTensor RandomTensor(const model::ExpectedTensor& expected, unsigned seed) {
  std::size_t count = 1;
  for (const std::int64_t dimension : expected.shape) count *= static_cast<std::size_t>(dimension);
  return {{expected.name, model::Dtype::kF32, expected.shape}, FloatBytes(count, seed)};
}

// Every tensor of a model with this configuration, with its own seed.
inline std::vector<model::SafetensorsTensor> RandomTensors(const model::ModelConfig& config) {
  std::vector<model::ExpectedTensor> expected = model::NonLayerTensors(config);
  for (int layer = 0; layer < config.num_hidden_layers; ++layer) {
    for (const auto& tensor : model::ProjectionTensors(config, layer)) expected.push_back(tensor);
    for (const auto& tensor : model::OtherLayerTensors(config, layer)) expected.push_back(tensor);
  }
  std::vector<model::SafetensorsTensor> tensors;
  for (const model::ExpectedTensor& tensor : expected) {
    tensors.push_back(RandomTensor(tensor, static_cast<unsigned>(tensors.size())));
  }
  return tensors;
}

// The 256 bytes in GPT-2's printable alphabet, as JSON members "char": id.
inline std::string ByteVocabulary() {
  std::string members;
  int next = 256;
  for (int byte = 0; byte < 256; ++byte) {
    const bool printable =
        (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || (byte >= 174);
    const int code = printable ? byte : next++;
    members += fmt::format("{}\"\\u{:04x}\": {}", members.empty() ? "" : ", ", code, byte);
  }
  return members;
}

inline std::string TinyTokenizerJson() {
  return R"({"version": "1.0", "truncation": null, "padding": null, "added_tokens": [],)"
         R"( "normalizer": null, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false,)"
         R"( "trim_offsets": true, "use_regex": true}, "post_processor": null,)"
         R"( "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true,)"
         R"( "use_regex": true}, "model": {"type": "BPE", "dropout": null, "unk_token": null,)"
         R"( "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": false,)"
         R"( "byte_fallback": false, "vocab": {)" +
         ByteVocabulary() + R"(}, "merges": []}})";
}

inline void Must(const absl::Status& status) {
  CALDERA_CHECK(status.ok(), "{}", base::MessageOf(status));
}

template <typename Value>
Value Must(absl::StatusOr<Value> value) {
  Must(value.status());
  return *std::move(value);
}

inline void WriteBytes(const std::string& path, const std::vector<std::byte>& bytes) {
  Must(base::WriteFile(path,
                       std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size())));
}

// DIR/model, DIR/text.txt and the spec that compresses them to DIR/out.
inline v1::JobSpec WriteTinyJob(const std::string& directory) {
  const std::string model = directory + "/model";
  Must(base::MakeDirectories(model));
  Must(base::WriteFile(model + "/config.json", model::ModelConfigToJson(TinyConfig())));
  Must(base::WriteFile(model + "/tokenizer.json", TinyTokenizerJson()));
  WriteBytes(model + "/model.safetensors",
             Must(model::WriteSafetensors({}, RandomTensors(TinyConfig()))));
  Must(base::WriteFile(directory + "/text.txt", std::string(2000, 'a')));
  v1::JobSpec spec;
  spec.set_model_uri(model);
  spec.set_output_uri("file://" + directory + "/out");
  spec.mutable_calibration()->set_uri(directory + "/text.txt");
  spec.mutable_calibration()->set_samples(8);
  spec.mutable_calibration()->set_seq_len(16);
  spec.mutable_calibration()->set_ranges(2);
  spec.mutable_decomposition()->set_rank(4);
  return spec;
}

inline model::CompressedMatrixHeader TinyHeader(int projection, double q_bits = 2) {
  const model::MatrixShape shape =
      model::ShapeOf(TinyConfig(), static_cast<model::Projection>(projection));
  model::CompressedMatrixHeader header;
  header.rows = shape.rows;
  header.columns = shape.columns;
  header.rank = 4;
  model::SetQBits(q_bits, &header);
  return header;
}

// A real encoded matrix; its codes are noise, the coordinator never decodes them.
inline std::vector<std::byte> MatrixObject(int layer, int projection, unsigned seed,
                                           double q_bits = 2) {
  model::CompressedMatrix matrix;
  matrix.header = TinyHeader(projection, q_bits);
  const auto columns = static_cast<std::size_t>(matrix.header.columns);
  const auto groups = static_cast<std::size_t>(matrix.header.padded_rows() / 8);
  matrix.q_scale.assign(static_cast<std::size_t>(matrix.header.scale_count()), 0.5F);
  matrix.q_codes.assign(groups * columns, seed % 65536);
  matrix.l_codes.assign(groups * 8, seed);
  matrix.l_scale.assign(4, 0.25F);
  matrix.r_codes.assign(columns, seed + 1);
  matrix.r_scale.assign(4, 0.125F);
  matrix.sign_in.assign(columns, 1);
  matrix.sign_out.assign(static_cast<std::size_t>(matrix.header.rows), 0);
  return Must(model::EncodeMatrixObject(
      fmt::format("model.layers.{}.{}", layer,
                  model::ProjectionPath(static_cast<model::Projection>(projection))),
      matrix));
}

inline v1::ObjectRef StoreBytes(const std::vector<std::byte>& bytes,
                                store::CheckpointStore* store) {
  const std::unique_ptr<store::ObjectWriter> writer = Must(store->Stage("test"));
  Must(writer->Append(bytes));
  const store::ObjectInfo info = Must(writer->Commit());
  v1::ObjectRef object;
  object.set_sha256(info.sha256);
  object.set_size(static_cast<std::int64_t>(info.size));
  return object;
}

inline v1::MatrixResult TinyMatrix(int layer, int projection, const v1::ObjectRef& object) {
  const auto kind = static_cast<model::Projection>(projection);
  const model::MatrixShape shape = model::ShapeOf(TinyConfig(), kind);
  v1::MatrixResult result;
  result.set_projection(model::ProjectionPath(kind));
  *result.mutable_object() = object;
  result.set_rows(shape.rows);
  result.set_columns(shape.columns);
  result.set_rank(4);
  result.set_bits_per_weight(model::BitsPerWeight(TinyHeader(projection)));
  result.set_relative_error(0.01 * (layer + 1) + 0.001 * projection);
  result.set_seconds(1.5);
  return result;
}

// The shard of embeddings and final norm, as the embeddings task makes it.
inline std::vector<std::byte> EmbeddingsObject() {
  std::vector<model::SafetensorsTensor> tensors;
  for (const model::ExpectedTensor& tensor : model::NonLayerTensors(TinyConfig())) {
    tensors.push_back(RandomTensor(tensor, 77));
  }
  return Must(model::WriteSafetensors({{"format", "pt"}}, tensors));
}

}  // namespace caldera::coordinator

#endif  // CALDERA_TESTS_COORDINATOR_TINY_MODEL_H_
