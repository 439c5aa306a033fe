// Small files of known content for the tests of this folder: GGUF bytes, Hugging Face directories.
#ifndef CALDERA_TESTS_COMMON_MODEL_TEST_FILES_H_
#define CALDERA_TESTS_COMMON_MODEL_TEST_FILES_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/model/local_files.h"
#include "common/model/model_config.h"
#include "common/model/model_tensors.h"
#include "common/model/safetensors_writer.h"

namespace caldera::model::testing {

using Bytes = std::vector<std::byte>;

inline Bytes BytesOf(const std::string& text) {
  const auto bytes = std::as_bytes(std::span(text));
  return Bytes(bytes.begin(), bytes.end());
}

template <typename T>
Bytes BytesOf(const std::vector<T>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return Bytes(bytes.begin(), bytes.end());
}

inline std::unique_ptr<ByteSource> SourceOf(Bytes bytes, const std::string& name = "file") {
  return std::make_unique<MemoryByteSource>(name, std::move(bytes));
}

// 0, 1, 2, ... shifted by `first`: tells rows and tensors apart.
inline std::vector<float> Ramp(std::int64_t count, float first) {
  std::vector<float> values;
  for (std::int64_t i = 0; i < count; ++i) values.push_back(first + static_cast<float>(i));
  return values;
}

// Writes GGUF version 3 bytes piece by piece: values first, then tensors, then Finish.
class GgufBytes {
 public:
  explicit GgufBytes(std::uint32_t version = 3) : version_(version) {}

  template <typename T>
  GgufBytes& Value(const std::string& key, std::uint32_t type, T value) {
    PutString(values_, key);
    Put(values_, type);
    Put(values_, value);
    ++value_count_;
    return *this;
  }
  GgufBytes& U32(const std::string& key, std::uint32_t value) { return Value(key, 4, value); }
  GgufBytes& F32(const std::string& key, float value) { return Value(key, 6, value); }
  GgufBytes& Text(const std::string& key, const std::string& value) {
    Value(key, 8, static_cast<std::uint64_t>(value.size()));
    for (const char character : value) Put(values_, character);
    return *this;
  }
  GgufBytes& Texts(const std::string& key, const std::vector<std::string>& list) {
    PutArrayHead(key, 8, list.size());
    for (const std::string& text : list) PutString(values_, text);
    return *this;
  }
  template <typename T>
  GgufBytes& Array(const std::string& key, std::uint32_t type, const std::vector<T>& list) {
    PutArrayHead(key, type, list.size());
    for (const T& value : list) Put(values_, value);
    return *this;
  }

  // `shape` outermost first; `type` as numbered by ggml.
  GgufBytes& Tensor(const std::string& name, std::vector<std::uint64_t> shape, std::uint32_t type,
                    const Bytes& data) {
    data_.resize((data_.size() + 31) / 32 * 32);
    return TensorAt(name, std::move(shape), type, data_.size(), data);
  }
  GgufBytes& TensorAt(const std::string& name, std::vector<std::uint64_t> shape, std::uint32_t type,
                      std::uint64_t offset, const Bytes& data) {
    PutString(tensors_, name);
    Put(tensors_, static_cast<std::uint32_t>(shape.size()));
    for (std::size_t i = shape.size(); i-- > 0;) Put(tensors_, shape[i]);
    Put(tensors_, type);
    Put(tensors_, offset);
    ++tensor_count_;
    data_.insert(data_.end(), data.begin(), data.end());
    return *this;
  }
  GgufBytes& Floats(const std::string& name, std::vector<std::uint64_t> shape,
                    const std::vector<float>& values) {
    return Tensor(name, std::move(shape), 0, BytesOf(values));
  }

  Bytes Finish() {
    Bytes file = Header();
    file.resize((file.size() + 31) / 32 * 32);
    file.insert(file.end(), data_.begin(), data_.end());
    return file;
  }
  // Everything before the padding to the data.
  Bytes Header() const {
    Bytes file = BytesOf(std::string("GGUF"));
    Put(file, version_);
    Put(file, tensor_count_);
    Put(file, value_count_);
    file.insert(file.end(), values_.begin(), values_.end());
    file.insert(file.end(), tensors_.begin(), tensors_.end());
    return file;
  }

