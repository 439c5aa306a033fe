#include "numerics/kernels/rounded_add.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "numerics/kernels/rounded_add.cc"
#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace caldera::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Doubles = hn::ScalableTag<double>;
using Vector = hn::Vec<Doubles>;

HWY_INLINE Vector LoadWide(const float* x) {
  return hn::PromoteTo(Doubles(), hn::LoadU(hn::Rebind<float, Doubles>(), x));
}
HWY_INLINE Vector LoadWide(const double* x) { return hn::LoadU(Doubles(), x); }

template <typename T>
HWY_INLINE void AddAll(const T* HWY_RESTRICT x, std::size_t count, double shift,
                       double* HWY_RESTRICT sums) {
  const Doubles d;
  const std::size_t lanes = hn::Lanes(d);
  const Vector by = hn::Set(d, shift);
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const Vector rounded = hn::Sub(hn::Add(LoadWide(x + i), by), by);
    hn::StoreU(hn::Add(hn::LoadU(d, sums + i), rounded), d, sums + i);
  }
  for (; i < count; ++i) {
    const double shifted = static_cast<double>(x[i]) + shift;
    sums[i] += shifted - shift;
  }
}

void AddFloats(const float* x, std::size_t count, double shift, double* sums) {
  AddAll(x, count, shift, sums);
}
void AddDoubles(const double* x, std::size_t count, double shift, double* sums) {
  AddAll(x, count, shift, sums);
}

}  // namespace HWY_NAMESPACE
}  // namespace caldera::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace caldera::kernels {

HWY_EXPORT(AddFloats);
HWY_EXPORT(AddDoubles);

void AddRounded(const float* x, std::size_t count, double shift, double* sums) {
  HWY_DYNAMIC_DISPATCH(AddFloats)(x, count, shift, sums);
}
void AddRounded(const double* x, std::size_t count, double shift, double* sums) {
  HWY_DYNAMIC_DISPATCH(AddDoubles)(x, count, shift, sums);
}

}  // namespace caldera::kernels
#endif  // HWY_ONCE
