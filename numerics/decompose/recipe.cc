#include "numerics/decompose/recipe.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "common/base/status.h"
#include "numerics/decompose/column_bits.h"
#include "numerics/decompose/downdate.h"
#include "numerics/decompose/ldlq.h"
#include "numerics/decompose/sweep.h"
#include "numerics/linalg/parallel_blas.h"

namespace caldera::decompose {
namespace {

// Constants found by measurement (docs/algorithms.md, "Recipes").
constexpr int kPlainSweeps = 3;
constexpr int kSplitIterations = 1;
constexpr Ridge kSplitRidge = {.relative = .05F, .unrepaired = .008F};
constexpr Ridge kAlternationRidge = {.relative = .05F};
constexpr int kEigenvectorRounds = 2;
constexpr int kWarmSubspaceRounds = 2;
constexpr int kLatticeFactorBits = 4;

// How often Q is rounded: what a code's encoder costs beside the products.
struct Effort {
  int alternations;
  int sweeps;  // against a downdated Hessian
};
constexpr Effort kLatticeEffort = {5, 3};
constexpr Effort kTrellisEffort = {2, 2};

class Recipe {
 public:
  Recipe(Context& context, const Problem& problem, BestIterate& best)
      : context_(context), problem_(problem), best_(best), family_(&problem.search) {}

  absl::Status Run() {
    const model::CompressedMatrixHeader& header = problem_.header;
    if (header.rank == 0) return QuantiseOnly();
    if (std::min(header.l_bits, header.r_bits).value() == kLatticeFactorBits) return SplitRank();
    return Alternate();
  }

 private:
  struct Candidate {
    LowRank signal;
    linalg::MatrixF target;  // W - signal
    linalg::MatrixF rows;    // row space of the last correction
    double error = 0;
    std::int64_t correction_rank = 0;
  };

  int IterationsOr(int fallback) const {
    return problem_.iterations > 0 ? problem_.iterations : fallback;
  }
  bool Trellis() const { return codebook().sequence() > 1; }
  const Effort& effort() const { return Trellis() ? kTrellisEffort : kLatticeEffort; }
  SweptHessian Plain() const { return {problem_.metric.hessian, {}, 0}; }

  absl::Status QuantiseOnly() {
    family_ = &problem_.family;
    CALDERA_RETURN_IF_ERROR(SetGrid(problem_.weight, problem_.metric.factor));
    Rounded q = RunLdlq(problem_.weight, problem_.metric.factor);
    CALDERA_RETURN_IF_ERROR(best_.CheckStop());
    const int sweeps = IterationsOr(Trellis() ? 0 : kPlainSweeps);
    if (sweeps == 0) return Offer(q, {});
    for (int sweep = 0; sweep < sweeps; ++sweep) {
      RunSweep(problem_.weight, Plain(), q);
      CALDERA_RETURN_IF_ERROR(Offer(q, {}));
    }
    return absl::OkStatus();
  }

  // W ~ signal + Q + correction: the signal is fitted to W before Q, the correction to what Q left,
  // with Q rounded against the Hessian that the correction will have repaired.
  absl::Status SplitRank() {
    CALDERA_ASSIGN_OR_RETURN(
        eigenvectors_, TopEigenvectors(context_, problem_.metric.hessian, problem_.header.rank,
                                       kEigenvectorRounds));
    CALDERA_ASSIGN_OR_RETURN(Candidate best, BestSplit());
    family_ = &problem_.family;
    const int iterations = IterationsOr(kSplitIterations);
    for (int iteration = 0; iteration < iterations; ++iteration) {
      CALDERA_RETURN_IF_ERROR(FreshIteration(best));
    }
    return absl::OkStatus();
  }

  // Signals of a half, a quarter, ... of the rank are tried while the error falls, unless one is
  // asked for.
  absl::StatusOr<Candidate> BestSplit() {
    if (problem_.signal_rank) return Trial(*problem_.signal_rank);
    std::int64_t signal_rank = HalfOf(problem_.header.rank);
    CALDERA_ASSIGN_OR_RETURN(Candidate best, Trial(signal_rank));
    while (signal_rank > 0) {
      signal_rank = HalfOf(signal_rank);
      CALDERA_ASSIGN_OR_RETURN(Candidate candidate, Trial(signal_rank));
      if (candidate.error >= best.error) break;
      best = std::move(candidate);
    }
    return best;
  }

