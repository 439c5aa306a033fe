#include "worker/worker_loop.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "common/base/file.h"
#include "common/base/process_info.h"
#include "common/base/status.h"
#include "common/rpc/status_conversion.h"
#include "worker/calibrate_job.h"
#include "worker/compress_job.h"
#include "worker/embeddings_job.h"
#include "worker/object_io.h"
#include "worker/probe_job.h"
#include "worker/store_patience.h"

namespace caldera::worker {
namespace {

constexpr absl::Duration kReconnectPause = absl::Milliseconds(500);
constexpr absl::Duration kDrainTick = absl::Milliseconds(100);
constexpr absl::Duration kProbePatience = absl::Seconds(10);

std::string KindOf(const v1::Task& task) {
  if (task.has_calibrate()) return "calibrate";
  if (task.has_probe()) return "probe";
  return task.has_compress() ? "compress" : "embeddings";
}

// What the leader tells the followers: a lease to take part in, or (empty) to leave.
void SendOrder(const std::string& order, dist::Communicator& ranks) {
  const auto* bytes = reinterpret_cast<const std::byte*>(order.data());
  std::vector<std::byte> message(bytes, bytes + order.size());
  ranks.BroadcastWhenReady(message, 0);
}

absl::Status RunTask(TaskContext& context) {
  context.ranks.ClearSignal();  // of the task before
  const v1::Task& task = context.lease.task();
  if (task.has_calibrate()) return RunCalibrate(context);
  return task.has_probe() ? RunProbe(context) : RunCompress(context);
}

// Opening creates a missing folder, which would be someone else's path here.
bool MayOpen(const std::string& store_uri) {
  constexpr char kScheme[] = "file://";
  if (store_uri.starts_with(kScheme)) return base::Exists(store_uri.substr(sizeof(kScheme) - 1));
  return store_uri.starts_with("s3://");
}

// The coordinator's store, when the probe shows the same bytes from here; else null. Whether it can
// be reached at all is found out sooner than its patience would allow.
std::unique_ptr<store::CheckpointStore> OpenReachableStore(const v1::RegisterResponse& answer,
                                                           const LeaderOptions& options) {
  if (!MayOpen(answer.store_uri())) return nullptr;
  if (!options.roots.CheckUri(answer.store_uri()).ok()) return nullptr;
  const auto probed = store::OpenStore(answer.store_uri(), {.patience = kProbePatience});
  if (!probed.ok()) return nullptr;
  const auto content = (*probed)->ReadKey(answer.probe_key());
  if (!content.ok() || *content != answer.probe_content()) return nullptr;
  auto store = store::OpenStore(answer.store_uri(), {.patience = options.store_patience});
  return store.ok() ? *std::move(store) : nullptr;
}

// Ends the long poll when a drain is requested: signal handlers can do no more than set a flag.
// Requests it itself at `leave`.
class DrainWatch {
 public:
  DrainWatch(const LeaderParts& parts, absl::Time leave)
      : thread_([this, &parts, leave] { Run(parts, leave); }) {}
  ~DrainWatch() {
    done_ = true;
    thread_.join();
  }

 private:
  void Run(const LeaderParts& parts, absl::Time leave) {
    while (!done_ && !parts.drain.requested()) {
      absl::SleepFor(kDrainTick);
      if (absl::Now() < leave) continue;
      parts.log.Info("the time of this worker is over");
      parts.drain.Request();
    }
    if (!done_) parts.client.Stop();
  }

  std::atomic<bool> done_{false};
  std::thread thread_;
};

class LeaderLoop {
 public:
  LeaderLoop(const LeaderParts& parts, const LeaderOptions& options)
      : parts_(parts), options_(options) {}

  // A drain is no error, though the coordinator was away when it came.
  absl::Status Run() {
    const DrainWatch watch(parts_, options_.available_until - options_.drain_timeout);
    const absl::Status status = ServeLeases();
    // A lease that came too late to be served, or whose answer was hung up on, need not wait for
    // its deadline. A coordinator that is away learns it from silence.
    if (status.ok() || parts_.drain.requested()) parts_.client.Unregister().IgnoreError();
    return absl::IsCancelled(status) && parts_.drain.requested() ? absl::OkStatus() : status;
  }

 private:
  absl::Status ServeLeases() {
    CALDERA_RETURN_IF_ERROR(Register());
    while (!parts_.drain.requested()) {
      auto answer = parts_.client.AcquireLease(options_.poll, options_.available_until);
      if (parts_.drain.requested()) break;
      if (!answer.ok()) {
        CALDERA_RETURN_IF_ERROR(Reattach(answer.status()));
        continue;
      }
      if (away_) parts_.log.Info("the coordinator gives leases again");
      away_ = false;
      if (answer->drain()) break;
      if (answer->has_lease()) Serve(answer->lease());
    }
    return absl::OkStatus();
  }

  absl::Status Register() {
    CALDERA_ASSIGN_OR_RETURN(const auto answer, parts_.client.Register());
    heartbeat_ = std::min(options_.ask, absl::Milliseconds(answer.heartbeat_milliseconds()));
    store_.reset();
    if (options_.reach == Reach::kDirect) {
      // The store is ours to use only when the probe shows the same bytes from here.
      store_ = OpenReachableStore(answer, options_);
    }
    parts_.log.Info("registered as {}, store {}", parts_.client.identity().worker_id,
                    store_ == nullptr ? "streamed" : "direct");
    return absl::OkStatus();
  }

  // After a failed AcquireLease: wait for a coordinator that is away or whose disk is full,
  // register again with one that has forgotten us, give up on anything else.
  absl::Status Reattach(const absl::Status& status) {
    if (absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) ||
        absl::IsResourceExhausted(status)) {
      if (!away_) parts_.log.Warning("no leases for now: {}", base::MessageOf(status));
      away_ = true;
      absl::SleepFor(kReconnectPause);
      return absl::OkStatus();
    }
    if (absl::IsNotFound(status)) return Register();
    return status;
  }

