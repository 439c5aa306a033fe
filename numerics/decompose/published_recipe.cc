#include "numerics/decompose/published_recipe.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "common/base/status.h"
#include "numerics/decompose/block_ldlq.h"
#include "numerics/decompose/downdate.h"
#include "numerics/dist/tall_matrix.h"
#include "numerics/linalg/parallel_blas.h"

namespace caldera::decompose {
namespace {

constexpr int kOuterIterations = 15;
constexpr int kInnerIterations = 10;
constexpr int kSweeps = 10;
constexpr float kDelta = .005F;
constexpr int kDowndateBits = 16;

class PublishedRecipe {
 public:
  PublishedRecipe(Context& context, const Problem& problem, BestIterate& best)
      : context_(context),
        problem_(problem),
        best_(best),
        grid_{&problem.family.Of(problem.header.q_bits.value()), 0} {}

  absl::Status Run() {
    linalg::MatrixF target(problem_.weight.rows, problem_.weight.columns);
    linalg::Copy(problem_.weight, target.view());
    if (problem_.header.rank == 0) return RoundAndOffer(target.view(), {});
    linalg::MatrixF rest = target;
    const int iterations = problem_.iterations > 0 ? problem_.iterations : kOuterIterations;
    for (int iteration = 0; iteration < iterations; ++iteration) {
      CALDERA_ASSIGN_OR_RETURN(const LowRank pair, FitLowRank(context_, std::as_const(rest).view(),
                                                              problem_.metric, Options()));
      linalg::Copy(problem_.weight, target.view());
      linalg::GemmByRows(pair.l.decoded, pair.r.decoded, target.view(), linalg::kSubtractFrom,
                         context_.block_rows());
      if (iteration > 0) CALDERA_RETURN_IF_ERROR(Offer({&pair}));
      CALDERA_RETURN_IF_ERROR(RoundAndOffer(target.view(), {&pair}));
      rest = Difference(problem_.weight, std::as_const(q_.decoded).view());
    }
    return absl::OkStatus();
  }

 private:
  FitOptions Options() const {
    FitOptions options;
    options.rank = problem_.header.rank;
    options.l_bits = problem_.header.l_bits;
    options.r_bits = problem_.header.r_bits;
    options.alternations = kInnerIterations;
    options.rounding = FactorRounding::kPlain;
    return options;
  }

  bool Downdates(const std::vector<const LowRank*>& parts) const {
    return !parts.empty() &&
           std::min(problem_.header.l_bits, problem_.header.r_bits).value() == kDowndateBits;
  }

  absl::Status RoundAndOffer(linalg::ConstViewF target, const std::vector<const LowRank*>& parts) {
    CALDERA_RETURN_IF_ERROR(best_.CheckStop());
    SetScale(target);
    if (Downdates(parts)) {
      CALDERA_ASSIGN_OR_RETURN(const DowndatedHessian downdated,
                               Downdate(context_, problem_.metric.hessian,
                                        parts.front()->r.decoded.view(), {.absolute = kDelta}));
      const linalg::MatrixF hessian = Formed(downdated);
      CALDERA_RETURN_IF_ERROR(Round(target, {hessian.view(), downdated.factor.view()}));
    } else {
      CALDERA_RETURN_IF_ERROR(Round(target, problem_.metric));
    }
    return Offer(parts);
  }

  absl::Status Offer(const std::vector<const LowRank*>& parts) {
    const std::int64_t rows = q_.decoded.rows();
    const std::vector<float> scales(
        static_cast<std::size_t>((rows + model::kScaleRows - 1) / model::kScaleRows), grid_.scale);
    return best_.Offer(MakeIterate({scales, q_.codes, {}}, parts, problem_.header));
  }

  absl::Status Round(linalg::ConstViewF target, const Metric& metric) {
    RunLdlq(target, metric.factor);
    for (int sweep = 0; sweep < kSweeps; ++sweep) {
      CALDERA_RETURN_IF_ERROR(best_.CheckStop());
      RunSweep(target, metric.hessian);
    }
    return best_.CheckStop();
  }

  void RunLdlq(linalg::ConstViewF target, linalg::ConstViewF factor) {
    const StepTimer timer(context_.seconds, Step::kLdlq);
    q_ = BlockLdlq(target, factor, grid_, context_.blocks());
    context_.flops += LdlqFlops(target.rows, target.columns);
  }

  void RunSweep(linalg::ConstViewF target, linalg::ConstViewF hessian) {
    const StepTimer timer(context_.seconds, Step::kSweep);
    BlockSweep(target, hessian, grid_, context_.blocks(), q_);
    context_.flops += SweepFlops(target.rows, {hessian, {}, 0});
  }

  // H - B B^T + delta I.
  linalg::MatrixF Formed(const DowndatedHessian& downdated) {
    const linalg::ConstViewF plain = problem_.metric.hessian;
    linalg::MatrixF hessian(plain.rows, plain.columns);
    linalg::Copy(plain, hessian.view());
    linalg::GemmByRows(downdated.basis, linalg::Transposed(downdated.basis.view()), hessian.view(),
                       linalg::kSubtractFrom);
    context_.flops += 2.0 * static_cast<double>(plain.rows) * static_cast<double>(plain.rows) *
                      static_cast<double>(downdated.basis.columns());
    for (std::int64_t k = 0; k < hessian.rows(); ++k) hessian(k, k) += downdated.delta;
    return hessian;
  }

  // One scale for all rows of all ranks.
  void SetScale(linalg::ConstViewF target) {
    const double squares = dist::Dot(target, target, context_.partition, context_.communicator);
    const double count =
        static_cast<double>(context_.partition.rows()) * static_cast<double>(target.columns);
    const double rms = count > 0 ? std::sqrt(squares / count) : 0;
    grid_.scale = static_cast<float>(rms / grid_.codebook->input_rms());
  }

  Context& context_;
  const Problem& problem_;
  BestIterate& best_;
  BlockGrid grid_;
  Rounded q_;
};

}  // namespace

absl::Status RunPublishedRecipe(Context& context, const Problem& problem, BestIterate& best) {
  return PublishedRecipe(context, problem, best).Run();
}

}  // namespace caldera::decompose
