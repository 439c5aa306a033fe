// caldera compress MODEL OUT: the whole service on this machine, from start to checkpoint.
#include <fmt/format.h>
#include <signal.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "absl/time/clock.h"
#include "client/context.h"
#include "client/exit_code.h"
#include "client/local_cluster.h"
#include "client/progress.h"
#include "client/spec_flags.h"
#include "common/base/file.h"
#include "common/base/sha256.h"
#include "common/base/status.h"
#include "common/rpc/status_conversion.h"
#include "common/store/keys.h"
#include "common/store/s3_settings.h"

namespace caldera::client {
namespace {

constexpr char kJobId[] = "local";

struct CompressFlags {
  SpecFlags spec;
  LocalClusterOptions cluster;
  bool keep_state = false;
};

// Watches over the cluster and over Ctrl-C while the main thread waits for events. Stopping the
// cluster is what ends that wait.
class Supervisor {
 public:
  explicit Supervisor(LocalCluster& cluster) : cluster_(cluster), thread_([this] { Run(); }) {}
  ~Supervisor() {
    done_ = true;
    thread_.join();
  }
  // Blocks Ctrl-C in this and all later threads; the supervisor takes it.
  static void BlockSignals() { pthread_sigmask(SIG_BLOCK, &Signals(), nullptr); }
  // Why the cluster is being stopped; OK while it is not.
  absl::Status status() const { return stopped_ ? status_ : absl::OkStatus(); }

 private:
  static const sigset_t& Signals() {
    static const sigset_t set = [] {
      sigset_t signals;
      sigemptyset(&signals);
      for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals, signal);
      return signals;
    }();
    return set;
  }

  void Run() {
    while (!done_) {
      const timespec tick{0, 200'000'000};
      const bool interrupted = sigtimedwait(&Signals(), nullptr, &tick) > 0;
      status_ = interrupted
                    ? Interrupted("interrupted; the same command goes on where this one stopped")
                    : cluster_.Check();
      if (status_.ok()) continue;
      stopped_ = true;
      cluster_.Stop();
      return;
    }
  }

