// Memory that the ranks of one host hold once, for what all of them read: a Hessian and its factor.
// Made by Communicator::Share.
#ifndef CALDERA_NUMERICS_DIST_SHARED_BYTES_H_
#define CALDERA_NUMERICS_DIST_SHARED_BYTES_H_

#include <cstddef>
#include <span>
#include <vector>

#include "numerics/kernels/large_pages.h"

namespace caldera::dist {

// Making, publishing and destroying one are collectives: every rank does them, in the same order
// among all collectives. Hosts have a copy each; on a host that cannot share, each rank has its
// own. It must not outlive its communicator.
class SharedBytes {
 public:
  virtual ~SharedBytes() = default;

  // This copy, zero at first, aligned for any type. Between two Publish a byte may be written by
  // one of the sharers, and then read by no other.
  virtual std::span<std::byte> bytes() = 0;
  // How many ranks share this copy, and this rank's place among them, from 0. Rank 0 is the first.
  virtual int sharers() const = 0;
  virtual int place() const = 0;
  // Waits for the sharers. What one of them wrote before, all may read after.
  virtual void Publish() = 0;
};

// A copy of one rank's own, on the heap.
class PrivateBytes : public SharedBytes {
 public:
  explicit PrivateBytes(std::size_t size) : bytes_(size) {}
  std::span<std::byte> bytes() override { return bytes_; }
  int sharers() const override { return 1; }
  int place() const override { return 0; }
  void Publish() override {}

 private:
  std::vector<std::byte, kernels::LargePageAllocator<std::byte>> bytes_;
};

}  // namespace caldera::dist

#endif  // CALDERA_NUMERICS_DIST_SHARED_BYTES_H_
