#include "numerics/dist/mpi_communicator.h"

#include <mpi.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <thread>
#include <utility>

#include "common/base/status.h"
#include "numerics/dist/poll.h"

namespace caldera::dist {
namespace {

// MPI counts are ints: what is larger travels in pieces of 1 GiB.
constexpr std::size_t kPieceBytes = std::size_t{1} << 30;
constexpr int kGatherTag = 1;

// Calls send(pointer, count) for consecutive pieces of `values`.
template <typename T, typename Send>
void ForPieces(std::span<T> values, Send send) {
  constexpr std::size_t kPiece = kPieceBytes / sizeof(T);
  for (std::size_t first = 0; first < values.size(); first += kPiece) {
    send(values.data() + first, static_cast<int>(std::min(kPiece, values.size() - first)));
  }
}

// A rank without work must not burn a core as MPI_Wait would.
void WaitAsleep(MPI_Request& request) {
  const auto done = [&request] {
    int flag = 0;
    MPI_Test(&request, &flag, MPI_STATUS_IGNORE);
    return flag != 0;
  };
  PollAsleep(done, [](std::chrono::milliseconds pause) { std::this_thread::sleep_for(pause); });
}

class MpiCommunicator final : public Communicator {
 public:
  MpiCommunicator() {
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &size_);
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  void Barrier() override { MPI_Barrier(MPI_COMM_WORLD); }

  void Broadcast(std::span<std::byte> bytes, int root) override {
    ForPieces(bytes, [&](std::byte* data, int count) {
      MPI_Bcast(data, count, MPI_BYTE, root, MPI_COMM_WORLD);
    });
  }

  void BroadcastWhenReady(std::vector<std::byte>& message, int root) override {
    std::uint64_t length = message.size();
    MPI_Request request = MPI_REQUEST_NULL;
    MPI_Ibcast(&length, 1, MPI_UINT64_T, root, MPI_COMM_WORLD, &request);
    WaitAsleep(request);
    message.resize(length);
    Broadcast(message, root);
  }

  void AllReduceSum(std::span<double> values) override { Reduce(values, MPI_SUM); }
  void AllReduceMax(std::span<double> values) override { Reduce(values, MPI_MAX); }

  std::vector<std::byte> AllGather(std::span<const std::byte> bytes) override {
    const std::vector<std::size_t> starts = Starts(bytes.size());
    std::vector<std::byte> all(starts.back());
    std::copy(bytes.begin(), bytes.end(), Part(all, starts, rank_).begin());
    for (int rank = 0; rank < size_; ++rank) Broadcast(Part(all, starts, rank), rank);
    return all;
  }

  std::vector<std::byte> Gather(std::span<const std::byte> bytes, int root) override {
    const std::vector<std::size_t> starts = Starts(bytes.size());
    if (rank_ != root) {
      ForPieces(bytes, [&](const std::byte* data, int count) {
        MPI_Send(data, count, MPI_BYTE, root, kGatherTag, MPI_COMM_WORLD);
      });
      return {};
    }
    std::vector<std::byte> all(starts.back());
    std::copy(bytes.begin(), bytes.end(), Part(all, starts, root).begin());
    for (int rank = 0; rank < size_; ++rank) {
      if (rank != root) Receive(Part(all, starts, rank), rank);
    }
    return all;
  }

 private:
  // Where each rank's bytes begin in the concatenation, and at the end their total.
  std::vector<std::size_t> Starts(std::uint64_t mine) const {
    std::vector<std::uint64_t> lengths(static_cast<std::size_t>(size_));
    MPI_Allgather(&mine, 1, MPI_UINT64_T, lengths.data(), 1, MPI_UINT64_T, MPI_COMM_WORLD);
    std::vector<std::size_t> starts = {0};
    for (const std::uint64_t length : lengths) starts.push_back(starts.back() + length);
    return starts;
  }

  static std::span<std::byte> Part(std::vector<std::byte>& all,
                                   const std::vector<std::size_t>& starts, int rank) {
    const auto i = static_cast<std::size_t>(rank);
    return std::span<std::byte>(all).subspan(starts[i], starts[i + 1] - starts[i]);
  }

  static void Receive(std::span<std::byte> bytes, int rank) {
    ForPieces(bytes, [&](std::byte* data, int count) {
      MPI_Recv(data, count, MPI_BYTE, rank, kGatherTag, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    });
  }

  static void Reduce(std::span<double> values, MPI_Op operation) {
    ForPieces(values, [&](double* data, int count) {
      MPI_Allreduce(MPI_IN_PLACE, data, count, MPI_DOUBLE, operation, MPI_COMM_WORLD);
    });
  }

  int rank_ = 0;
  int size_ = 1;
};

}  // namespace

absl::StatusOr<std::unique_ptr<MpiSession>> MpiSession::Start(int* argc, char*** argv) {
  int started = 0;
  MPI_Initialized(&started);
  if (started != 0) return base::FailedPrecondition("MPI was started before in this process");
  int provided = MPI_THREAD_SINGLE;
  if (MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS) {
    return base::FailedPrecondition("MPI does not start");
  }
  auto session = std::unique_ptr<MpiSession>(new MpiSession(std::make_unique<MpiCommunicator>()));
  if (provided < MPI_THREAD_FUNNELED) {
    return base::FailedPrecondition("this MPI does not support threads beside the main one");
  }
  return session;
}

MpiSession::MpiSession(std::unique_ptr<Communicator> world) : world_(std::move(world)) {}

MpiSession::~MpiSession() { MPI_Finalize(); }

void MpiSession::Abort(int exit_code) {
  MPI_Abort(MPI_COMM_WORLD, exit_code);
  std::abort();
}

}  // namespace caldera::dist
