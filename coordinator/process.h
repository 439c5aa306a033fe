// The coordinator as a running process: everything composed, listening, ticking, and taken down in
// order. main() only reads flags and waits for a signal; service tests start the same thing.
#ifndef CALDERA_COORDINATOR_PROCESS_H_
#define CALDERA_COORDINATOR_PROCESS_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/rpc/server.h"
#include "coordinator/coordinator.h"
#include "coordinator/recover.h"

namespace caldera::coordinator {

struct ProcessOptions {
  std::string state_dir;       // a local directory; created; locked while the process lives
  std::string store_uri;       // "" = <state_dir>/store
  std::string metrics_listen;  // "" = none
  std::string address_file;    // "" = none; gets "host:port\n" by rename once listening
  rpc::ServerOptions server;
  CoreOptions core;
  int slow_threads = 4;
  absl::Duration tick = absl::Milliseconds(500);
  // Staged files of the store that nobody has written to for so long are removed.
  absl::Duration staging_age = absl::Hours(24);
};

// Not movable; Start and Stop from one thread.
class Process {
 public:
  // `clock` outlives the process. Errors: FAILED_PRECONDITION when another coordinator holds the
  // state directory; those of opening state and store, and of listening.
  static absl::StatusOr<std::unique_ptr<Process>> Start(ProcessOptions options, base::Clock* clock,
                                                        base::Logger log);
  // Instead of serving: recovers the jobs of the store's receipts into the state directory
  // (recover.h). Reads state_dir and store_uri only. Same errors.
  static absl::StatusOr<Recovery> Recover(ProcessOptions options, base::Clock* clock);
  ~Process();

  const std::string& address() const;  // host:port of gRPC
  int metrics_port() const;            // 0 without metrics
  Coordinator& coordinator();

  // Refuses new calls, lets those in flight end within `grace`, then ends. Repeating does nothing.
  void Stop(absl::Duration grace);

 private:
  struct Parts;
  explicit Process(std::unique_ptr<Parts> parts);
  const std::unique_ptr<Parts> parts_;
};

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_PROCESS_H_