  // In whole code blocks.
  static std::int64_t HalfOf(std::int64_t rank) {
    return rank / 2 / lattice::kCodeDimension * lattice::kCodeDimension;
  }

  // The cheapest iteration that tells splits apart; its error is that of the correction's fit.
  absl::StatusOr<Candidate> Trial(std::int64_t signal_rank) {
    CALDERA_ASSIGN_OR_RETURN(Candidate candidate, StartSplit(signal_rank));
    const linalg::ConstViewF target = std::as_const(candidate.target).view();
    CALDERA_ASSIGN_OR_RETURN(const Rounded q,
                             RoundDowndated(target, candidate.rows.view(), kSplitRidge, 0));
    FitOptions options = FitOptionsOf(candidate.correction_rank);
    options.subspace_rounds = 1;
    options.alternations = 1;
    const linalg::MatrixF residual = Difference(target, q.decoded.view());
    CALDERA_ASSIGN_OR_RETURN(LowRank correction,
                             FitLowRank(context_, residual.view(), problem_.metric, options));
    candidate.error = correction.squared;
    candidate.rows = std::move(correction.r.decoded);
    return candidate;
  }

  absl::StatusOr<Candidate> StartSplit(std::int64_t signal_rank) {
    Candidate candidate;
    candidate.correction_rank = problem_.header.rank - signal_rank;
    candidate.target = linalg::MatrixF(problem_.weight.rows, problem_.weight.columns);
    linalg::Copy(problem_.weight, candidate.target.view());
    if (signal_rank > 0) {
      FitOptions options = FitOptionsOf(signal_rank);
      options.alternations = 1;
      CALDERA_ASSIGN_OR_RETURN(candidate.signal,
                               FitLowRank(context_, problem_.weight, {}, options));
      Subtract(candidate.signal, candidate.target);
    }
    const auto rows = eigenvectors_.view().Rows(0, candidate.correction_rank);
    candidate.rows = linalg::MatrixF(rows.rows, rows.columns);
    linalg::Copy(linalg::ConstViewF(rows), candidate.rows.view());
    return candidate;
  }

  absl::Status FreshIteration(Candidate& candidate) {
    const linalg::ConstViewF target = std::as_const(candidate.target).view();
    CALDERA_ASSIGN_OR_RETURN(const Rounded q, RoundDowndated(target, candidate.rows.view(),
                                                             kSplitRidge, effort().sweeps));
    const linalg::MatrixF residual = Difference(target, q.decoded.view());
    CALDERA_ASSIGN_OR_RETURN(LowRank correction,
                             FitLowRank(context_, residual.view(), problem_.metric,
                                        FitOptionsOf(candidate.correction_rank)));
    std::vector<const LowRank*> parts = {&correction};
    if (candidate.signal.rank() > 0) parts.insert(parts.begin(), &candidate.signal);
    CALDERA_RETURN_IF_ERROR(Offer(q, parts));
    candidate.rows = std::move(correction.r.decoded);
    return absl::OkStatus();
  }