  void Serve(const v1::Lease& lease) {
    const absl::Time started = absl::Now();
    const base::Logger log = parts_.log.With(
        {{"job", lease.job()}, {"task", lease.task().task_id()}, {"attempt", lease.attempt()}});
    log.Info("lease {}", lease.lease_id());
    TaskOutcome outcome;
    outcome.kind = KindOf(lease.task());
    outcome.status = Work(lease, log, outcome);
    base::ReturnFreeMemory();
    outcome.seconds = absl::ToDoubleSeconds(absl::Now() - started);
    if (options_.observe) options_.observe(outcome);
    if (!outcome.status.ok()) Report(lease, outcome.status, log);
  }

  absl::Status Work(const v1::Lease& lease, const base::Logger& log, TaskOutcome& outcome) {
    LeaseKeeper keeper(
        parts_.client, parts_.drain, lease,
        {heartbeat_, options_.drain_timeout, options_.hang_timeout, options_.on_hang});
    CALDERA_RETURN_IF_ERROR(OpenInputs(lease));
    const StorePatience patience = PatienceOf(keeper, log);
    const auto objects =
        MakePatientObjectIo(store_ != nullptr ? MakeDirectObjectIo(*store_, lease)
                                              : MakeStreamedObjectIo(parts_.checkpoint, lease),
                            patience);
    Leader leader{*inputs_, *objects, parts_.client, keeper};
    v1::CompleteLeaseRequest done;
    if (lease.task().has_embeddings()) {
      // Its sink cannot be repeated, but all of it can: it takes seconds.
      CALDERA_RETURN_IF_ERROR(WhileStoreIsAway(patience, [&] {
        const auto shard = RunEmbeddings(lease, leader);
        if (shard.ok()) *done.mutable_shard() = *shard;
        return shard.status();
      }));
    } else {
      TaskContext context{lease, parts_.ranks, &leader, log, {}, {}};
      SendOrder(lease.SerializeAsString(), parts_.ranks);
      if (const absl::Status ran = RunTask(context); !ran.ok()) {
        // What rank 0 was told says more than that it stopped.
        return keeper.StopReason().ok() ? ran : keeper.StopReason();
      }
      for (const double flops : context.rank_flops) {
        done.add_rank_flops(flops);
        outcome.flops += flops;
      }
      for (v1::MatrixProbe& probe : context.probes) *done.add_probes() = std::move(probe);
    }
    done.set_lease_id(lease.lease_id());
    done.set_attempt(lease.attempt());
    return parts_.client.CompleteLease(done);
  }

  StorePatience PatienceOf(LeaseKeeper& keeper, const base::Logger& log) const {
    const auto told = std::make_shared<bool>(false);
    return {options_.store_patience, [&keeper] { return keeper.StopReason(); },
            [&keeper, log, told](const absl::Status& status) {
              if (!*told) log.Warning("waiting for the store: {}", base::MessageOf(status));
              *told = true;
              keeper.SetStatus("waiting for the store: " + base::MessageOf(status));
              keeper.Advance();  // it is no stall: this wait ends by itself
            }};
  }

  absl::Status OpenInputs(const v1::Lease& lease) {
    if (inputs_ != nullptr && inputs_->Fits(lease)) return absl::OkStatus();
    inputs_.reset();
    CALDERA_ASSIGN_OR_RETURN(
        inputs_, JobInputs::Open(lease, options_.reach, parts_.checkpoint, options_.roots));
    return absl::OkStatus();
  }

  // A lease that is someone else's, or that was taken from us, needs no word; anything else is
  // reported.
  void Report(const v1::Lease& lease, const absl::Status& status, const base::Logger& log) {
    log.Warning("lease {} ended: {}", lease.lease_id(), status.ToString());
    if (absl::IsFailedPrecondition(status) && rpc::GetErrorInfo(status).has_value()) {
      return;
    }
    v1::FailLeaseRequest request;
    request.set_lease_id(lease.lease_id());
    request.set_attempt(lease.attempt());
    *request.mutable_error() = rpc::ToProto(status);
    const absl::Status told = parts_.client.FailLease(request);
    if (told.ok() || absl::IsFailedPrecondition(told)) return;  // stale: the coordinator knows
    log.Warning("could not report it: {}", told.ToString());
  }

  const LeaderParts& parts_;
  const LeaderOptions& options_;
  absl::Duration heartbeat_ = absl::Seconds(15);  // Register tells
  std::unique_ptr<store::CheckpointStore> store_;
  std::unique_ptr<JobInputs> inputs_;
  bool away_ = false;  // the coordinator did not answer the last AcquireLease
};

}  // namespace

absl::Status RunLeader(const LeaderParts& parts, const LeaderOptions& options) {
  return LeaderLoop(parts, options).Run();
}

void DismissFollowers(dist::Communicator& ranks) { SendOrder("", ranks); }

void RunFollower(dist::Communicator& ranks, const base::Logger& log) {
  while (true) {
    std::vector<std::byte> message;
    ranks.BroadcastWhenReady(message, 0);
    if (message.empty()) return;
    v1::Lease lease;
    if (!lease.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
      log.Error("rank {}: an order of {} bytes does not parse", ranks.rank(), message.size());
      continue;
    }
    TaskContext context{lease, ranks, nullptr, log, {}, {}};
    const absl::Status status = RunTask(context);
    base::ReturnFreeMemory();
    if (!status.ok()) log.Debug("rank {}: {}", ranks.rank(), status.ToString());
  }
}

}  // namespace caldera::worker
