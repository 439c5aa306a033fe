#include "worker/matrix_inputs.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "common/base/status.h"
#include "numerics/dist/shared_matrix.h"
#include "worker/hessian_object.h"
#include "worker/rank_group.h"

namespace caldera::worker {
namespace {

using HessianRefs = std::vector<const v1::HessianRef*>;

// Rank 0: the sum of the partials over their tokens.
absl::StatusOr<linalg::MatrixF> ReadMean(ObjectIo& objects, const HessianRefs& refs) {
  std::vector<decompose::HessianSum> partials;
  for (const v1::HessianRef* ref : refs) {
    CALDERA_ASSIGN_OR_RETURN(auto bytes, objects.Read(ref->object()));
    const std::string name =
        fmt::format("Hessian {} of layer {} range {}", ref->kind(), ref->layer(), ref->range());
    CALDERA_ASSIGN_OR_RETURN(auto partial, DecodeHessian(std::move(bytes), name));
    partials.push_back(std::move(partial));
  }
  return decompose::MeanHessian(partials);
}

}  // namespace

std::vector<Unit> UnitsOf(const model::ModelConfig& config, int layer, model::HessianKind kind) {
  std::vector<Unit> units;
  for (int p = 0; p < model::kProjectionCount; ++p) {
    const auto projection = static_cast<model::Projection>(p);
    if (model::HessianOf(projection) != kind) continue;
    units.push_back({layer, projection, model::ShapeOf(config, projection)});
  }
  return units;
}

absl::StatusOr<decompose::PreparedHessian> LoadHessian(
    TaskContext& context, const google::protobuf::RepeatedPtrField<v1::HessianRef>& refs, int layer,
    model::HessianKind kind) {
  const std::string name = model::HessianKindName(kind);
  HessianRefs wanted;
  for (const v1::HessianRef& ref : refs) {
    if (ref.layer() == layer && ref.kind() == name) wanted.push_back(&ref);
  }
  std::sort(wanted.begin(), wanted.end(),
            [](const auto* a, const auto* b) { return a->range() < b->range(); });
  absl::StatusOr<linalg::MatrixF> mean = linalg::MatrixF();
  if (context.leader != nullptr) mean = ReadMean(context.leader->objects, wanted);
  CALDERA_RETURN_IF_ERROR(AgreeOnStatus(mean.status(), context.ranks));
  const std::uint64_t seed =
      SeedFor(context.lease.spec().decomposition().seed(), fmt::format("layer {} {}", layer, name));
  return decompose::PrepareHessian(dist::SharedMatrix::FromRoot(*mean, context.ranks), seed,
                                   context.ranks, InterruptOf(context));
}

absl::Status CheckUnchanged(const JobInputs& inputs, const Unit& unit,
                            const google::protobuf::RepeatedPtrField<v1::HessianRef>& refs) {
  const std::optional<std::uint32_t> now = inputs.digests().DigestOf(unit.weight());
  for (const v1::HessianRef& ref : refs) {
    if (ref.layer() != unit.layer) continue;
    for (const v1::WeightDigest& digest : ref.weights()) {
      if (digest.projection() != unit.path() || digest.crc32c() == now) continue;
      return base::DataLoss(
          "{}: {} is not what calibration range {} read: the model was changed under the job. Put "
          "it back and resume the job, or submit it again",
          inputs.model().tensors->name(), unit.weight(), ref.range());
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<decompose::DecomposeOptions> OptionsOf(TaskContext& context, const Unit& unit,
                                                      double q_bits) {
  const v1::Decomposition& spec = context.lease.spec().decomposition();
  decompose::DecomposeOptions options;
  CALDERA_ASSIGN_OR_RETURN(options.recipe, model::ParseRecipe(spec.recipe()));
  CALDERA_ASSIGN_OR_RETURN(options.codebook, model::ParseCodebook(spec.codebook()));
  options.q_bits = q_bits != 0 ? q_bits : spec.q_bits();
  options.rank = spec.rank();
  options.l_bits = base::Bits(spec.l_bits());
  options.r_bits = base::Bits(spec.r_bits());
  options.iterations = spec.iterations();
  options.output_seed = SeedFor(spec.seed(), unit.weight());
  options.interrupt = InterruptOf(context);
  return options;
}

}  // namespace caldera::worker
