#include "numerics/dist/thread_communicator.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstring>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

namespace caldera::dist {
namespace {

// What the ranks of one run share: a barrier, and a place where each rank shows its buffer.
struct Meeting {
  explicit Meeting(int ranks) : size(ranks), shown(static_cast<std::size_t>(ranks)) {}

  void Wait() {
    std::unique_lock<std::mutex> lock(mutex);
    const std::int64_t mine = round;
    if (++arrived == size) {
      arrived = 0;
      ++round;
      changed.notify_all();
      return;
    }
    changed.wait(lock, [&] { return round != mine; });
  }

  const int size;
  std::mutex mutex;
  std::condition_variable changed;
  int arrived = 0;         // guarded by mutex
  std::int64_t round = 0;  // guarded by mutex
  // Entry r is written by rank r before a Wait and read by the others after it.
  std::vector<std::span<const std::byte>> shown;
  std::atomic<bool> signalled = false;
};

// Bytes that all ranks of one run hold together.
class MeetingBytes final : public SharedBytes {
 public:
  MeetingBytes(Meeting& meeting, int rank, std::shared_ptr<std::vector<std::byte>> bytes)
      : meeting_(meeting), rank_(rank), bytes_(std::move(bytes)) {}
  std::span<std::byte> bytes() override { return *bytes_; }
  int sharers() const override { return meeting_.size; }
  int place() const override { return rank_; }
  void Publish() override { meeting_.Wait(); }

 private:
  Meeting& meeting_;
  const int rank_;
  std::shared_ptr<std::vector<std::byte>> bytes_;
};

class ThreadCommunicator final : public Communicator {
 public:
  ThreadCommunicator(Meeting& meeting, int rank) : meeting_(meeting), rank_(rank) {}

  int rank() const override { return rank_; }
  int size() const override { return meeting_.size; }
  void Barrier() override { meeting_.Wait(); }

  void Broadcast(std::span<std::byte> bytes, int root) override {
    Show(bytes);
    const auto from = Shown(root);
    if (rank_ != root) std::copy(from.begin(), from.end(), bytes.begin());
    meeting_.Wait();
  }

  void BroadcastWhenReady(std::vector<std::byte>& message, int root) override {
    Show(message);
    const auto from = Shown(root);
    if (rank_ != root) message.assign(from.begin(), from.end());
    meeting_.Wait();
  }

  void AllReduceSum(std::span<double> values) override {
    Reduce(values, [](double a, double b) { return a + b; });
  }
  void AllReduceMax(std::span<double> values) override {
    Reduce(values, [](double a, double b) { return std::max(a, b); });
  }

  std::vector<std::byte> AllGather(std::span<const std::byte> bytes) override {
    Show(bytes);
    std::vector<std::byte> all = Concatenated();
    meeting_.Wait();
    return all;
  }

  std::vector<std::byte> Gather(std::span<const std::byte> bytes, int root) override {
    Show(bytes);
    std::vector<std::byte> all;
    if (rank_ == root) all = Concatenated();
    meeting_.Wait();
    return all;
  }

  std::unique_ptr<SharedBytes> Share(std::size_t size) override {
    std::shared_ptr<std::vector<std::byte>> bytes;
    if (rank_ == 0) bytes = std::make_shared<std::vector<std::byte>>(size);
    Show(std::as_bytes(std::span(&bytes, 1)));
    if (rank_ != 0) bytes = *reinterpret_cast<const decltype(bytes)*>(Shown(0).data());
    meeting_.Wait();
    return std::make_unique<MeetingBytes>(meeting_, rank_, std::move(bytes));
  }

  void Signal() override { meeting_.signalled = true; }
  bool Signalled() override { return meeting_.signalled; }
  void ClearSignal() override {
    meeting_.Wait();
    if (rank_ == 0) meeting_.signalled = false;
    meeting_.Wait();
  }

 private:
  // After Show every rank may read all buffers until the Wait that ends the collective.
  void Show(std::span<const std::byte> bytes) {
    meeting_.shown[static_cast<std::size_t>(rank_)] = bytes;
    meeting_.Wait();
  }
  std::span<const std::byte> Shown(int rank) const {
    return meeting_.shown[static_cast<std::size_t>(rank)];
  }

  std::vector<std::byte> Concatenated() const {
    std::vector<std::byte> all;
    for (const auto& part : meeting_.shown) all.insert(all.end(), part.begin(), part.end());
    return all;
  }

  template <typename Combine>
  void Reduce(std::span<double> values, Combine combine) {
    Show(std::as_bytes(values));
    std::vector<double> result(values.size());
    for (int rank = 0; rank < size(); ++rank) {
      const auto* part = reinterpret_cast<const double*>(Shown(rank).data());
      for (std::size_t i = 0; i < result.size(); ++i) {
        result[i] = rank == 0 ? part[i] : combine(result[i], part[i]);
      }
    }
    meeting_.Wait();
    std::copy(result.begin(), result.end(), values.begin());
  }

  Meeting& meeting_;
  const int rank_;
};

}  // namespace

void RunRanks(int ranks, const std::function<void(Communicator&)>& body) {
  Meeting meeting(ranks);
  std::vector<std::thread> threads;
  threads.reserve(static_cast<std::size_t>(ranks));
  for (int rank = 0; rank < ranks; ++rank) {
    threads.emplace_back([&meeting, &body, rank] {
      ThreadCommunicator communicator(meeting, rank);
      body(communicator);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace caldera::dist
