#include "numerics/kernels/hadamard.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "numerics/kernels/hadamard.cc"
#include <hwy/aligned_allocator.h>
#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace caldera::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr std::size_t kMaxBlock = 1024;
// Columns that HadamardAcrossRows moves through the cache at a time.
constexpr std::size_t kPanel = 64;

// At most 16 lanes: the in-register butterflies below know strides 1 to 8.
using Floats = hn::CappedTag<float, 16>;
using Vector = hn::Vec<Floats>;

#if HWY_TARGET != HWY_SCALAR
// v with lanes whose index has bit `kHalf` exchanged with those that do not.
template <std::size_t kHalf>
HWY_INLINE Vector Swap(Floats d, Vector v) {
  if constexpr (kHalf == 1) {
    (void)d;
    return hn::Shuffle2301(v);
  } else if constexpr (kHalf == 2) {
    (void)d;
    return hn::Shuffle1032(v);
  } else if constexpr (2 * kHalf == HWY_MAX_BYTES / sizeof(float) || kHalf == 8) {
    return hn::ConcatLowerUpper(d, v, v);
  } else {
    (void)d;
    return hn::SwapAdjacentBlocks(v);
  }
}

// a + b where the lane's bit `kHalf` is 0, a - b where it is 1.
template <std::size_t kHalf>
HWY_INLINE Vector Butterfly(Floats d, Vector v) {
  const hn::RebindToSigned<Floats> di;
  const auto bit = hn::Set(di, static_cast<std::int32_t>(kHalf));
  const auto upper = hn::RebindMask(d, hn::Eq(hn::And(hn::Iota(di, 0), bit), bit));
  const Vector other = Swap<kHalf>(d, v);
  return hn::Add(other, hn::IfThenElse(upper, hn::Neg(v), v));
}
#endif

// The butterflies within one register, up to blocks of `block` lanes.
HWY_INLINE Vector InRegister([[maybe_unused]] Floats d, Vector v,
                             [[maybe_unused]] std::size_t block) {
#if HWY_TARGET != HWY_SCALAR
  if (block > 1) v = Butterfly<1>(d, v);
  if (block > 2) v = Butterfly<2>(d, v);
#endif
#if HWY_MAX_BYTES >= 32
  if (block > 4) v = Butterfly<4>(d, v);
#endif
#if HWY_MAX_BYTES >= 64
  if (block > 8) v = Butterfly<8>(d, v);
#endif
  return v;
}

// Butterflies between runs of `run` values: x[0 .. run) and x[run .. 2 run). run is a multiple of
// Lanes.
HWY_INLINE void BetweenRuns(Floats d, float* HWY_RESTRICT x, std::size_t run) {
  const std::size_t lanes = hn::Lanes(d);
  for (std::size_t i = 0; i < run; i += lanes) {
    const Vector a = hn::LoadU(d, x + i);
    const Vector b = hn::LoadU(d, x + run + i);
    hn::StoreU(hn::Add(a, b), d, x + i);
    hn::StoreU(hn::Sub(a, b), d, x + run + i);
  }
}

HWY_INLINE void Multiply(Floats d, const float* by, std::size_t count, float* x) {
  if (by == nullptr) return;
  for (std::size_t i = 0; i < count; i += hn::Lanes(d)) {
    hn::StoreU(hn::Mul(hn::LoadU(d, x + i), hn::LoadU(d, by + i)), d, x + i);
  }
}

// Butterflies of the consecutive blocks in x[0 .. count), scaled; count is a multiple of block and
// of Lanes.
void TransformRun(float* HWY_RESTRICT x, std::size_t count, std::size_t block) {
  const Floats d;
  const std::size_t lanes = hn::Lanes(d);
  const Vector scale = hn::Set(d, 1.0F / std::sqrt(static_cast<float>(block)));
  for (std::size_t i = 0; i < count; i += lanes) {
    hn::StoreU(InRegister(d, hn::LoadU(d, x + i), block), d, x + i);
  }
  for (std::size_t run = lanes; run < block; run *= 2) {
    for (std::size_t i = 0; i < count; i += 2 * run) BetweenRuns(d, x + i, run);
  }
  for (std::size_t i = 0; i < count; i += lanes) {
    hn::StoreU(hn::Mul(hn::LoadU(d, x + i), scale), d, x + i);
  }
}

// One piece of a row, at most kMaxBlock values; signs may be null.
void TransformPiece(float* HWY_RESTRICT x, std::size_t count, std::size_t block, const float* signs,
                    Direction direction) {
  const Floats d;
  if (direction == Direction::kForward) Multiply(d, signs, count, x);
  TransformRun(x, count, block);
  if (direction == Direction::kInverse) Multiply(d, signs, count, x);
}

