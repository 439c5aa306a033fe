#include "client/local_cluster.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <thread>
#include <utility>

#include "absl/time/clock.h"
#include "client/secret_file.h"
#include "common/base/file.h"
#include "common/base/sha256.h"
#include "common/base/status.h"
#include "common/base/uuid.h"
#include "common/rpc/token.h"

namespace caldera::client {
namespace {

constexpr absl::Duration kStartTimeout = absl::Seconds(60);
constexpr absl::Duration kStopGrace = absl::Seconds(10);
constexpr int kMostRestarts = 5;

// The end of a log, for error messages.
std::string LastLines(const std::string& file) {
  const auto text = base::ReadFile(file);
  if (!text.ok()) return "";
  return text->size() > 800 ? text->substr(text->size() - 800) : *text;
}

int ThreadsPerRank(const LocalClusterOptions& options) {
  if (options.threads > 0) return options.threads;
  const auto cores = static_cast<int>(std::thread::hardware_concurrency());
  return std::max(1, cores / (options.workers * options.ranks));
}

}  // namespace

std::string LocalCluster::log_directory() const { return options_.directory + "/logs"; }

absl::StatusOr<std::unique_ptr<LocalCluster>> LocalCluster::Start(
    const LocalClusterOptions& options) {
  std::unique_ptr<LocalCluster> cluster(new LocalCluster(options));
  CALDERA_RETURN_IF_ERROR(base::MakeDirectories(cluster->log_directory()));
  CALDERA_RETURN_IF_ERROR(cluster->MakeToken());
  CALDERA_RETURN_IF_ERROR(cluster->StartCoordinator());
  for (int i = 0; i < options.workers; ++i) {
    CALDERA_ASSIGN_OR_RETURN(ChildProcess worker, cluster->StartWorker(i));
    cluster->workers_.push_back(std::move(worker));
  }
  return cluster;
}

// Workers are told by a file: environments and command lines can be read by others.
absl::Status LocalCluster::MakeToken() {
  token_ = rpc::NewToken(base::SystemEntropy());
  const rpc::TokenRecord record{"local", rpc::Role::kAdmin, base::Sha256Hex(token_),
                                absl::InfiniteFuture()};
  const std::string secret_file = options_.directory + "/token";
  CALDERA_RETURN_IF_ERROR(base::RemoveTree(secret_file));
  CALDERA_RETURN_IF_ERROR(WriteSecretFile(secret_file, token_));
  return base::ReplaceFile(options_.directory + "/tokens", rpc::FormatTokenLine(record) + "\n");
}

absl::Status LocalCluster::StartCoordinator() {
  CALDERA_ASSIGN_OR_RETURN(const std::string program, SiblingProgram("caldera-coordinator"));
  const std::string address_file = options_.directory + "/address";
  CALDERA_RETURN_IF_ERROR(base::RemoveTree(address_file));
  ChildProcess::Options child;
  child.command = {program,
                   "--listen",
                   "127.0.0.1:0",
                   "--state-dir",
                   options_.directory + "/state",
                   "--store",
                   "file://" + options_.directory + "/store",
                   "--token-file",
                   options_.directory + "/tokens",
                   "--address-file",
                   address_file};
  if (!options_.metrics_listen.empty()) {
    child.command.insert(child.command.end(), {"--metrics-listen", options_.metrics_listen});
  }
  child.log_file = log_directory() + "/coordinator.log";
  CALDERA_ASSIGN_OR_RETURN(ChildProcess started, ChildProcess::Start(child));
  coordinator_ = std::make_unique<ChildProcess>(std::move(started));
  const absl::Time deadline = absl::Now() + kStartTimeout;
  while (absl::Now() < deadline) {
    if (const auto ended = coordinator_->Poll()) {
      return base::FailedPrecondition("the coordinator ended with {}: {}",
                                      DescribeWaitStatus(*ended), LastLines(child.log_file));
    }
    if (const auto address = base::ReadFile(address_file); address.ok() && !address->empty()) {
      address_ = address->substr(0, address->find_first_of(" \r\n"));
      return absl::OkStatus();
    }
    absl::SleepFor(absl::Milliseconds(20));
  }
  return base::DeadlineExceeded("the coordinator did not tell its address: see {}", child.log_file);
}

absl::StatusOr<ChildProcess> LocalCluster::StartWorker(int index) const {
  CALDERA_ASSIGN_OR_RETURN(const std::string program, SiblingProgram("caldera-worker"));
  ChildProcess::Options child;
  if (options_.ranks > 1) {
    child.command = {
        "mpirun", "--allow-run-as-root",         "--oversubscribe", "--bind-to", "none",
        "-n",     std::to_string(options_.ranks)};
  }
  const std::vector<std::string> worker = {
      program, "--coordinator", address_, "--worker-id", fmt::format("local-{}", index),
      "--threads", std::to_string(ThreadsPerRank(options_)),
      // The store and the coordinator are this machine's: what is not done at once can be repeated.
      "--drain-timeout", "0"};
  child.command.insert(child.command.end(), worker.begin(), worker.end());
  // The variables of another cluster, which the user may have set, are not for this one.
  child.environment = {
      "OMP_WAIT_POLICY=passive", "CALDERA_TOKEN_FILE=" + options_.directory + "/token",
      "CALDERA_TOKEN=",          "CALDERA_TLS_CA=",
      "CALDERA_TLS_CERT=",       "CALDERA_TLS_KEY="};
  child.log_file = fmt::format("{}/worker-{}.log", log_directory(), index);
  return ChildProcess::Start(child);
}

absl::Status LocalCluster::Check() {
  if (const auto ended = coordinator_->Poll()) {
    return base::Internal("the coordinator ended with {}: {}", DescribeWaitStatus(*ended),
                          LastLines(log_directory() + "/coordinator.log"));
  }
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    const auto ended = workers_[i].Poll();
    if (!ended) continue;
    const std::string log = fmt::format("{}/worker-{}.log", log_directory(), i);
    if (++restarts_ > kMostRestarts) {
      return base::Internal("worker {} ended with {}: {}", i, DescribeWaitStatus(*ended),
                            LastLines(log));
    }
    CALDERA_ASSIGN_OR_RETURN(workers_[i], StartWorker(static_cast<int>(i)));
  }
  return absl::OkStatus();
}

void LocalCluster::Stop() {
  for (ChildProcess& worker : workers_) worker.Stop(kStopGrace);
  if (coordinator_ != nullptr) coordinator_->Stop(kStopGrace);
}

}  // namespace caldera::client
