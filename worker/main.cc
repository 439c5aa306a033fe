// caldera-worker: one process, or one MPI job whose rank 0 speaks gRPC and whose ranks all compute.
#include <dlfcn.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/time/time.h"
#include "common/base/build_info.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/process_info.h"
#include "common/base/status.h"
#include "common/base/uuid.h"
#include "common/rpc/channel.h"
#include "common/rpc/grpc_log.h"
#include "numerics/dist/communicator.h"
#include "numerics/kernels/parallel.h"
#include "worker/clock_skew.h"
#include "worker/flags.h"
#include "worker/metrics.h"
#include "worker/worker_loop.h"
#if CALDERA_HAS_MPI
#include "numerics/dist/mpi_communicator.h"
#endif

namespace caldera::worker {
namespace {

constexpr int kHungExitCode = 70;  // EX_SOFTWARE

// Written by signal handlers only.
DrainSignal drain_signal;

void OnDrainSignal(int) { drain_signal.Request(); }

// SIGTERM and SIGINT end a plain worker; mpirun kills its ranks after a SIGTERM but forwards
// SIGUSR1.
void InstallSignals() {
  for (const int signal : {SIGTERM, SIGINT, SIGUSR1}) std::signal(signal, OnDrainSignal);
}

bool UnderMpirun() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK"}) {
    if (std::getenv(name) != nullptr) return true;
  }
  return false;
}

int RanksOnThisHost() {
  const char* count = std::getenv("OMPI_COMM_WORLD_LOCAL_SIZE");
  return count == nullptr ? 1 : std::max(1, std::atoi(count));
}

int ThreadsFor(const Flags& flags) {
  if (flags.threads > 0) return flags.threads;
  const auto cores = static_cast<int>(std::thread::hardware_concurrency());
  return std::max(1, cores / RanksOnThisHost());
}

std::string HostName() {
  char name[256] = {};
  return gethostname(name, sizeof(name) - 1) == 0 ? name : "unknown";
}

WorkerIdentity IdentityOf(const Flags& flags, int ranks, int threads) {
  WorkerIdentity identity;
  identity.host = HostName();
  identity.worker_id =
      flags.worker_id.empty() ? fmt::format("{}-{}", identity.host, getpid()) : flags.worker_id;
  identity.incarnation = base::NewUuid();
  identity.version = base::GetBuildInfo().version;
  identity.ranks = ranks;
  identity.threads_per_rank = threads;
  identity.memory_bytes = base::MemoryLimitBytes();
  return identity;
}

// Into the log. All outlive the client that is told to tell.
DispatchObserver Tell(const Flags& flags, const base::Logger& log, Metrics& metrics,
                      ClockSkew& skew) {
  DispatchObserver observer;
  observer.on_retry = [&flags, &log](const absl::Status& status) {
    log.Warning("coordinator {}: {} (trying again for {} s)", flags.coordinator,
                base::MessageOf(status), flags.patience_seconds);
  };
  observer.on_clock = [&log, &metrics, &skew](const ClockReading& reading) {
    metrics.SetClockSkew(absl::ToDoubleSeconds(
        reading.coordinator - (reading.sent + (reading.received - reading.sent) / 2)));
    const std::optional<absl::Duration> told = skew.Observe(reading);
    if (!told.has_value()) return;
    const double seconds = absl::ToDoubleSeconds(*told);
    log.Warning(
        "the coordinator's clock is {:.0f} s {} this host's. No lease depends on it, but "
        "certificates and logs do: look at NTP on both",
        std::abs(seconds), seconds < 0 ? "behind" : "ahead of");
  };
  return observer;
}

