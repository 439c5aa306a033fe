#include "numerics/kernels/large_pages.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <new>
#include <vector>

namespace caldera::kernels {
namespace {

TEST(AllocateLarge, AlignsToCacheLinesAndPages) {
  for (const std::size_t bytes : {0U, 1U, 100U, 3U << 20, (4U << 20) + 1, 9U << 20}) {
    void* const memory = AllocateLarge(bytes);
    const std::size_t unit = bytes >= (4U << 20) ? 2U << 20 : 64U;
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory) % unit, 0U) << bytes;
    ReleaseLarge(memory);
  }
}

TEST(AllocateLarge, ThrowsWhenThereIsNoMemory) {
  EXPECT_THROW(AllocateLarge(std::numeric_limits<std::size_t>::max() / 2), std::bad_alloc);
}

TEST(LargePageAllocator, HoldsAVectorThatGrows) {
  std::vector<float, LargePageAllocator<float>> values(10, 1.0F);
  values.resize(3'000'000, 2.0F);
  EXPECT_EQ(values.front(), 1.0F);
  EXPECT_EQ(values.back(), 2.0F);
}

}  // namespace
}  // namespace caldera::kernels
