// Memory for large arrays, on large pages where the system grants them.
//
// Walking a column of a row-major matrix touches a page of 4 KiB per row, and a large matrix is
// faulted in page by page. Linux hands out 2 MiB pages on request unless its administrator forbade
// it; otherwise this is ordinary memory.
#ifndef CALDERA_NUMERICS_KERNELS_LARGE_PAGES_H_
#define CALDERA_NUMERICS_KERNELS_LARGE_PAGES_H_

#include <cstddef>

namespace caldera::kernels {

// `bytes` of memory that is not set, aligned to 64 bytes at least. Throws std::bad_alloc. Safe from
// any thread.
void* AllocateLarge(std::size_t bytes);
// Null does nothing.
void ReleaseLarge(void* memory) noexcept;

// The same for standard containers.
template <typename T>
struct LargePageAllocator {
  using value_type = T;

  LargePageAllocator() = default;
  template <typename U>
  LargePageAllocator(const LargePageAllocator<U>&) {}

  T* allocate(std::size_t count) { return static_cast<T*>(AllocateLarge(count * sizeof(T))); }
  void deallocate(T* memory, std::size_t) noexcept { ReleaseLarge(memory); }
  bool operator==(const LargePageAllocator&) const { return true; }
};

}  // namespace caldera::kernels

#endif  // CALDERA_NUMERICS_KERNELS_LARGE_PAGES_H_