  // Q against the Hessian downdated by R on W - L R, then L R on W - Q, ending on L R.
  absl::Status Alternate() {
    family_ = &problem_.family;
    FitOptions options = FitOptionsOf(problem_.header.rank);
    CALDERA_ASSIGN_OR_RETURN(LowRank pair,
                             FitLowRank(context_, problem_.weight, problem_.metric, options));
    options.subspace_rounds = kWarmSubspaceRounds;
    options.alternations = 1;
    const int iterations = IterationsOr(effort().alternations);
    for (int iteration = 0; iteration < iterations; ++iteration) {
      linalg::MatrixF target(problem_.weight.rows, problem_.weight.columns);
      linalg::Copy(problem_.weight, target.view());
      Subtract(pair, target);
      CALDERA_ASSIGN_OR_RETURN(const Rounded q, RoundDowndated(target.view(), pair.r.decoded.view(),
                                                               kAlternationRidge, effort().sweeps));
      options.start = pair.l.decoded.view();
      const linalg::MatrixF rest = Difference(problem_.weight, q.decoded.view());
      CALDERA_ASSIGN_OR_RETURN(LowRank next,
                               FitLowRank(context_, rest.view(), problem_.metric, options));
      pair = std::move(next);
      CALDERA_RETURN_IF_ERROR(Offer(q, {&pair}));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<Rounded> RoundDowndated(linalg::ConstViewF target, linalg::ConstViewF rows,
                                         Ridge ridge, int sweeps) {
    CALDERA_RETURN_IF_ERROR(best_.CheckStop());
    CALDERA_ASSIGN_OR_RETURN(const DowndatedHessian downdated,
                             Downdate(context_, problem_.metric.hessian, rows, ridge));
    CALDERA_RETURN_IF_ERROR(SetGrid(target, downdated.factor.view()));
    Rounded q = RunLdlq(target, downdated.factor.view());
    CALDERA_RETURN_IF_ERROR(best_.CheckStop());
    for (int sweep = 0; sweep < sweeps; ++sweep) {
      RunSweep(target, downdated.Swept(problem_.metric.hessian), q);
      CALDERA_RETURN_IF_ERROR(best_.CheckStop());
    }
    return q;
  }

  FitOptions FitOptionsOf(std::int64_t rank) const {
    FitOptions options;
    options.rank = rank;
    options.l_bits = problem_.header.l_bits;
    options.r_bits = problem_.header.r_bits;
    options.alternations = 2;
    return options;
  }

  const lattice::Codebook& codebook() const { return family_->Of(problem_.header.q_bits.value()); }

  // The grid of Q for this target and the factor it is rounded against: one scale for each group of
  // 64 rows, and the columns' bits where they differ. Groups do not cross ranks, whose blocks of
  // rows are multiples of 64.
  absl::Status SetGrid(linalg::ConstViewF target, linalg::ConstViewF factor) {
    scales_ = ScalesOfGroups(target, codebook());
    if (problem_.header.mixed()) SetColumns(factor);
    return best_.CheckStop();
  }

  void SetColumns(linalg::ConstViewF factor) {
    const int base = problem_.header.q_bits.value();
    column_bits_ = ChooseColumnBits(factor, *family_, problem_.header.extra_bytes());
    columns_.clear();
    for (const int bits : column_bits_) {
      columns_.push_back({&family_->Of(bits), family_->RelativeScale(bits, base)});
    }
  }

  RowGrid Grid() const { return {&codebook(), scales_.rows, columns_}; }

  Rounded RunLdlq(linalg::ConstViewF target, linalg::ConstViewF factor) {
    const StepTimer timer(context_.seconds, Step::kLdlq);
    context_.flops += LdlqFlops(target.rows, target.columns);
    return Ldlq(target, factor, Grid(), context_.blocks());
  }

  void RunSweep(linalg::ConstViewF target, const SweptHessian& hessian, Rounded& q) {
    const StepTimer timer(context_.seconds, Step::kSweep);
    context_.flops += SweepFlops(target.rows, hessian);
    Sweep(target, hessian, Grid(), context_.blocks(), q);
  }

  // rows -= L R.
  void Subtract(const LowRank& pair, linalg::MatrixF& rows) {
    linalg::GemmByRows(pair.l.decoded, pair.r.decoded, rows.view(), linalg::kSubtractFrom,
                       context_.block_rows());
    context_.flops += 2.0 * static_cast<double>(rows.rows()) * static_cast<double>(rows.columns()) *
                      static_cast<double>(pair.rank());
  }

  absl::Status Offer(const Rounded& q, const std::vector<const LowRank*>& parts) {
    return best_.Offer(
        MakeIterate({scales_.groups, q.codes, column_bits_}, parts, problem_.header));
  }

  Context& context_;
  const Problem& problem_;
  BestIterate& best_;
  const lattice::CodebookFamily* family_;  // of the iterate at work
  // Row spaces of subspace iteration are nested: the first k rows nearly span the top k.
  linalg::MatrixF eigenvectors_;
  GroupScales scales_;                     // of the local rows
  std::vector<std::uint8_t> column_bits_;  // empty where all columns have the header's
  std::vector<ColumnCode> columns_;
};

}  // namespace

absl::Status BestIterate::Offer(Iterate iterate) {
  CALDERA_RETURN_IF_ERROR(CheckStop());
  CALDERA_ASSIGN_OR_RETURN(const double error, measure_(iterate));
  curve_.push_back(error);
  if (index_ == 0 || error < this->error()) {
    index_ = static_cast<int>(curve_.size());
    iterate_ = std::move(iterate);
  }
  return absl::OkStatus();
}

absl::Status RunRecipe(Context& context, const Problem& problem, BestIterate& best) {
  return Recipe(context, problem, best).Run();
}

}  // namespace caldera::decompose
