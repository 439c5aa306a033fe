#include "common/model/work_estimate.h"

#include <algorithm>
#include <bit>
#include <vector>

#include "common/model/recipe.h"

namespace caldera::model {
namespace {

// What numerics/decompose/recipe.cc and published_recipe.cc do by default.
constexpr int kPlainSweeps = 3;
constexpr int kSplitIterations = 1;
constexpr int kLatticeAlternations = 5;
constexpr int kTrellisAlternations = 2;
constexpr int kLatticeSweeps = 3;  // against a downdated Hessian
constexpr int kTrellisSweeps = 2;
constexpr int kEigenvectorRounds = 2;
constexpr int kSubspaceRounds = 4;
constexpr int kWarmSubspaceRounds = 2;
constexpr int kPublishedIterations = 15;
constexpr int kPublishedInnerIterations = 10;
constexpr int kPublishedSweeps = 10;

constexpr int kLatticeFactorBits = 4;
constexpr int kDowndateBits = 16;

// How the low-rank step is done.
struct Fit {
  int subspace_rounds = kSubspaceRounds;
  int alternations = 2;
  bool weighted = true;  // in the metric of H
  bool feedback = true;  // 4-bit factors in a mixed basis, rounded by LDLQ
};

// About what decompose::RowBlock gives.
double BlockRows(std::int64_t m) {
  const auto eighth = std::bit_floor(static_cast<std::uint64_t>(m) / 8);
  return static_cast<double>(std::clamp<std::uint64_t>(eighth, 64, 512));
}

// Goes through the steps of a recipe and adds up what they cost.
class Account {
 public:
  Account(const MatrixShape& shape, const DecompositionSettings& settings, int trials)
      : m_(static_cast<double>(shape.rows)),
        n_(static_cast<double>(shape.columns)),
        block_rows_(BlockRows(shape.rows)),
        settings_(settings),
        trials_(trials),
        trellis_(settings.codebook != CodebookName(CodebookKind::kE8P)) {}

  DecompositionWork Run() {
    Add(2 * m_ * n_ * n_);  // tr(W H W^T)
    const int finest = std::min(settings_.l_bits, settings_.r_bits);
    if (settings_.recipe == RecipeName(RecipeKind::kPublished)) {
      Published();
    } else if (settings_.rank == 0) {
      QuantiseOnly();
    } else if (finest == kLatticeFactorBits) {
      SplitRank();
    } else {
      Alternate();
    }
    return work_;
  }

 private:
  int IterationsOr(int fallback) const {
    return settings_.iterations > 0 ? settings_.iterations : fallback;
  }
  double rank() const { return settings_.rank; }

  void Add(double flops) { work_.flops += flops; }
  void AddWide(double flops) {
    work_.flops += flops;
    work_.wide_flops += flops;
  }
  void AddReplicated(double flops) {
    work_.flops += flops;
    work_.replicated_flops += flops;
  }
  void AddWideReplicated(double flops) {
    AddReplicated(flops);
    work_.wide_flops += flops;
  }

  // One pass of an encoder over all weights.
  void Encode() {
    ++work_.passes;
    (final_ || !trellis_ ? work_.rounded : work_.searched) += m_ * n_;
  }
  void Ldlq() {
    Add(m_ * n_ * n_);
    Encode();
  }
  void Sweep(double basis) {
    Add(m_ * n_ * (2 * n_ + 4 * basis));
    Encode();
  }

  void Measure() {
    Add(2 * m_ * n_ * (n_ + rank()));
    ++work_.iterates;
  }
  // L^T A, each block of rows added exactly to the others.
  void TransposeTimes(double k) {
    Add(2 * m_ * n_ * k);
    work_.exact_sums += k * n_ * m_ / block_rows_;
  }
  void Subtract(double k) { Add(2 * m_ * n_ * k); }

