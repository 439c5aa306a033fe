// The local cluster of `caldera compress`: a coordinator and workers as child processes on
// 127.0.0.1.
//
// The programs are those beside this one. They talk gRPC like any other cluster, over a free port
// and with a private state directory. Thread rule: one thread.
#ifndef CALDERA_CLIENT_LOCAL_CLUSTER_H_
#define CALDERA_CLIENT_LOCAL_CLUSTER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/child_process.h"

namespace caldera::client {

struct LocalClusterOptions {
  std::string directory;       // state, store and logs; created
  int workers = 1;             // processes or MPI jobs
  int ranks = 1;               // per worker; above 1 each worker is an `mpirun -n ranks`
  int threads = 0;             // per rank; 0 = all cores shared out over workers and ranks
  std::string metrics_listen;  // of the coordinator, HOST:PORT; "" = none
};

class LocalCluster {
 public:
  // Starts everything and waits until the coordinator has told its address. FAILED_PRECONDITION
  // with the last lines of its log when a program ends at once.
  static absl::StatusOr<std::unique_ptr<LocalCluster>> Start(const LocalClusterOptions& options);

  const std::string& address() const { return address_; }
  // Lets its holder do everything. Made at each start, so that other users of the machine, who can
  // reach the port, cannot use the cluster.
  const std::string& token() const { return token_; }
  std::string log_directory() const;
  // OK while the coordinator and at least one worker live. A worker that died is started again, up
  // to five times in all; after that INTERNAL tells how it ended.
  absl::Status Check();
  // Workers first, then the coordinator.
  void Stop();

 private:
  explicit LocalCluster(const LocalClusterOptions& options) : options_(options) {}
  absl::Status MakeToken();
  absl::Status StartCoordinator();
  absl::StatusOr<ChildProcess> StartWorker(int index) const;

  const LocalClusterOptions options_;
  std::string address_;
  std::string token_;
  std::unique_ptr<ChildProcess> coordinator_;
  std::vector<ChildProcess> workers_;
  int restarts_ = 0;
};

}  // namespace caldera::client

#endif  // CALDERA_CLIENT_LOCAL_CLUSTER_H_
