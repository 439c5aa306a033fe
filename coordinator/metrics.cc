#include "coordinator/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/exposer.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <exception>
#include <utility>
#include <vector>

#include "common/base/build_info.h"
#include "common/base/mutex.h"
#include "common/base/status.h"
#include "common/rpc/listening.h"
#include "coordinator/gauge_families.h"

namespace caldera::coordinator {
namespace {

using Buckets = prometheus::Histogram::BucketBoundaries;
using CounterFamily = prometheus::Family<prometheus::Counter>;
using HistogramFamily = prometheus::Family<prometheus::Histogram>;

const Buckets kCallSeconds = {0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 30, 120};
const Buckets kTaskSeconds = {1, 5, 20, 60, 300, 1200, 3600, 14400, 43200};
const Buckets kErrors = {0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5};

CounterFamily& MakeCounter(const std::string& name, const std::string& help,
                           prometheus::Registry* registry) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(*registry);
}

HistogramFamily& MakeHistogram(const std::string& name, const std::string& help,
                               prometheus::Registry* registry) {
  return prometheus::BuildHistogram().Name(name).Help(help).Register(*registry);
}

}  // namespace

// Gauges exist only while they are collected.
class Metrics::GaugeCollector : public prometheus::Collectable {
 public:
  std::vector<prometheus::MetricFamily> Collect() const override {
    std::vector<prometheus::MetricFamily> families = ProcessFamilies();
    base::MutexLock lock(mutex_);
    if (source_ == nullptr) return families;
    for (prometheus::MetricFamily& family : ClusterFamilies(source_())) {
      families.push_back(std::move(family));
    }
    return families;
  }

  void SetSource(std::function<ClusterSnapshot()> source) {
    base::MutexLock lock(mutex_);
    source_ = std::move(source);
  }

 private:
  mutable base::Mutex mutex_;
  std::function<ClusterSnapshot()> source_ ABSL_GUARDED_BY(mutex_);
};

struct Metrics::Families {
  std::shared_ptr<prometheus::Registry> registry = std::make_shared<prometheus::Registry>();
  std::shared_ptr<GaugeCollector> gauges = std::make_shared<GaugeCollector>();
  std::unique_ptr<prometheus::Exposer> exposer;

  CounterFamily& handled =
      MakeCounter("caldera_grpc_server_handled_total", "Calls answered.", registry.get());
  HistogramFamily& handling =
      MakeHistogram("caldera_grpc_server_handling_seconds",
                    "Time from a call to its answer, long polls included.", registry.get());
  CounterFamily& expirations = MakeCounter("caldera_lease_expirations_total",
                                           "Leases that ran out or stalled.", registry.get());
  CounterFamily& attempts =
      MakeCounter("caldera_task_attempts_total", "Attempts that ended.", registry.get());
  CounterFamily& exhausted = MakeCounter(
      "caldera_tasks_exhausted_total",
      "Tasks that failed too often, or for good, and with them their job.", registry.get());
  HistogramFamily& durations = MakeHistogram("caldera_task_duration_seconds",
                                             "Time of attempts that completed.", registry.get());
  HistogramFamily& waits =
      MakeHistogram("caldera_queue_wait_seconds",
                    "Time between a task being able to run and its lease.", registry.get());
  HistogramFamily& errors = MakeHistogram("caldera_relative_error",
                                          "Relative error of committed matrices.", registry.get());
  CounterFamily& bytes = MakeCounter("caldera_store_bytes_written_total",
                                     "Bytes of objects that became durable.", registry.get());
  HistogramFamily& commits = MakeHistogram("caldera_store_commit_seconds",
                                           "Time to check and commit a matrix.", registry.get());
  CounterFamily& verify_failures =
      MakeCounter("caldera_store_verify_failures_total",
                  "Stored bytes found to differ from their digest.", registry.get());
};

Metrics::Metrics() : families_(std::make_unique<Families>()) {
  const base::BuildInfo build = base::GetBuildInfo();
  prometheus::BuildGauge()
      .Name("caldera_build_info")
      .Help("Always 1; the labels say what runs.")
      .Register(*families_->registry)
      .Add({{"version", build.version}, {"commit", build.git_commit}, {"program", "coordinator"}})
      .Set(1);
  // Series without labels exist from the start: a rate over them needs the zero.
  families_->expirations.Add({});
  families_->bytes.Add({});
  families_->verify_failures.Add({});
  for (const TaskKind kind :
       {TaskKind::kCalibrate, TaskKind::kCompress, TaskKind::kEmbeddings, TaskKind::kProbe}) {
    families_->exhausted.Add({{"kind", TaskKindName(kind)}});
  }
  families_->waits.Add({}, kTaskSeconds);
  families_->commits.Add({}, kCallSeconds);
}

Metrics::~Metrics() = default;

void Metrics::SetSnapshotSource(std::function<ClusterSnapshot()> source) {
  families_->gauges->SetSource(std::move(source));
}

absl::Status Metrics::Listen(const std::string& address) {
  // The exposer's HTTP server reports a taken port by an exception.
  try {
    families_->exposer = std::make_unique<prometheus::Exposer>(address, 2);
  } catch (const std::exception& error) {
    return base::Unavailable("metrics on {}: {}", address,
                             rpc::WhyNoListening(address).value_or(error.what()));
  }
  families_->exposer->RegisterCollectable(families_->registry);
  families_->exposer->RegisterCollectable(families_->gauges);
  return absl::OkStatus();
}

int Metrics::port() const {
  if (families_->exposer == nullptr) return 0;
  const std::vector<int> ports = families_->exposer->GetListeningPorts();
  return ports.empty() ? 0 : ports.front();
}

std::string Metrics::Scrape() const {
  std::vector<prometheus::MetricFamily> all = families_->registry->Collect();
  for (prometheus::MetricFamily& family : families_->gauges->Collect()) {
    all.push_back(std::move(family));
  }
  return prometheus::TextSerializer().Serialize(all);
}

void Metrics::GrpcHandled(const std::string& method, const std::string& code, double seconds) {
  families_->handled.Add({{"method", method}, {"code", code}}).Increment();
  families_->handling.Add({{"method", method}}, kCallSeconds).Observe(seconds);
}

void Metrics::LeaseExpired() { families_->expirations.Add({}).Increment(); }

void Metrics::AttemptEnded(TaskKind kind, const std::string& outcome) {
  families_->attempts.Add({{"kind", TaskKindName(kind)}, {"outcome", outcome}}).Increment();
}

void Metrics::TaskExhausted(TaskKind kind) {
  families_->exhausted.Add({{"kind", TaskKindName(kind)}}).Increment();
}

void Metrics::TaskCompleted(TaskKind kind, double seconds) {
  families_->durations.Add({{"kind", TaskKindName(kind)}}, kTaskSeconds).Observe(seconds);
}

void Metrics::QueueWaited(double seconds) {
  families_->waits.Add({}, kTaskSeconds).Observe(seconds);
}

void Metrics::MatrixCommitted(const std::string& projection, double relative_error) {
  families_->errors.Add({{"projection", projection}}, kErrors).Observe(relative_error);
}

void Metrics::StoreBytesWritten(std::uint64_t bytes) {
  families_->bytes.Add({}).Increment(static_cast<double>(bytes));
}

void Metrics::StoreCommitTook(double seconds) {
  families_->commits.Add({}, kCallSeconds).Observe(seconds);
}

void Metrics::StoreVerifyFailed() { families_->verify_failures.Add({}).Increment(); }

}  // namespace caldera::coordinator
