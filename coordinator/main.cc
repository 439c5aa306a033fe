// caldera-coordinator: accepts jobs, leases their tasks to workers, publishes checkpoints.
#include <signal.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>

#include "common/base/build_info.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/status.h"
#include "coordinator/process.h"

namespace {

using caldera::coordinator::ProcessOptions;

struct Flags {
  ProcessOptions process;
  std::string log_level = "info";
  bool reflection = false;
  bool insecure = false;
  bool check_invariants = false;
  bool recover = false;
  double lease_seconds = 90;
  double heartbeat_seconds = 15;
  double backoff_seconds = 30;
  double max_backoff_seconds = 600;
  double grace_seconds = 300;
  double stall_seconds = 1200;
  double retention_seconds = 900;
  double shutdown_seconds = 5;
  double staging_seconds = 86400;
};

void AddServiceFlags(Flags* flags, CLI::App* app) {
  app->add_option("--listen", flags->process.server.listen, "HOST:PORT of gRPC; port 0 = any");
  app->add_option("--state-dir", flags->process.state_dir, "local directory of the state database")
      ->required();
  app->add_option("--store", flags->process.store_uri,
                  "file:///DIR of objects (default: STATE_DIR/store)");
  app->add_option("--metrics-listen", flags->process.metrics_listen, "HOST:PORT of /metrics");
  app->add_option("--address-file", flags->process.address_file,
                  "file that gets HOST:PORT once the coordinator listens");
  app->add_option("--tls-cert", flags->process.server.tls.certificate_file, "PEM certificate");
  app->add_option("--tls-key", flags->process.server.tls.key_file, "PEM key");
  app->add_option("--tls-ca", flags->process.server.tls.ca_file, "PEM CA of client certificates");
  app->add_flag("--insecure", flags->insecure, "allow plaintext beyond this machine");
  app->add_flag("--reflection", flags->reflection, "serve gRPC reflection");
  app->add_option("--log-level", flags->log_level, "debug, info, warning or error");
  app->add_flag(
      "--recover", flags->recover,
      "rebuild the state from the receipts of the store into an empty --state-dir, and end");
  app->add_flag("--check-invariants", flags->check_invariants,
                "check the state machine after every event; abort when it is broken");
}

void AddLeaseFlags(Flags* flags, CLI::App* app) {
  caldera::coordinator::LeasePolicy& policy = flags->process.core.policy;
  app->add_option("--lease-seconds", flags->lease_seconds)->check(CLI::PositiveNumber);
  app->add_option("--heartbeat-seconds", flags->heartbeat_seconds)->check(CLI::PositiveNumber);
  app->add_option("--max-failures", policy.max_failures, "failed attempts that fail a job")
      ->check(CLI::PositiveNumber);
  app->add_option("--exclude-after", policy.failures_before_exclusion,
                  "failures after which a worker gets a unit no more")
      ->check(CLI::PositiveNumber);
  app->add_option("--backoff-seconds", flags->backoff_seconds)->check(CLI::NonNegativeNumber);
  app->add_option("--max-backoff-seconds", flags->max_backoff_seconds)
      ->check(CLI::NonNegativeNumber);
  app->add_option("--backoff-jitter", policy.backoff_jitter,
                  "backoffs vary by so much of themselves")
      ->check(CLI::Range(0.0, 1.0));
  app->add_option("--restart-grace-seconds", flags->grace_seconds,
                  "life of leases after a restart of the coordinator")
      ->check(CLI::NonNegativeNumber);
  app->add_option("--stall-seconds", flags->stall_seconds,
                  "heartbeats without progress end a lease")
      ->check(CLI::PositiveNumber);
  app->add_option("--memory-share", policy.memory_share,
                  "share of a job's estimated memory that a worker must have; 0 = any worker")
      ->check(CLI::NonNegativeNumber);
  app->add_option("--speculate-after", policy.speculate_after,
                  "a task that takes so many times the expected gets a second worker when one has "
                  "nothing else to do; 0 = never")
      ->check(CLI::NonNegativeNumber);
  app->add_option("--metrics-retention-seconds", flags->retention_seconds)
      ->check(CLI::NonNegativeNumber);
  app->add_option(
         "--staging-seconds", flags->staging_seconds,
         "unfinished files of the store that nobody has written to for so long are removed")
      ->check(CLI::PositiveNumber);
  app->add_option("--shutdown-seconds", flags->shutdown_seconds, "time for calls in flight")
      ->check(CLI::NonNegativeNumber);
}

ProcessOptions OptionsOf(const Flags& flags) {
  ProcessOptions options = flags.process;
  caldera::coordinator::LeasePolicy& policy = options.core.policy;
  policy.lease = absl::Seconds(flags.lease_seconds);
  policy.heartbeat = absl::Seconds(flags.heartbeat_seconds);
  policy.backoff = absl::Seconds(flags.backoff_seconds);
  policy.max_backoff = absl::Seconds(flags.max_backoff_seconds);
  policy.restart_grace = absl::Seconds(flags.grace_seconds);
  policy.stall_timeout = absl::Seconds(flags.stall_seconds);
  options.staging_age = absl::Seconds(flags.staging_seconds);
  options.core.metrics_retention = absl::Seconds(flags.retention_seconds);
  if (flags.check_invariants) {
    options.core.invariants = caldera::coordinator::InvariantChecks::kOn;
  }
  if (flags.insecure) options.server.plaintext = caldera::rpc::PlaintextPolicy::kAnywhere;
  if (flags.reflection) options.server.reflection = caldera::rpc::Reflection::kOn;
  return options;
}

// SIGTERM and SIGINT are blocked in every thread and taken here.
sigset_t BlockTerminationSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

// One line for each job on standard output.
int Recover(const Flags& flags) {
  caldera::base::SystemClock clock;
  const auto recovery = caldera::coordinator::Process::Recover(OptionsOf(flags), &clock);
  if (!recovery.ok()) {
    std::fprintf(stderr, "caldera-coordinator: %s\n",
                 caldera::base::MessageOf(recovery.status()).c_str());
    return 1;
  }
  for (const auto& line : recovery->jobs) {
    std::printf("%s %s: %s\n", line.recovered ? "recovered" : "skipped", line.job.c_str(),
                line.text.c_str());
  }
  std::printf("%zu jobs told by receipts; resume those you want to go on\n", recovery->jobs.size());
  return 0;
}

int Run(const Flags& flags) {
  const absl::StatusOr<caldera::base::LogLevel> level =
      caldera::base::ParseLogLevel(flags.log_level);
  if (!level.ok()) {
    std::fprintf(stderr, "caldera-coordinator: %s\n",
                 caldera::base::MessageOf(level.status()).c_str());
    return 2;
  }
  const sigset_t signals = BlockTerminationSignals();
  caldera::base::SystemClock clock;
  const auto log = caldera::base::Logger::ToStderr({.minimum = *level, .clock = &clock});
  auto process = caldera::coordinator::Process::Start(OptionsOf(flags), &clock, log);
  if (!process.ok()) {
    log.Error("{}", caldera::base::MessageOf(process.status()));
    return 1;
  }
  log.Info("coordinator {} listens on {}, metrics port {}", caldera::base::GetBuildInfo().version,
           (*process)->address(), (*process)->metrics_port());
  int signal = 0;
  sigwait(&signals, &signal);
  log.Info("signal {}: shutting down", signal);
  (*process)->Stop(absl::Seconds(flags.shutdown_seconds));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Flags flags;
  CLI::App app{"Caldera coordinator: accepts jobs, leases their tasks to workers, publishes"};
  app.set_version_flag("--version", caldera::base::GetBuildInfo().version);
  AddServiceFlags(&flags, &app);
  AddLeaseFlags(&flags, &app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? 0 : 2;
  }
  return flags.recover ? Recover(flags) : Run(flags);
}
