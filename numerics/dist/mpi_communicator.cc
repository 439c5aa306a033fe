#include "numerics/dist/mpi_communicator.h"

#include <mpi.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <utility>

#include "common/base/status.h"
#include "numerics/dist/poll.h"

namespace caldera::dist {
namespace {

// MPI counts are ints: what is larger travels in pieces of 1 GiB.
constexpr std::size_t kPieceBytes = std::size_t{1} << 30;
constexpr int kGatherTag = 1;
constexpr int kSignalTag = 2;
// Open MPI 4.1 aligns windows to 8 bytes.
constexpr std::uintptr_t kAlignment = 64;
// Room asked for before memory is shared, in sizes of it.
constexpr double kSharedSpare = 1.05;

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

// Pages of the first rank of a host that its other ranks map as well.
class WindowBytes final : public SharedBytes {
 public:
  WindowBytes(MPI_Comm host, std::size_t size) : host_(host), size_(size) {
    MPI_Comm_rank(host, &place_);
    MPI_Comm_size(host, &sharers_);
    const auto own = place_ == 0 ? static_cast<MPI_Aint>(size + kAlignment) : 0;
    void* base = nullptr;
    MPI_Win_allocate_shared(own, 1, MPI_INFO_NULL, host, &base, &window_);
    MPI_Aint length = 0;
    int unit = 0;
    MPI_Win_shared_query(window_, 0, &length, &unit, &base);
    // The same distance in every process: mappings begin at whole pages.
    first_ = static_cast<std::byte*>(base) +
             (kAlignment - reinterpret_cast<std::uintptr_t>(base) % kAlignment) % kAlignment;
    MPI_Win_lock_all(MPI_MODE_NOCHECK, window_);
    // Pages take room when they are touched. Now, while there is some: an access without is fatal.
    if (place_ == 0) std::memset(first_, 0, size);
    WindowBytes::Publish();
  }
  ~WindowBytes() override {
    MPI_Win_unlock_all(window_);
    MPI_Win_free(&window_);
  }
  WindowBytes(const WindowBytes&) = delete;
  WindowBytes& operator=(const WindowBytes&) = delete;

  std::span<std::byte> bytes() override { return {first_, size_}; }
  int sharers() const override { return sharers_; }
  int place() const override { return place_; }
  void Publish() override {
    MPI_Win_sync(window_);
    MPI_Barrier(host_);
    MPI_Win_sync(window_);
  }

 private:
  const MPI_Comm host_;
  const std::size_t size_;
  int sharers_ = 1;
  int place_ = 0;
  std::byte* first_ = nullptr;
  MPI_Win window_ = MPI_WIN_NULL;
};

class MpiCommunicator final : public Communicator {
 public:
  MpiCommunicator() {
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &size_);
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &host_);
  }
  ~MpiCommunicator() override { MPI_Comm_free(&host_); }
  MpiCommunicator(const MpiCommunicator&) = delete;
  MpiCommunicator& operator=(const MpiCommunicator&) = delete;

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

  std::unique_ptr<SharedBytes> Share(std::size_t size) override {
    int ranks_on_host = 0;
    MPI_Comm_size(host_, &ranks_on_host);
    if (size == 0 || ranks_on_host == 1 || !HostHasRoomFor(size)) {
      return std::make_unique<PrivateBytes>(size);
    }
    return std::make_unique<WindowBytes>(host_, size);
  }

  void Signal() override {
    if (std::exchange(signalled_, true)) return;
    for (int rank = 1; rank < size_; ++rank) {
      MPI_Isend(nullptr, 0, MPI_BYTE, rank, kSignalTag, MPI_COMM_WORLD, &signals_.emplace_back());
    }
  }

  bool Signalled() override {
    if (signalled_ || rank_ == 0) return signalled_;
    int arrived = 0;
    MPI_Iprobe(0, kSignalTag, MPI_COMM_WORLD, &arrived, MPI_STATUS_IGNORE);
    if (arrived != 0) ReceiveSignal();
    return signalled_;
  }

  void ClearSignal() override {
    int sent = signalled_ ? 1 : 0;
    MPI_Bcast(&sent, 1, MPI_INT, 0, MPI_COMM_WORLD);
    if (rank_ != 0 && sent != 0 && !signalled_) ReceiveSignal();
    MPI_Waitall(static_cast<int>(signals_.size()), signals_.data(), MPI_STATUSES_IGNORE);
    signals_.clear();
    signalled_ = false;
  }

 private:
  void ReceiveSignal() {
    MPI_Recv(nullptr, 0, MPI_BYTE, 0, kSignalTag, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    signalled_ = true;
  }

  // Containers often have little memory to share, and MPI_Win_allocate_shared of Open MPI 4.1,
  // which takes it from /dev/shm, hangs where there is not enough. What the first rank of the host
  // finds holds for all of them.
  bool HostHasRoomFor(std::size_t size) {
    struct statvfs shared = {};
    int room = 0;
    if (statvfs("/dev/shm", &shared) == 0) {
      const double left =
          static_cast<double>(shared.f_bavail) * static_cast<double>(shared.f_frsize);
      room = left > kSharedSpare * static_cast<double>(size) ? 1 : 0;
    }
    MPI_Bcast(&room, 1, MPI_INT, 0, host_);
    return room != 0;
  }

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
  MPI_Comm host_ = MPI_COMM_NULL;  // the ranks that run on this host
  bool signalled_ = false;
  std::vector<MPI_Request> signals_;  // of rank 0, on their way
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

MpiSession::~MpiSession() {
  world_.reset();  // frees what it has of MPI
  MPI_Finalize();
}

void MpiSession::Abort(int exit_code) {
  MPI_Abort(MPI_COMM_WORLD, exit_code);
  std::abort();
}

}  // namespace caldera::dist
