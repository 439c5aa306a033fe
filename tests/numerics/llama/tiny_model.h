// A random model small enough for loops in float64: the fixture of the forward pass tests.
#ifndef CALDERA_TESTS_NUMERICS_LLAMA_TINY_MODEL_H_
#define CALDERA_TESTS_NUMERICS_LLAMA_TINY_MODEL_H_

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/base/status.h"
#include "common/model/model_config.h"
#include "common/model/model_tensors.h"
#include "common/model/tensor_source.h"
#include "numerics/linalg/matrix.h"

namespace caldera::llama {

// Tensors in memory, float32.
class MemoryTensors final : public model::TensorSource {
 public:
  void Put(const std::string& name, std::vector<std::int64_t> shape, std::vector<float> values) {
    model::TensorInfo info{name, model::Dtype::kF32, std::move(shape),
                           values.size() * sizeof(float)};
    values_[name] = std::move(values);
    const auto place =
        std::lower_bound(tensors_.begin(), tensors_.end(), name,
                         [](const auto& tensor, const auto& key) { return tensor.name < key; });
    if (place != tensors_.end() && place->name == name) {
      *place = std::move(info);
    } else {
      tensors_.insert(place, std::move(info));
    }
  }
  void Remove(const std::string& name) {
    values_.erase(name);
    std::erase_if(tensors_, [&](const auto& tensor) { return tensor.name == name; });
  }
  std::vector<float>& Values(const std::string& name) { return values_.at(name); }

  const std::string& name() const override { return name_; }
  const std::vector<model::TensorInfo>& tensors() const override { return tensors_; }
  absl::Status ReadRows(const std::string& tensor, std::int64_t first_row, std::int64_t row_count,
                        std::span<float> out) const override {
    const model::TensorInfo* info = Find(tensor);
    if (info == nullptr) return base::NotFound("{}: no tensor {}", name_, tensor);
    if (first_row + row_count > info->rows()) return base::OutOfRange("{}", tensor);
    const float* from = values_.at(tensor).data() + first_row * info->row_elements();
    std::copy_n(from, row_count * info->row_elements(), out.begin());
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<std::byte>> ReadRaw(const std::string& tensor) const override {
    const auto bytes = std::as_bytes(std::span(values_.at(tensor)));
    return std::vector<std::byte>(bytes.begin(), bytes.end());
  }

 private:
  const std::string name_ = "tiny";
  std::map<std::string, std::vector<float>> values_;
  std::vector<model::TensorInfo> tensors_;
};

// 3 query heads of 6 on one key/value head, and no two dimensions alike.
inline model::ModelConfig TinyConfig() {
  model::ModelConfig config;
  config.hidden_size = 20;
  config.intermediate_size = 28;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 3;
  config.num_key_value_heads = 1;
  config.head_dim = 6;
  config.vocab_size = 50;
  config.max_position_embeddings = 512;
  return config;
}

inline std::vector<float> RandomValues(std::size_t count, double spread, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<double> normal(0, spread);
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(normal(generator));
  return values;
}

// Every tensor that the configuration asks for; norms around 1, the rest with unit gain.
inline MemoryTensors RandomModel(const model::ModelConfig& config, unsigned seed = 1) {
  std::vector<model::ExpectedTensor> all = model::NonLayerTensors(config);
  for (int layer = 0; layer < config.num_hidden_layers; ++layer) {
    for (auto& tensor : model::ProjectionTensors(config, layer)) all.push_back(std::move(tensor));
    for (auto& tensor : model::OtherLayerTensors(config, layer)) all.push_back(std::move(tensor));
  }
  MemoryTensors tensors;
  for (const model::ExpectedTensor& tensor : all) {
    std::size_t count = 1;
    for (const std::int64_t extent : tensor.shape) count *= static_cast<std::size_t>(extent);
    const bool matrix = tensor.shape.size() == 2;
    const double spread = matrix ? 1 / std::sqrt(static_cast<double>(tensor.shape[1])) : 0.3;
    std::vector<float> values = RandomValues(count, spread, ++seed);
    if (tensor.name.find("norm") != std::string::npos) {
      for (float& value : values) value += 1;
    }
    tensors.Put(tensor.name, tensor.shape, std::move(values));
  }
  return tensors;
}

inline std::vector<std::int32_t> RandomIds(std::size_t count, std::int64_t vocabulary,
                                           unsigned seed) {
  std::mt19937 generator(seed);
  std::vector<std::int32_t> ids(count);
  for (auto& id : ids) {
    id = static_cast<std::int32_t>(generator() % static_cast<std::uint32_t>(vocabulary));
  }
  return ids;
}

inline linalg::MatrixF RandomMatrix(std::int64_t rows, std::int64_t columns, unsigned seed) {
  linalg::MatrixF matrix(rows, columns);
  const auto values = RandomValues(static_cast<std::size_t>(rows * columns), 1.0, seed);
  std::copy(values.begin(), values.end(), matrix.data());
  return matrix;
}

inline bool SameBits(const linalg::MatrixF& a, const linalg::MatrixF& b) {
  return a.rows() == b.rows() && a.columns() == b.columns() &&
         std::memcmp(a.data(), b.data(),
                     static_cast<std::size_t>(a.rows() * a.columns()) * sizeof(float)) == 0;
}

// max |a - b| / max |b|.
inline double RelativeDifference(linalg::ConstViewF a, const linalg::Matrix<double>& b) {
  double difference = 0;
  double largest = 0;
  for (std::int64_t i = 0; i < b.rows(); ++i) {
    for (std::int64_t j = 0; j < b.columns(); ++j) {
      difference = std::max(difference, std::fabs(static_cast<double>(a(i, j)) - b(i, j)));
      largest = std::max(largest, std::fabs(b(i, j)));
    }
  }
  return difference / largest;
}

}  // namespace caldera::llama

#endif  // CALDERA_TESTS_NUMERICS_LLAMA_TINY_MODEL_H_
