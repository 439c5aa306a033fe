#include "numerics/kernels/panel.h"

#include <hwy/cache_control.h>

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "numerics/kernels/panel.cc"
#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace caldera::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr std::size_t kTile = 4;
constexpr std::size_t kLine = 16;   // values of a cache line
constexpr std::size_t kStrip = 64;  // whole lines, so that the prefetcher sees a run

#if HWY_TARGET == HWY_SCALAR
HWY_INLINE void TransposeTile(const float* HWY_RESTRICT from, std::size_t from_stride,
                              float* HWY_RESTRICT to, std::size_t to_stride) {
  for (std::size_t i = 0; i < kTile; ++i) {
    for (std::size_t j = 0; j < kTile; ++j) to[j * to_stride + i] = from[i * from_stride + j];
  }
}
#else
HWY_INLINE void TransposeTile(const float* HWY_RESTRICT from, std::size_t from_stride,
                              float* HWY_RESTRICT to, std::size_t to_stride) {
  const hn::FixedTag<float, kTile> d;
  const auto a = hn::LoadU(d, from);
  const auto b = hn::LoadU(d, from + from_stride);
  const auto c = hn::LoadU(d, from + 2 * from_stride);
  const auto e = hn::LoadU(d, from + 3 * from_stride);
  const auto ac_low = hn::InterleaveLower(d, a, c);
  const auto ac_high = hn::InterleaveUpper(d, a, c);
  const auto be_low = hn::InterleaveLower(d, b, e);
  const auto be_high = hn::InterleaveUpper(d, b, e);
  hn::StoreU(hn::InterleaveLower(d, ac_low, be_low), d, to);
  hn::StoreU(hn::InterleaveUpper(d, ac_low, be_low), d, to + to_stride);
  hn::StoreU(hn::InterleaveLower(d, ac_high, be_high), d, to + 2 * to_stride);
  hn::StoreU(hn::InterleaveUpper(d, ac_high, be_high), d, to + 3 * to_stride);
}
#endif

// kTile rows x `columns`, and what is left of whole tiles.
HWY_INLINE void TransposeRows(ConstRows from, std::size_t columns, float* to,
                              std::size_t to_stride) {
  std::size_t j = 0;
  if (from.count == kTile) {
    for (; j + kTile <= columns; j += kTile) {
      TransposeTile(from.data + j, from.stride, to + j * to_stride, to_stride);
    }
  }
  for (; j < columns; ++j) {
    for (std::size_t i = 0; i < from.count; ++i) {
      to[j * to_stride + i] = from.data[i * from.stride + j];
    }
  }
}

HWY_INLINE void PrefetchRows(ConstRows rows, std::size_t columns) {
  for (std::size_t i = 0; i < rows.count; ++i) {
    for (std::size_t j = 0; j < columns; j += kLine) hwy::Prefetch(rows.data + i * rows.stride + j);
  }
}

// At most kStrip rows and columns. Lines of the side with the longer stride, which may all fall
// into one set of the cache, are finished four rows at a time.
HWY_INLINE void TransposeStrip(ConstRows from, std::size_t columns, float* to,
                               std::size_t to_stride) {
  const auto rows_at = [&](std::size_t i) {
    return ConstRows{from.data + i * from.stride, std::min(kTile, from.count - i), from.stride};
  };
  if (from.stride >= to_stride) {
    for (std::size_t i = 0; i < from.count; i += kTile) {
      if (i + kTile < from.count) PrefetchRows(rows_at(i + kTile), columns);
      TransposeRows(rows_at(i), columns, to + i, to_stride);
    }
    return;
  }
  for (std::size_t j = 0; j < columns; j += kTile) {
    for (std::size_t i = 0; i < from.count; i += kTile) {
      ConstRows rows = rows_at(i);
      rows.data += j;
      TransposeRows(rows, std::min(kTile, columns - j), to + j * to_stride + i, to_stride);
    }
  }
}

void TransposePanel(ConstRows from, std::size_t columns, float* to, std::size_t to_stride) {
  for (std::size_t i = 0; i < from.count; i += kStrip) {
    for (std::size_t j = 0; j < columns; j += kStrip) {
      TransposeStrip(
          {from.data + i * from.stride + j, std::min(kStrip, from.count - i), from.stride},
          std::min(kStrip, columns - j), to + j * to_stride + i, to_stride);
    }
  }
}

template <class D>
HWY_INLINE void AddRowsOnce(D d, const float* HWY_RESTRICT weights, const ConstRows& rows,
                            std::size_t at, float* HWY_RESTRICT sum) {
  auto total = hn::LoadU(d, sum + at);
  const float* row = rows.data + at;
  for (std::size_t j = 0; j < rows.count; ++j, row += rows.stride) {
    total = hn::MulAdd(hn::Set(d, weights[j]), hn::LoadU(d, row), total);
  }
  hn::StoreU(total, d, sum + at);
}

template <class D>
HWY_INLINE void AddRowsFourTimes(D d, const float* HWY_RESTRICT weights, const ConstRows& rows,
                                 std::size_t at, float* HWY_RESTRICT sum) {
  const std::size_t lanes = hn::Lanes(d);
  float* const to = sum + at;
  auto first = hn::LoadU(d, to);
  auto second = hn::LoadU(d, to + lanes);
  auto third = hn::LoadU(d, to + 2 * lanes);
  auto fourth = hn::LoadU(d, to + 3 * lanes);
  const float* row = rows.data + at;
  for (std::size_t j = 0; j < rows.count; ++j, row += rows.stride) {
    const auto weight = hn::Set(d, weights[j]);
    first = hn::MulAdd(weight, hn::LoadU(d, row), first);
    second = hn::MulAdd(weight, hn::LoadU(d, row + lanes), second);
    third = hn::MulAdd(weight, hn::LoadU(d, row + 2 * lanes), third);
    fourth = hn::MulAdd(weight, hn::LoadU(d, row + 3 * lanes), fourth);
  }
  hn::StoreU(first, d, to);
  hn::StoreU(second, d, to + lanes);
  hn::StoreU(third, d, to + 2 * lanes);
  hn::StoreU(fourth, d, to + 3 * lanes);
}

void AddRows(const float* weights, ConstRows rows, float* sum, std::size_t length) {
  const hn::ScalableTag<float> whole;
  const std::size_t lanes = hn::Lanes(whole);
  std::size_t at = 0;
  for (; at + 4 * lanes <= length; at += 4 * lanes) {
    AddRowsFourTimes(whole, weights, rows, at, sum);
  }
  for (; at + lanes <= length; at += lanes) AddRowsOnce(whole, weights, rows, at, sum);
  const hn::CappedTag<float, kTile> part;
  for (; at + hn::Lanes(part) <= length; at += hn::Lanes(part)) {
    AddRowsOnce(part, weights, rows, at, sum);
  }
  for (; at < length; ++at) AddRowsOnce(hn::CappedTag<float, 1>(), weights, rows, at, sum);
}

}  // namespace HWY_NAMESPACE
}  // namespace caldera::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace caldera::kernels {

HWY_EXPORT(TransposePanel);
HWY_EXPORT(AddRows);

void Transpose(ConstRows from, std::size_t columns, float* to, std::size_t to_stride) {
  HWY_DYNAMIC_DISPATCH(TransposePanel)(from, columns, to, to_stride);
}
void AddWeightedRows(const float* weights, ConstRows rows, float* sum, std::size_t length) {
  HWY_DYNAMIC_DISPATCH(AddRows)(weights, rows, sum, length);
}

}  // namespace caldera::kernels
#endif  // HWY_ONCE
