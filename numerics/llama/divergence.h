// How far the next-token distributions of two models lie apart at one position, from logits that
// come chunk by chunk of the vocabulary.
//
// Everything is float64; a chunk is read once. With a, b the logits of reference and model and
// A, B their log-sum-exps,
//   KL(p_reference || p_model) = sum p (a - b) - (A - B),   p = exp(a - A),
// so sums of exp(a - max a), of the same times (a - b), and of exp(b - max b) are all that is kept
// (about 80 bytes). Equal logits give 0 exactly.
#ifndef CALDERA_NUMERICS_LLAMA_DIVERGENCE_H_
#define CALDERA_NUMERICS_LLAMA_DIVERGENCE_H_

#include <cstdint>
#include <limits>
#include <span>

namespace caldera::llama {

class DistributionPair {
 public:
  // `target` is the id that follows in the text.
  explicit DistributionPair(std::int32_t target) : target_(target) {}

  // Logits of both models for the ids from `first` on; equally many, at least one. Chunks come in
  // ascending order and cover the vocabulary before a result is asked for.
  void Add(std::span<const float> reference, std::span<const float> model, std::int64_t first);

  // -log p(target) in nats. NaN or infinite when a logit was.
  double ReferenceLoss() const { return reference_.LogSum() - reference_.target_logit; }
  double ModelLoss() const { return model_.LogSum() - model_.target_logit; }
  // KL(p_reference || p_model) in nats, never below 0; NaN when a logit was not finite.
  double Divergence() const;
  // Whether both find the same id most likely (the lowest of equally likely ones).
  bool TopAgrees() const { return reference_.top_id == model_.top_id; }

 private:
  // One model's side: sum = sum of exp(x - largest) over the ids met.
  struct Side {
    double largest = -std::numeric_limits<double>::infinity();
    double sum = 0;
    double target_logit = 0;
    std::int64_t top_id = -1;

    // Takes note of a chunk's largest logit; returns the factor that older sums must shrink by.
    double Raise(std::span<const float> logits, std::int64_t first);
    double LogSum() const;
  };

  std::int32_t target_;
  Side reference_;
  Side model_;
  double weighted_difference_ = 0;  // sum of exp(a - largest a) (a - b)
};

}  // namespace caldera::llama

#endif  // CALDERA_NUMERICS_LLAMA_DIVERGENCE_H_
