// What ranks say to each other: the narrow seam over serial, threads in one process, and MPI.
//
// Every rank calls the same collectives in the same order; all block until done. Implementations:
// SerialCommunicator (one rank), ThreadCommunicator (ranks are threads, tests), MpiCommunicator
// (numerics/dist/mpi_communicator.*, the only place that knows mpi.h). A failing rank ends the
// whole MPI job, so nothing here returns an error. Only the thread that owns the communicator may
// call it.
#ifndef CALDERA_NUMERICS_DIST_COMMUNICATOR_H_
#define CALDERA_NUMERICS_DIST_COMMUNICATOR_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "numerics/dist/shared_bytes.h"

namespace caldera::dist {

class Communicator {
 public:
  virtual ~Communicator() = default;

  virtual int rank() const = 0;  // 0 .. size() - 1
  virtual int size() const = 0;

  virtual void Barrier() = 0;

  // `bytes` of `root` replace those of every rank; equal sizes everywhere. log2(size) steps.
  virtual void Broadcast(std::span<std::byte> bytes, int root) = 0;

  // Like Broadcast of a message whose length only root knows, but a waiting rank sleeps between
  // polls instead of spinning: for idle times between tasks.
  virtual void BroadcastWhenReady(std::vector<std::byte>& message, int root) = 0;

  // Element-wise over ranks; every rank gets the result. The order of addition is not defined: a
  // caller that needs the same bits for any number of ranks adds exactly (exact_sum.h) or sums
  // vectors in which each entry is non-zero on one rank only.
  virtual void AllReduceSum(std::span<double> values) = 0;
  virtual void AllReduceMax(std::span<double> values) = 0;

  // Concatenates the ranks' bytes in rank order; lengths may differ. The result is on every rank.
  virtual std::vector<std::byte> AllGather(std::span<const std::byte> bytes) = 0;
  // The same, but only `root` gets the result (others an empty vector).
  virtual std::vector<std::byte> Gather(std::span<const std::byte> bytes, int root) = 0;

  // `size` bytes (the same on every rank) that the ranks of one host hold once where they can.
  virtual std::unique_ptr<SharedBytes> Share(std::size_t size) = 0;

  // Rank 0's word to ranks that compute, without a collective: after Signal on rank 0, Signalled
  // answers true there, and soon on every other rank, until all have come to ClearSignal (a
  // collective). Both are cheap.
  virtual void Signal() = 0;  // on rank 0 only; again changes nothing
  virtual bool Signalled() = 0;
  virtual void ClearSignal() = 0;
};

// The one rank of a program without MPI.
class SerialCommunicator final : public Communicator {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  void Barrier() override {}
  void Broadcast(std::span<std::byte>, int) override {}
  void BroadcastWhenReady(std::vector<std::byte>&, int) override {}
  void AllReduceSum(std::span<double>) override {}
  void AllReduceMax(std::span<double>) override {}
  std::vector<std::byte> AllGather(std::span<const std::byte> bytes) override {
    return {bytes.begin(), bytes.end()};
  }
  std::vector<std::byte> Gather(std::span<const std::byte> bytes, int) override {
    return {bytes.begin(), bytes.end()};
  }
  std::unique_ptr<SharedBytes> Share(std::size_t size) override {
    return std::make_unique<PrivateBytes>(size);
  }
  void Signal() override { signalled_ = true; }
  bool Signalled() override { return signalled_; }
  void ClearSignal() override { signalled_ = false; }

 private:
  bool signalled_ = false;
};

}  // namespace caldera::dist

#endif  // CALDERA_NUMERICS_DIST_COMMUNICATOR_H_