  void Downdate(double k) {
    Add(2 * n_ * n_ * k);
    AddWideReplicated(3 * n_ * k * k);
    AddReplicated(n_ * n_ * k + n_ * n_ * n_ / 3);
    work_.factor_flops += n_ * n_ * n_ / 3;
  }
  void TopEigenvectors(double k) {
    Add(kEigenvectorRounds * 2 * n_ * n_ * k);
    AddWideReplicated(kEigenvectorRounds * 4 * n_ * k * k);
  }

  void FitLowRank(double k, const Fit& fit) {
    if (fit.weighted) Add(2 * m_ * n_ * n_);
    for (int round = 0; round < fit.subspace_rounds; ++round) {
      TransposeTimes(k);
      Add(2 * m_ * n_ * k);
      AddWide(4 * m_ * k * k);
    }
    if (fit.feedback) {
      AddWideReplicated(4 * k * k * k);
      Add(2 * m_ * k * k);
    }
    for (int round = 0; round < fit.alternations; ++round) {
      FitRight(k, fit);
      FitLeft(k, fit);
    }
  }
  void FitRight(double k, const Fit& fit) {
    AddWide(m_ * k * k);
    TransposeTimes(k);
    AddWideReplicated(2 * n_ * k * k);
    if (settings_.r_bits != kLatticeFactorBits) return;
    if (fit.weighted && fit.feedback) Add(k * n_ * n_);
    work_.factor_values += k * n_;
  }
  void FitLeft(double k, const Fit& fit) {
    AddWideReplicated(2 * n_ * k * k);
    if (fit.weighted) Add(2 * n_ * n_ * k);
    Add(2 * m_ * n_ * k);
    AddWide(3 * m_ * k * k);
    if (settings_.l_bits != kLatticeFactorBits) return;
    if (fit.feedback) Add(m_ * k * k);
    work_.factor_values += k * m_;
  }

  void QuantiseOnly() {
    final_ = true;
    Ldlq();
    const int sweeps = IterationsOr(trellis_ ? 0 : kPlainSweeps);
    for (int sweep = 0; sweep < sweeps; ++sweep) Sweep(0);
    for (int iterate = 0; iterate < std::max(1, sweeps); ++iterate) Measure();
  }

  void RoundDowndated(double k, int sweeps) {
    Downdate(k);
    Ldlq();
    for (int sweep = 0; sweep < sweeps; ++sweep) Sweep(k);
  }

  void Trial(double signal) {
    if (signal > 0) {
      FitLowRank(signal, {.alternations = 1, .weighted = false});
      Subtract(signal);
    }
    RoundDowndated(rank() - signal, 0);
    FitLowRank(rank() - signal, {.subspace_rounds = 1, .alternations = 1});
  }

  void SplitRank() {
    TopEigenvectors(rank());
    int signal = settings_.rank / 2 / 8 * 8;
    int chosen = signal;
    Trial(signal);
    for (int trial = 1; trial < trials_ && signal > 0; ++trial) {
      chosen = signal;
      signal = signal / 2 / 8 * 8;
      Trial(signal);
    }
    final_ = true;
    const int iterations = IterationsOr(kSplitIterations);
    for (int iteration = 0; iteration < iterations; ++iteration) {
      RoundDowndated(rank() - chosen, trellis_ ? kTrellisSweeps : kLatticeSweeps);
      FitLowRank(rank() - chosen, {});
      Measure();
    }
  }

  void Alternate() {
    final_ = true;
    FitLowRank(rank(), {});
    const int iterations = IterationsOr(trellis_ ? kTrellisAlternations : kLatticeAlternations);
    for (int iteration = 0; iteration < iterations; ++iteration) {
      Subtract(rank());
      RoundDowndated(rank(), trellis_ ? kTrellisSweeps : kLatticeSweeps);
      FitLowRank(rank(), {.subspace_rounds = kWarmSubspaceRounds, .alternations = 1});
      Measure();
    }
  }