 private:
  template <typename T>
  static void Put(Bytes& to, T value) {
    const auto bytes = std::as_bytes(std::span(&value, 1));
    to.insert(to.end(), bytes.begin(), bytes.end());
  }
  static void PutString(Bytes& to, const std::string& text) {
    Put(to, static_cast<std::uint64_t>(text.size()));
    for (const char character : text) Put(to, character);
  }
  void PutArrayHead(const std::string& key, std::uint32_t type, std::uint64_t count) {
    Value(key, 9, type);
    Put(values_, count);
  }

  std::uint32_t version_;
  std::uint64_t tensor_count_ = 0, value_count_ = 0;
  Bytes values_, tensors_, data_;
};

// A model small enough to be flipped bit by bit: 2 layers, 4 heads over 2 KV heads of dimension 4.
inline ModelConfig SmallConfig() {
  ModelConfig config;
  config.hidden_size = 16;
  config.intermediate_size = 24;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 4;
  config.num_key_value_heads = 2;
  config.head_dim = 4;
  config.vocab_size = 10;
  config.max_position_embeddings = 64;
  config.bos_token_id = 1;
  config.eos_token_ids = {2};
  return config;
}

// Every tensor of the architecture as F32; tensor k holds Ramp(elements, 1000 k).
inline std::vector<SafetensorsTensor> TensorsOf(const ModelConfig& config) {
  std::vector<ExpectedTensor> expected = NonLayerTensors(config);
  for (int layer = 0; layer < static_cast<int>(config.num_hidden_layers); ++layer) {
    for (auto& tensor : OtherLayerTensors(config, layer)) expected.push_back(std::move(tensor));
    for (auto& tensor : ProjectionTensors(config, layer)) expected.push_back(std::move(tensor));
  }
  std::vector<SafetensorsTensor> tensors;
  for (const ExpectedTensor& tensor : expected) {
    std::int64_t elements = 1;
    for (const std::int64_t dimension : tensor.shape) elements *= dimension;
    const float first = 1000.0F * static_cast<float>(tensors.size());
    tensors.push_back({{tensor.name, Dtype::kF32, tensor.shape}, BytesOf(Ramp(elements, first))});
  }
  return tensors;
}

// config.json and model.safetensors of a configuration, in memory.
inline std::shared_ptr<MemoryFileSet> HfFiles(const ModelConfig& config) {
  auto files = std::make_shared<MemoryFileSet>("hf");
  files->Put("config.json", ModelConfigToJson(config));
  files->Put("model.safetensors", *WriteSafetensors({{"format", "pt"}}, TensorsOf(config)));
  return files;
}

// The GGUF metadata of SmallConfig().
inline GgufBytes SmallGgufMetadata() {
  GgufBytes gguf;
  gguf.Text("general.architecture", "llama");
  gguf.U32("llama.embedding_length", 16).U32("llama.feed_forward_length", 24);
  gguf.U32("llama.block_count", 2).U32("llama.context_length", 64);
  gguf.U32("llama.attention.head_count", 4).U32("llama.attention.head_count_kv", 2);
  gguf.F32("llama.attention.layer_norm_rms_epsilon", 1e-5F);
  gguf.U32("tokenizer.ggml.bos_token_id", 1).U32("tokenizer.ggml.eos_token_id", 2);
  return gguf;
}

// Row of the GGUF matrix that holds row `row` of the Hugging Face matrix, heads of `head_dim` rows;
// written as the converters' reshape: (heads, 2, head_dim / 2) -> (heads, head_dim / 2, 2).
inline std::int64_t InterleavedRow(std::int64_t row, std::int64_t head_dim) {
  const std::int64_t head = row / head_dim;
  const std::int64_t within = row % head_dim;
  return head * head_dim + 2 * (within % (head_dim / 2)) + within / (head_dim / 2);
}

}  // namespace caldera::model::testing

#endif  // CALDERA_TESTS_COMMON_MODEL_TEST_FILES_H_