// Lengths that are no multiple of a register go through padded copies.
void TransformTail(float* x, std::size_t count, std::size_t block, const float* signs,
                   Direction direction) {
  HWY_ALIGN float padded[16] = {};
  HWY_ALIGN float padded_signs[16] = {};
  std::memcpy(padded, x, count * sizeof(float));
  if (signs != nullptr) std::memcpy(padded_signs, signs, count * sizeof(float));
  TransformPiece(padded, hn::Lanes(Floats()), block, signs == nullptr ? nullptr : padded_signs,
                 direction);
  std::memcpy(x, padded, count * sizeof(float));
}

void AlongRows(RowWindow window, std::size_t block, const float* signs, Direction direction) {
  const std::size_t lanes = hn::Lanes(Floats());
  for (std::size_t i = 0; i < window.rows; ++i) {
    float* row = window.data + i * window.stride;
    for (std::size_t j = 0; j < window.columns;) {
      const float* piece_signs = signs == nullptr ? nullptr : signs + j;
      std::size_t count = std::min(kMaxBlock, window.columns - j);
      if (count < lanes) {
        TransformTail(row + j, count, block, piece_signs, direction);
      } else {
        count -= count % std::max(lanes, block);
        TransformPiece(row + j, count, block, piece_signs, direction);
      }
      j += count;
    }
  }
}

// x (kPanel wide) <- scale * x, row i also times signs[i] where there are signs.
void ScaleRows(float* HWY_RESTRICT x, std::size_t rows, float scale, const float* signs) {
  const Floats d;
  for (std::size_t i = 0; i < rows; ++i) {
    const Vector factor = hn::Set(d, signs == nullptr ? scale : scale * signs[i]);
    float* row = x + i * kPanel;
    for (std::size_t j = 0; j < kPanel; j += hn::Lanes(d)) {
      hn::StoreU(hn::Mul(hn::LoadU(d, row + j), factor), d, row + j);
    }
  }
}

// One block of rows of a panel in a contiguous buffer of rows of kPanel values.
void TransformPanel(float* HWY_RESTRICT x, std::size_t block, const float* signs,
                    Direction direction) {
  const Floats d;
  if (direction == Direction::kForward && signs != nullptr) ScaleRows(x, block, 1.0F, signs);
  for (std::size_t half = 1; half < block; half *= 2) {
    for (std::size_t i = 0; i < block; i += 2 * half) BetweenRuns(d, x + i * kPanel, half * kPanel);
  }
  ScaleRows(x, block, 1.0F / std::sqrt(static_cast<float>(block)),
            direction == Direction::kInverse ? signs : nullptr);
}

void AcrossRows(RowWindow window, std::size_t block, const float* signs, Direction direction) {
  const auto storage = hwy::AllocateAligned<float>(block * kPanel);
  float* buffer = storage.get();
  for (std::size_t i = 0; i < window.rows; i += block) {
    for (std::size_t j = 0; j < window.columns; j += kPanel) {
      const std::size_t bytes = std::min(kPanel, window.columns - j) * sizeof(float);
      float* corner = window.data + i * window.stride + j;
      for (std::size_t k = 0; k < block; ++k) {
        std::memcpy(buffer + k * kPanel, corner + k * window.stride, bytes);
      }
      TransformPanel(buffer, block, signs == nullptr ? nullptr : signs + i, direction);
      for (std::size_t k = 0; k < block; ++k) {
        std::memcpy(corner + k * window.stride, buffer + k * kPanel, bytes);
      }
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace caldera::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace caldera::kernels {

HWY_EXPORT(AlongRows);
HWY_EXPORT(AcrossRows);

std::int64_t HadamardBlock(std::int64_t size) {
  std::int64_t block = 1;
  while (block < 128 && size % (2 * block) == 0) block *= 2;
  return block;
}

void HadamardAlongRows(RowWindow window, std::size_t block, const float* signs,
                       Direction direction) {
  assert(block > 0 && window.columns % block == 0);
  HWY_DYNAMIC_DISPATCH(AlongRows)(window, block, signs, direction);
}

void HadamardAcrossRows(RowWindow window, std::size_t block, const float* signs,
                        Direction direction) {
  assert(block > 0 && window.rows % block == 0);
  HWY_DYNAMIC_DISPATCH(AcrossRows)(window, block, signs, direction);
}

}  // namespace caldera::kernels
#endif  // HWY_ONCE
