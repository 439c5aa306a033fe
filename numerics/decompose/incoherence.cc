#include "numerics/decompose/incoherence.h"

#include <algorithm>

#include "numerics/kernels/parallel.h"
#include "numerics/linalg/blas.h"
#include "numerics/linalg/random.h"

namespace caldera::decompose {
namespace {

constexpr std::int64_t kRowsPerTask = 64;

kernels::RowWindow WindowOf(linalg::ViewF view) {
  return {view.data, static_cast<std::size_t>(view.rows), static_cast<std::size_t>(view.columns),
          static_cast<std::size_t>(view.stride)};
}

}  // namespace

Rotation MakeRotation(std::int64_t size, std::uint64_t seed, Side side) {
  Rotation rotation{kernels::HadamardBlock(size),
                    std::vector<float>(static_cast<std::size_t>(size))};
  linalg::Random(seed, side == Side::kInput ? 1 : 2).FillSigns(rotation.signs);
  return rotation;
}

std::vector<std::uint8_t> SignBits(const Rotation& rotation) {
  std::vector<std::uint8_t> bits(rotation.signs.size());
  std::transform(rotation.signs.begin(), rotation.signs.end(), bits.begin(),
                 [](float sign) { return static_cast<std::uint8_t>(sign < 0 ? 1 : 0); });
  return bits;
}

void RotateInputs(linalg::ViewF rows, const Rotation& input, kernels::Direction direction) {
  const std::int64_t tasks = (rows.rows + kRowsPerTask - 1) / kRowsPerTask;
  kernels::ParallelFor(tasks, [&](std::int64_t task) {
    const std::int64_t first = task * kRowsPerTask;
    const linalg::ViewF part = rows.Rows(first, std::min(kRowsPerTask, rows.rows - first));
    kernels::HadamardAlongRows(WindowOf(part), static_cast<std::size_t>(input.block),
                               input.signs.data(), direction);
  });
}

void RotateOutputs(linalg::ViewF rows, const Rotation& output, std::int64_t first_row,
                   kernels::Direction direction) {
  kernels::ParallelFor(rows.rows / output.block, [&](std::int64_t task) {
    const std::int64_t first = task * output.block;
    kernels::HadamardAcrossRows(WindowOf(rows.Rows(first, output.block)),
                                static_cast<std::size_t>(output.block),
                                output.signs.data() + first_row + first, direction);
  });
}

void RotateSymmetric(linalg::ViewF hessian, const Rotation& input) {
  RotateInputs(hessian, input, kernels::Direction::kForward);
  RotateOutputs(hessian, input, 0, kernels::Direction::kForward);
  linalg::MirrorLower(hessian);
}

}  // namespace caldera::decompose