absl::Status Lead(const Flags& flags, const WorkerIdentity& identity, dist::Communicator& ranks,
                  const base::Logger& log) {
  Metrics metrics;
  if (!flags.metrics_listen.empty()) CALDERA_RETURN_IF_ERROR(metrics.Serve(flags.metrics_listen));
  rpc::ChannelOptions channel_options;
  channel_options.tls = flags.tls;
  channel_options.plaintext = flags.plaintext;
  CALDERA_ASSIGN_OR_RETURN(channel_options.token, rpc::ClientToken::Open(flags.token));
  CALDERA_ASSIGN_OR_RETURN(const auto channel,
                           rpc::MakeChannel(flags.coordinator, channel_options));
  ClockSkew skew(absl::Seconds(flags.skew_warning_seconds));
  DispatchClient client(v1::DispatchService::NewStub(channel), identity,
                        absl::Seconds(flags.patience_seconds), Tell(flags, log, metrics, skew));
  base::SystemClock clock;
  const auto metered = MakeMeteredCommunicator(ranks, metrics);
  const LeaderParts parts{client, {channel, &clock}, *metered, drain_signal, log};
  LeaderOptions options;
  options.reach = flags.store_access == "stream" ? Reach::kStreamed : Reach::kDirect;
  CALDERA_ASSIGN_OR_RETURN(options.roots, base::AllowedRoots::Make(flags.allow_roots));
  options.drain_timeout = absl::Seconds(flags.drain_timeout_seconds);
  options.store_patience = absl::Seconds(flags.store_patience_seconds);
  options.hang_timeout = absl::Seconds(flags.hang_seconds);
  options.ask = absl::Seconds(flags.ask_seconds);
  options.available_until = flags.available_until;
  // No MPI_Abort from here: another thread is in MPI. mpirun ends the other ranks when this one is
  // gone.
  options.on_hang = [&log](const std::string& what) {
    log.Error("{}: ending this process", what);
    std::_Exit(kHungExitCode);
  };
  options.observe = [&metrics](const TaskOutcome& outcome) { metrics.Observe(outcome); };
  return base::WithContext(RunLeader(parts, options), "coordinator " + flags.coordinator);
}

int Run(const Flags& flags, dist::Communicator& ranks) {
  const int threads = ThreadsFor(flags);
  kernels::SetThreads(threads);
  base::LogOptions log_options;
  log_options.minimum = base::ParseLogLevel(flags.log_level).value_or(base::LogLevel::kInfo);
  const base::Logger log = base::Logger::ToStderr(log_options).With({{"rank", ranks.rank()}});
  rpc::RouteGrpcLog(log);
  if (ranks.rank() != 0) {
    RunFollower(ranks, log);
    return 0;
  }
  const WorkerIdentity identity = IdentityOf(flags, ranks.size(), threads);
  const absl::Status status =
      Lead(flags, identity, ranks, log.With({{"worker", identity.worker_id}}));
  DismissFollowers(ranks);
  if (status.ok()) return 0;
  log.Error("{}", base::MessageOf(status));
  return 1;
}

}  // namespace
}  // namespace caldera::worker

// The metrics endpoint's HTTP server asks for stacks of 100 KiB. glibc takes thread-local storage
// out of them, and OpenBLAS alone has 60 KiB of it: what is left overflows
// (docs/decisions/0004-thread-stacks.md). So every thread with a stack of its own size gets at
// least this much.
extern "C" int pthread_attr_setstacksize(pthread_attr_t* attributes, std::size_t size) noexcept {
  constexpr std::size_t kSmallestStack = std::size_t{1} << 20;
  using Function = int (*)(pthread_attr_t*, std::size_t);
  static const auto next =
      reinterpret_cast<Function>(dlsym(RTLD_NEXT, "pthread_attr_setstacksize"));
  return next(attributes, std::max(size, kSmallestStack));
}

int main(int argc, char** argv) {
  const caldera::worker::ParsedFlags parsed = caldera::worker::ParseFlags(argc, argv);
  if (parsed.exit_code >= 0) return parsed.exit_code;
  caldera::worker::InstallSignals();
  if (caldera::worker::UnderMpirun()) {
#if CALDERA_HAS_MPI
    auto session = caldera::dist::MpiSession::Start(&argc, &argv);
    if (!session.ok()) {
      fmt::print(stderr, "caldera-worker: {}\n", session.status().ToString());
      return 1;
    }
    return caldera::worker::Run(parsed.flags, (*session)->world());
#else
    fmt::print(stderr, "caldera-worker: this build has no MPI but was started by mpirun\n");
    return 1;
#endif
  }
  caldera::dist::SerialCommunicator serial;
  return caldera::worker::Run(parsed.flags, serial);
}
