// Calibration over the ranks of one worker: forward pass with taps, Hessians owned by tiles.
//
// Windows are dealt out cyclically: window w belongs to rank w % size. Per round every rank takes a
// few of its windows through the layer, all activations are gathered on all ranks (bytes: 4 per
// value, tokens x (2 hidden + heads * head_dim + intermediate) per layer), and every rank adds
// them, in window order, to the tiles of H it owns. So the sums are the same bits for any number of
// ranks and threads. Every function here is collective: all ranks call it, in the same order, with
// the same config and windows. Errors are the same on every rank.
#ifndef CALDERA_NUMERICS_LLAMA_CALIBRATE_H_
#define CALDERA_NUMERICS_LLAMA_CALIBRATE_H_

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/model/model_config.h"
#include "common/model/tensor_source.h"
#include "numerics/decompose/hessian.h"
#include "numerics/dist/communicator.h"
#include "numerics/dist/interrupt.h"
#include "numerics/llama/model.h"

namespace caldera::llama {

// This rank's share of the hidden states: local.windows[i] is window i * size + rank.
struct CalibrationSet {
  ActivationSet local;
  std::vector<std::int64_t> tokens;  // of every window, on every rank
};

// Reads embeddings on rank 0 (`source` may be null on the others: only rank 0 reaches the model)
// and deals them out. Errors as Embed.
absl::StatusOr<CalibrationSet> EmbedOnRanks(const model::TensorSource* source,
                                            const model::ModelConfig& config,
                                            std::span<const Window> windows,
                                            dist::Communicator& communicator);

// LoadLayer on rank 0 (`source` may be null on the others), then broadcast to all.
absl::StatusOr<LayerWeights> LoadLayerOnRanks(const model::TensorSource* source,
                                              const model::ModelConfig& config, int layer,
                                              dist::Communicator& communicator);

// The four Hessians of one layer, in the order of model::HessianKind; this rank's tiles.
struct LayerHessians {
  std::vector<std::int64_t> sizes;
  std::vector<decompose::HessianAccumulator> accumulators;
};
LayerHessians MakeLayerHessians(const model::ModelConfig& config,
                                const dist::Communicator& communicator);

// The layer as CalibrateLayer runs it; borrowed.
struct CalibrationLayer {
  const model::ModelConfig& config;
  const LayerWeights& weights;
  dist::Interrupt interrupt;  // ends with CANCELLED
};

// Takes all windows through the layer, in place, and adds their activations to `hessians`. After
// CANCELLED both are of no use.
absl::Status CalibrateLayer(const CalibrationLayer& layer, CalibrationSet& set,
                            dist::Communicator& communicator, LayerHessians& hessians);

}  // namespace caldera::llama

#endif  // CALDERA_NUMERICS_LLAMA_CALIBRATE_H_
