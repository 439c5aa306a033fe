// The decoder layer as the formulas say it: plain loops in float64, one position after another.
#ifndef CALDERA_TESTS_NUMERICS_LLAMA_REFERENCE_BLOCK_H_
#define CALDERA_TESTS_NUMERICS_LLAMA_REFERENCE_BLOCK_H_

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/model/model_config.h"
#include "numerics/linalg/matrix.h"
#include "numerics/llama/rope.h"
#include "numerics/llama/weights.h"

namespace caldera::llama {

using MatrixD = linalg::Matrix<double>;

inline MatrixD Widen(const linalg::MatrixF& a) {
  MatrixD wide(a.rows(), a.columns());
  std::copy_n(a.data(), a.rows() * a.columns(), wide.data());
  return wide;
}

inline MatrixD ReferenceNorm(const MatrixD& x, const std::vector<float>& weight, double epsilon) {
  MatrixD y(x.rows(), x.columns());
  for (std::int64_t i = 0; i < x.rows(); ++i) {
    double squares = 0;
    for (std::int64_t j = 0; j < x.columns(); ++j) squares += x(i, j) * x(i, j);
    const double scale = 1 / std::sqrt(squares / static_cast<double>(x.columns()) + epsilon);
    for (std::int64_t j = 0; j < x.columns(); ++j) {
      y(i, j) = x(i, j) * scale * static_cast<double>(weight[static_cast<std::size_t>(j)]);
    }
  }
  return y;
}

inline MatrixD ReferenceLinear(const Linear& linear, const MatrixD& x) {
  MatrixD y(x.rows(), linear.weight.rows());
  for (std::int64_t i = 0; i < y.rows(); ++i) {
    for (std::int64_t o = 0; o < y.columns(); ++o) {
      double sum =
          linear.bias.empty() ? 0.0 : static_cast<double>(linear.bias[static_cast<std::size_t>(o)]);
      for (std::int64_t j = 0; j < x.columns(); ++j) {
        sum += x(i, j) * static_cast<double>(linear.weight(o, j));
      }
      y(i, o) = sum;
    }
  }
  return y;
}

inline void ReferenceRope(const model::ModelConfig& config, MatrixD& x) {
  const std::vector<double> frequencies = RopeFrequencies(config);
  const auto half = static_cast<std::int64_t>(frequencies.size());
  for (std::int64_t p = 0; p < x.rows(); ++p) {
    for (std::int64_t head = 0; head < x.columns(); head += 2 * half) {
      for (std::int64_t k = 0; k < half; ++k) {
        const double angle = static_cast<double>(p) * frequencies[static_cast<std::size_t>(k)];
        const double a = x(p, head + k);
        const double b = x(p, head + half + k);
        x(p, head + k) = a * std::cos(angle) - b * std::sin(angle);
        x(p, head + half + k) = b * std::cos(angle) + a * std::sin(angle);
      }
    }
  }
}

// One query of one head (columns `query` .. of q, `shared` .. of k and v) at position p.
struct ReferenceHead {
  std::int64_t query = 0;
  std::int64_t shared = 0;
  std::int64_t width = 0;
};

struct ReferenceInputs {
  const MatrixD& q;
  const MatrixD& k;
  const MatrixD& v;
};

inline void ReferenceAttend(const ReferenceInputs& in, const ReferenceHead& head,
                            std::int64_t window, MatrixD& out) {
  for (std::int64_t p = 0; p < in.q.rows(); ++p) {
    const std::int64_t begin = std::max<std::int64_t>(0, p - window + 1);
    std::vector<double> weight;
    double total = 0;
    for (std::int64_t s = begin; s <= p; ++s) {
      double score = 0;
      for (std::int64_t d = 0; d < head.width; ++d) {
        score += in.q(p, head.query + d) * in.k(s, head.shared + d);
      }
      weight.push_back(std::exp(score / std::sqrt(static_cast<double>(head.width))));
      total += weight.back();
    }
    for (std::int64_t d = 0; d < head.width; ++d) {
      double sum = 0;
      for (std::int64_t s = begin; s <= p; ++s) {
        sum += weight[static_cast<std::size_t>(s - begin)] / total * in.v(s, head.shared + d);
      }
      out(p, head.query + d) = sum;
    }
  }
}

inline MatrixD ReferenceAttention(const model::ModelConfig& config, const ReferenceInputs& in) {
  MatrixD out(in.q.rows(), in.q.columns());
  const std::int64_t group = config.num_attention_heads / config.num_key_value_heads;
  const std::int64_t window = config.sliding_window.value_or(in.q.rows());
  for (std::int64_t h = 0; h < config.num_attention_heads; ++h) {
    const ReferenceHead head{h * config.head_dim, h / group * config.head_dim, config.head_dim};
    ReferenceAttend(in, head, window, out);
  }
  return out;
}

inline void AddInto(const MatrixD& from, MatrixD& to) {
  for (std::int64_t i = 0; i < to.rows() * to.columns(); ++i) to.data()[i] += from.data()[i];
}

inline MatrixD ReferenceBlock(const model::ModelConfig& config, const LayerWeights& weights,
                              MatrixD hidden) {
  using model::Projection;
  const MatrixD input = ReferenceNorm(hidden, weights.attention_norm, config.rms_norm_eps);
  MatrixD q = ReferenceLinear(weights[Projection::kQ], input);
  MatrixD k = ReferenceLinear(weights[Projection::kK], input);
  const MatrixD v = ReferenceLinear(weights[Projection::kV], input);
  ReferenceRope(config, q);
  ReferenceRope(config, k);
  const MatrixD attended = ReferenceAttention(config, {q, k, v});
  AddInto(ReferenceLinear(weights[Projection::kO], attended), hidden);
  const MatrixD mlp = ReferenceNorm(hidden, weights.mlp_norm, config.rms_norm_eps);
  MatrixD gate = ReferenceLinear(weights[Projection::kGate], mlp);
  const MatrixD up = ReferenceLinear(weights[Projection::kUp], mlp);
  for (std::int64_t i = 0; i < gate.rows() * gate.columns(); ++i) {
    const double z = gate.data()[i];
    gate.data()[i] = z / (1 + std::exp(-z)) * up.data()[i];
  }
  AddInto(ReferenceLinear(weights[Projection::kDown], gate), hidden);
  return hidden;
}

}  // namespace caldera::llama

#endif  // CALDERA_TESTS_NUMERICS_LLAMA_REFERENCE_BLOCK_H_