  void Published() {
    const int iterations = settings_.rank == 0 ? 1 : IterationsOr(kPublishedIterations);
    const bool downdates =
        settings_.rank > 0 && std::min(settings_.l_bits, settings_.r_bits) == kDowndateBits;
    for (int iteration = 0; iteration < iterations; ++iteration) {
      if (settings_.rank > 0) {
        FitLowRank(rank(), {.alternations = kPublishedInnerIterations, .feedback = false});
        Subtract(rank());
        if (iteration > 0) Measure();
      }
      if (downdates) {
        Downdate(rank());
        AddReplicated(2 * n_ * n_ * rank());
      }
      Ldlq();
      for (int sweep = 0; sweep < kPublishedSweeps; ++sweep) Sweep(0);
      Measure();
    }
  }

  const double m_;
  const double n_;
  const double block_rows_;
  const DecompositionSettings& settings_;
  const int trials_;
  const bool trellis_;
  bool final_ = false;  // the iterate at work is coded with the job's codebook
  DecompositionWork work_;
};

// The tiles of the lower triangle that HessianAccumulator adds to, in elements.
double TileElements(std::int64_t n) {
  constexpr std::int64_t kTile = 256;
  std::int64_t elements = 0;
  for (std::int64_t row = 0; row < n; row += kTile) {
    const std::int64_t end = std::min(n, row + kTile);
    elements += (end - row) * end;
  }
  return static_cast<double>(elements);
}

// Of one window in one layer: blocks of queries against all keys up to them, in and out of the
// softmax.
double Scores(const ModelConfig& config, std::int64_t seq_len) {
  constexpr std::int64_t kQueryBlock = 128;
  std::int64_t scores = 0;
  for (std::int64_t first = 0; first < seq_len; first += kQueryBlock) {
    const std::int64_t end = std::min(seq_len, first + kQueryBlock);
    const std::int64_t from =
        std::max<std::int64_t>(0, first + 1 - config.sliding_window.value_or(seq_len + first));
    scores += (end - first) * (end - from);
  }
  return static_cast<double>(scores * config.num_attention_heads);
}

}  // namespace

DecompositionWork ExpectedDecomposition(const MatrixShape& shape,
                                        const DecompositionSettings& settings, int trials) {
  return Account(shape, settings, trials).Run();
}

CalibrationWork ExpectedCalibration(const ModelConfig& config, const JobSettings& settings) {
  double weights = 0;
  double outputs = 0;
  for (int p = 0; p < kProjectionCount; ++p) {
    const MatrixShape shape = ShapeOf(config, static_cast<Projection>(p));
    weights += static_cast<double>(shape.rows) * static_cast<double>(shape.columns);
    outputs += static_cast<double>(shape.rows);
  }
  double tiles = 0;
  for (int k = 0; k < kHessianKindCount; ++k) {
    tiles += TileElements(HessianSize(config, static_cast<HessianKind>(k)));
  }
  const double windows =
      static_cast<double>(settings.samples) * static_cast<double>(config.num_hidden_layers);
  const double tokens = windows * settings.seq_len;
  const double scores = Scores(config, settings.seq_len);
  CalibrationWork work;
  work.forward_flops =
      2 * tokens * weights + 4 * windows * scores * static_cast<double>(config.head_dim);
  work.hessian_flops = 2 * tokens * tiles;
  work.activations = tokens * outputs + windows * scores;
  return work;
}

double PreparationFlops(std::int64_t n) {
  const auto size = static_cast<double>(n);
  return size * size * size / 3;
}

double ExpectedFlops(const ModelConfig& config, const JobSettings& settings) {
  double layer = 0;
  for (int k = 0; k < kHessianKindCount; ++k) {
    layer += PreparationFlops(HessianSize(config, static_cast<HessianKind>(k)));
  }
  for (int p = 0; p < kProjectionCount; ++p) {
    const MatrixShape shape = ShapeOf(config, static_cast<Projection>(p));
    layer += ExpectedDecomposition(shape, settings.decomposition).flops;
  }
  const CalibrationWork calibration = ExpectedCalibration(config, settings);
  return calibration.forward_flops + calibration.hessian_flops +
         static_cast<double>(config.num_hidden_layers) * layer;
}

}  // namespace caldera::model
