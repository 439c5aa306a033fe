#include "numerics/kernels/large_pages.h"

#include <sys/mman.h>

#include <cstdlib>
#include <new>

namespace caldera::kernels {
namespace {

constexpr std::size_t kLargePage = std::size_t{2} << 20;
constexpr std::size_t kCacheLine = 64;

}  // namespace

void* AllocateLarge(std::size_t bytes) {
  // Below two pages the ends would waste what large pages bring.
  const bool large = bytes >= 2 * kLargePage;
  void* memory = nullptr;
  if (posix_memalign(&memory, large ? kLargePage : kCacheLine, bytes) != 0) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
  // A wish: refused where the kernel has none, and then nothing is lost.
  if (large) static_cast<void>(madvise(memory, bytes / kLargePage * kLargePage, MADV_HUGEPAGE));
#endif
  return memory;
}

void ReleaseLarge(void* memory) noexcept { std::free(memory); }

}  // namespace caldera::kernels
