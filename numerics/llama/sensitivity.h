// How far the predictions of a model move when one of its matrices is replaced, for many matrices
// in one forward pass.
//
// The original model takes a few windows through all layers. Where a matrix is altered, a copy of
// the hidden states takes the altered layer instead and then all later layers as they are. At the
// end
//   divergence = mean over positions of KL(p_original || p_altered), in nats.
// It grows with the square of the alteration while that is small, so the divergence of another
// rounding of the same matrix is about this one times the ratio of the squared errors.
//
// Every function is collective: all ranks call it in the same order with the same arguments (what
// only rank 0 has is named). Copies are dealt out to ranks cyclically, and each window of each copy
// is computed by one thread: the results are the same bits for any number of ranks and threads.
// Memory for each copy and each window: tokens x hidden_size floats. Errors are the same on every
// rank.
#ifndef CALDERA_NUMERICS_LLAMA_SENSITIVITY_H_
#define CALDERA_NUMERICS_LLAMA_SENSITIVITY_H_

#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/model/model_config.h"
#include "common/model/tensor_source.h"
#include "numerics/dist/communicator.h"
#include "numerics/dist/interrupt.h"
#include "numerics/linalg/matrix.h"
#include "numerics/llama/divergence.h"
#include "numerics/llama/head.h"
#include "numerics/llama/model.h"

namespace caldera::llama {

class SensitivityProbe {
 public:
  // Embeds the windows: 2 to kTokenBlock (head.h) tokens each, or INVALID_ARGUMENT. Rank 0 alone
  // reads `source` (null on the others). `config` and `communicator` must outlive the probe.
  // Every later function ends with CANCELLED when `interrupt` says so.
  static absl::StatusOr<SensitivityProbe> Start(const model::TensorSource* source,
                                                const model::ModelConfig& config,
                                                std::span<const Window> windows,
                                                dist::Interrupt interrupt,
                                                dist::Communicator& communicator);

  // Before Advance with the same layer: a copy in which `altered` (m x n, on every rank) stands in
  // the place of one projection. `weights` is as before afterwards.
  absl::Status Branch(model::Projection projection, linalg::MatrixF altered, LayerWeights& weights);

  // Takes the original and all copies through the next layer.
  absl::Status Advance(const LayerWeights& weights);

  // After the last layer: the divergence of each copy, in the order of Branch. Errors of the head's
  // tensors; INVALID_ARGUMENT when a logit is not finite.
  absl::StatusOr<std::vector<double>> Finish(const model::TensorSource* source);

 private:
  // Predictions of one window in the original and in one copy.
  using PairedWindow = std::vector<DistributionPair>;

  SensitivityProbe(const model::ModelConfig& config, std::vector<Window> windows,
                   ActivationSet original, dist::Interrupt interrupt,
                   dist::Communicator& communicator);
  absl::Status NormaliseOnRanks(const model::TensorSource* source);

  void AddChunk(const HeadChunk& chunk, std::vector<PairedWindow>& pairs) const;

  const model::ModelConfig* config_;
  dist::Communicator* communicator_;
  dist::Interrupt interrupt_;
  std::vector<Window> windows_;
  std::size_t copies_ = 0;  // over all ranks
  // The windows of the original, then those of each of this rank's copies.
  ActivationSet states_;
  ActivationSet branched_;  // behind the layer that states_ stand before
};

}  // namespace caldera::llama

#endif  // CALDERA_NUMERICS_LLAMA_SENSITIVITY_H_
