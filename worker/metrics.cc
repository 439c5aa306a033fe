#include "worker/metrics.h"

#include <prometheus/collectable.h>
#include <prometheus/counter.h>
#include <prometheus/exposer.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <exception>
#include <span>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/base/build_info.h"
#include "common/base/process_info.h"
#include "common/base/status.h"

namespace caldera::worker {
namespace {

prometheus::MetricFamily Family(const std::string& name, const std::string& help,
                                prometheus::MetricType type, double value) {
  prometheus::MetricFamily family{name, help, type, {}};
  prometheus::ClientMetric metric;
  if (type == prometheus::MetricType::Counter) {
    metric.counter.value = value;
  } else {
    metric.gauge.value = value;
  }
  family.metric.push_back(std::move(metric));
  return family;
}

// process_*, read at scrape time.
class ProcessCollector final : public prometheus::Collectable {
 public:
  std::vector<prometheus::MetricFamily> Collect() const override {
    using Type = prometheus::MetricType;
    const base::ProcessInfo info = base::GetProcessInfo();
    return {Family("process_cpu_seconds_total", "User and system CPU time spent.", Type::Counter,
                   info.cpu_seconds),
            Family("process_resident_memory_bytes", "Resident memory size.", Type::Gauge,
                   static_cast<double>(info.resident_bytes)),
            Family("process_virtual_memory_bytes", "Virtual memory size.", Type::Gauge,
                   static_cast<double>(info.virtual_bytes)),
            Family("process_open_fds", "Open file descriptors.", Type::Gauge,
                   static_cast<double>(info.open_files)),
            Family("process_start_time_seconds", "Unix time at which the process started.",
                   Type::Gauge, info.start_time_seconds)};
  }
};

const prometheus::Histogram::BucketBoundaries kDurationBuckets = {0.1, 0.3, 1,   3,    10,
                                                                  30,  100, 300, 1000, 3000};

}  // namespace

struct Metrics::Impl {
  std::shared_ptr<prometheus::Registry> registry = std::make_shared<prometheus::Registry>();
  std::shared_ptr<ProcessCollector> process = std::make_shared<ProcessCollector>();
  prometheus::Family<prometheus::Counter>& attempts =
      prometheus::BuildCounter()
          .Name("caldera_task_attempts_total")
          .Help("Leases that this worker has ended, by kind of task and outcome.")
          .Register(*registry);
  prometheus::Family<prometheus::Histogram>& durations =
      prometheus::BuildHistogram()
          .Name("caldera_task_duration_seconds")
          .Help("Time from lease to completion, by kind of task.")
          .Register(*registry);
  prometheus::Counter& flops = prometheus::BuildCounter()
                                   .Name("caldera_flops_total")
                                   .Help("Floating-point operations of decompositions, all ranks.")
                                   .Register(*registry)
                                   .Add({});
  prometheus::Family<prometheus::Counter>& collectives =
      prometheus::BuildCounter()
          .Name("caldera_mpi_collective_seconds_total")
          .Help("Time that rank 0 spent inside collectives, by operation.")
          .Register(*registry);
  std::unique_ptr<prometheus::Exposer> exposer;
};

Metrics::Metrics() : impl_(std::make_unique<Impl>()) {
  const base::BuildInfo build = base::GetBuildInfo();
  prometheus::BuildGauge()
      .Name("caldera_build_info")
      .Help("Version of this binary; always 1.")
      .Register(*impl_->registry)
      .Add({{"version", build.version}, {"commit", build.git_commit}})
      .Set(1);
}

Metrics::~Metrics() = default;

absl::Status Metrics::Serve(const std::string& address) {
  try {
    impl_->exposer = std::make_unique<prometheus::Exposer>(address);
  } catch (const std::exception& error) {
    return base::Unavailable("metrics endpoint {}: {}", address, error.what());
  }
  impl_->exposer->RegisterCollectable(impl_->registry);
  impl_->exposer->RegisterCollectable(impl_->process);
  return absl::OkStatus();
}

void Metrics::Observe(const TaskOutcome& outcome) {
  const std::string result = absl::StatusCodeToString(outcome.status.code());
  impl_->attempts.Add({{"kind", outcome.kind}, {"outcome", result}}).Increment();
  impl_->durations.Add({{"kind", outcome.kind}}, kDurationBuckets).Observe(outcome.seconds);
  impl_->flops.Increment(outcome.flops);
}

void Metrics::AddCollectiveSeconds(const std::string& operation, double seconds) {
  impl_->collectives.Add({{"op", operation}}).Increment(seconds);
}

namespace {

class MeteredCommunicator final : public dist::Communicator {
 public:
  MeteredCommunicator(dist::Communicator& inner, Metrics& metrics)
      : inner_(inner), metrics_(metrics) {}

  int rank() const override { return inner_.rank(); }
  int size() const override { return inner_.size(); }
  void Barrier() override {
    Time("barrier", [&] { inner_.Barrier(); });
  }
  void Broadcast(std::span<std::byte> bytes, int root) override {
    Time("broadcast", [&] { inner_.Broadcast(bytes, root); });
  }
  void BroadcastWhenReady(std::vector<std::byte>& message, int root) override {
    inner_.BroadcastWhenReady(message, root);  // idle time, not the cost of a collective
  }
  void AllReduceSum(std::span<double> values) override {
    Time("all_reduce_sum", [&] { inner_.AllReduceSum(values); });
  }
  void AllReduceMax(std::span<double> values) override {
    Time("all_reduce_max", [&] { inner_.AllReduceMax(values); });
  }
  std::vector<std::byte> AllGather(std::span<const std::byte> bytes) override {
    std::vector<std::byte> all;
    Time("all_gather", [&] { all = inner_.AllGather(bytes); });
    return all;
  }
  std::vector<std::byte> Gather(std::span<const std::byte> bytes, int root) override {
    std::vector<std::byte> all;
    Time("gather", [&] { all = inner_.Gather(bytes, root); });
    return all;
  }
  std::unique_ptr<dist::SharedBytes> Share(std::size_t size) override {
    std::unique_ptr<dist::SharedBytes> shared;
    Time("share", [&] { shared = inner_.Share(size); });
    return shared;
  }
  void Signal() override { inner_.Signal(); }
  bool Signalled() override { return inner_.Signalled(); }
  void ClearSignal() override { inner_.ClearSignal(); }

 private:
  template <typename Body>
  void Time(const char* operation, Body body) {
    const absl::Time started = absl::Now();
    body();
    metrics_.AddCollectiveSeconds(operation, absl::ToDoubleSeconds(absl::Now() - started));
  }

  dist::Communicator& inner_;
  Metrics& metrics_;
};

}  // namespace

std::unique_ptr<dist::Communicator> MakeMeteredCommunicator(dist::Communicator& inner,
                                                            Metrics& metrics) {
  return std::make_unique<MeteredCommunicator>(inner, metrics);
}

}  // namespace caldera::worker
