// The coordinator's Prometheus metrics and the HTTP endpoint that serves them.
//
// Names, units and labels: docs/operations. Counters and histograms are fed through Observer and
// the gRPC interceptor; gauges are computed from a snapshot at each scrape. Thread-safe.
#ifndef CALDERA_COORDINATOR_METRICS_H_
#define CALDERA_COORDINATOR_METRICS_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "coordinator/observer.h"

namespace caldera::coordinator {

class Metrics final : public Observer {
 public:
  Metrics();
  ~Metrics() override;

  // Asked for the gauges at each scrape, on the exposer's thread; nullptr stops asking (and waits
  // for a scrape in progress).
  void SetSnapshotSource(std::function<ClusterSnapshot()> source);

  // Serves /metrics on "host:port" (port 0 = any free one). UNAVAILABLE naming the address.
  absl::Status Listen(const std::string& address);
  // The port that Listen got, 0 before.
  int port() const;

  // The text of a scrape.
  std::string Scrape() const;

  // `method` without its service, "AcquireLease"; `code` as in "OK", "NOT_FOUND".
  void GrpcHandled(const std::string& method, const std::string& code, double seconds);

  void LeaseExpired() override;
  void AttemptEnded(TaskKind kind, const std::string& outcome) override;
  void TaskExhausted(TaskKind kind) override;
  void TaskCompleted(TaskKind kind, double seconds) override;
  void QueueWaited(double seconds) override;
  void MatrixCommitted(const std::string& projection, double relative_error) override;
  void StoreBytesWritten(std::uint64_t bytes) override;
  void StoreCommitTook(double seconds) override;
  void StoreVerifyFailed() override;

 private:
  struct Families;
  class GaugeCollector;
  const std::unique_ptr<Families> families_;
};

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_METRICS_H_