  LocalCluster& cluster_;
  std::atomic<bool> done_{false};
  std::atomic<bool> stopped_{false};
  absl::Status status_;
  std::thread thread_;
};

// State of an interrupted run of the same job is taken up again; anything else in its place is
// removed.
absl::Status PrepareDirectory(const std::string& directory, const v1::JobSpec& spec) {
  const std::string mark = directory + "/job.sha256";
  const std::string digest = base::Sha256Hex(spec.SerializeAsString());
  const auto before = base::ReadFile(mark);
  if (before.ok() && *before == digest) return absl::OkStatus();
  CALDERA_RETURN_IF_ERROR(base::RemoveTree(directory));
  CALDERA_RETURN_IF_ERROR(base::MakeDirectories(directory));
  return base::ReplaceFile(mark, digest);
}

// Beside the output; in the working directory, under the output's last name, for one in a bucket.
absl::StatusOr<std::string> StateDirectoryOf(const std::string& output_uri) {
  if (!store::IsS3Uri(output_uri)) {
    CALDERA_ASSIGN_OR_RETURN(const std::string path, store::PathOfFileUri(output_uri));
    return path + ".caldera";
  }
  CALDERA_ASSIGN_OR_RETURN(const store::S3Location output, store::ParseS3Uri(output_uri));
  const std::string name = output.Uri().substr(output.Uri().rfind('/') + 1);
  return std::filesystem::absolute(name + ".caldera").string();
}

absl::StatusOr<v1::CompressionJob> CreateOrContinue(CompressionClient& client,
                                                    const v1::JobSpec& spec) {
  auto existing = client.Get(kJobId);
  if (existing.ok() && !HasEnded(existing->state())) return existing;
  if (existing.ok()) CALDERA_RETURN_IF_ERROR(client.Delete(kJobId));
  v1::CreateCompressionJobRequest request;
  request.set_job_id(kJobId);
  *request.mutable_spec() = spec;
  return client.Create(request);
}

std::int64_t PeakResidentBytes() {
  rusage self{};
  rusage children{};
  getrusage(RUSAGE_SELF, &self);
  getrusage(RUSAGE_CHILDREN, &children);
  return std::max(self.ru_maxrss, children.ru_maxrss) * std::int64_t{1024};
}

// The job's result as users read it.
Json Summary(const v1::CompressionJob& job, double seconds) {
  const v1::JobResult& result = job.result();
  return {{"name", job.name()},
          {"output", job.spec().output_uri()},
          {"state", v1::State_Name(job.state())},
          {"bits_per_weight", result.bits_per_weight()},
          {"model_bits_per_weight", result.model_bits_per_weight()},
          {"mean_relative_error", result.mean_relative_error()},
          {"max_relative_error", result.max_relative_error()},
          {"source_bytes", job.model().source_bytes()},
          {"bfloat16_bytes", 2 * job.model().parameters()},
          {"output_bytes", result.output_bytes()},
          {"manifest_sha256", result.manifest_sha256()},
          {"seconds", seconds}};
}

absl::Status JobError(const v1::CompressionJob& job) {
  if (job.state() == v1::SUCCEEDED) return absl::OkStatus();
  if (job.state() == v1::CANCELLED) return base::Cancelled("{} was cancelled", job.name());
  const absl::Status error = rpc::FromProto(job.error());
  return base::Internal("{} failed: {}", job.name(), base::MessageOf(error));
}

absl::StatusOr<v1::CompressionJob> RunJob(LocalCluster& cluster, const v1::JobSpec& spec) {
  const Supervisor supervisor(cluster);
  CALDERA_ASSIGN_OR_RETURN(
      const auto client,
      CompressionClient::Connect(cluster.address(), rpc::ChannelOptions(), absl::Seconds(2)));
  CALDERA_ASSIGN_OR_RETURN(const v1::CompressionJob job, CreateOrContinue(*client, spec));
  ProgressPrinter progress(StderrTerminal());
  auto ended = client->Watch(job.name(), 0, [&](const v1::JobEvent& event) {
    progress.Show(event);
    return true;
  });
  if (!ended.ok() && !supervisor.status().ok()) return supervisor.status();
  return ended;
}

absl::Status Compress(const CompressFlags& flags, const Context& context) {
  const absl::Time started = absl::Now();
  CALDERA_ASSIGN_OR_RETURN(const OutputFormat format, context.output());
  CALDERA_ASSIGN_OR_RETURN(const v1::JobSpec spec, ToSpec(flags.spec));
  LocalClusterOptions options = flags.cluster;
  CALDERA_ASSIGN_OR_RETURN(options.directory, StateDirectoryOf(spec.output_uri()));
  CALDERA_RETURN_IF_ERROR(PrepareDirectory(options.directory, spec));
  Supervisor::BlockSignals();
  CALDERA_ASSIGN_OR_RETURN(const auto cluster, LocalCluster::Start(options));
  auto job = RunJob(*cluster, spec);
  cluster->Stop();
  if (!job.ok() || !JobError(*job).ok()) {
    const absl::Status error = job.ok() ? JobError(*job) : job.status();
    // The logs stay; a job that was refused left nothing worth keeping.
    if (absl::IsInvalidArgument(error)) base::RemoveTree(options.directory).IgnoreError();
    return error;
  }
  if (!flags.keep_state) CALDERA_RETURN_IF_ERROR(base::RemoveTree(options.directory));
  Json summary = Summary(*job, absl::ToDoubleSeconds(absl::Now() - started));
  summary["peak_rss_bytes"] = PeakResidentBytes();
  PrintObject(summary, format);
  return absl::OkStatus();
}

}  // namespace

void AddCompress(CLI::App& app, Context& context, Action& action) {
  const auto flags = std::make_shared<CompressFlags>();
  CLI::App& command = *app.add_subcommand(
      "compress", "compress a model on this machine: starts a coordinator and workers");
  AddSpecFlags(command, flags->spec);
  AddOutputFlag(command, context);
  command.add_option("--workers", flags->cluster.workers, "worker processes")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  command.add_option("--ranks", flags->cluster.ranks, "MPI ranks per worker")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command.add_option("--threads", flags->cluster.threads, "threads per rank, 0 = all cores");
  command.add_option("--metrics-listen", flags->cluster.metrics_listen,
                     "HOST:PORT of the coordinator's metrics while it runs");
  command.add_flag("--keep-state", flags->keep_state, "leave OUT.caldera (state, store, logs)");
  command.callback([flags, &context, &action] {
    action = [flags, &context] { return Compress(*flags, context); };
  });
}

}  // namespace caldera::client
