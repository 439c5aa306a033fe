// The worker's flags: parsed once in main, a value afterwards. Precedence: flags, then CALDERA_*
// variables.
#ifndef CALDERA_WORKER_FLAGS_H_
#define CALDERA_WORKER_FLAGS_H_

#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "common/rpc/credentials.h"

namespace caldera::worker {

struct Flags {
  std::string coordinator;            // HOST:PORT
  std::string worker_id;              // "" = host name and process id
  std::string metrics_listen;         // "" = no exposer
  std::string store_access = "auto";  // "auto" or "stream"
  std::string log_level = "info";
  int threads = 0;  // per rank; 0 = all cores divided by ranks on this host
  double drain_timeout_seconds = 25;
  double hang_seconds = 120;      // for a task to stop when told to, before the process is ended
  double patience_seconds = 600;  // how long one call is retried while the coordinator is away
  double ask_seconds = 3;         // between questions whether a task shall go on, at most
  // When the worker's time is over (a batch system will end it then); far away when nobody said.
  absl::Time available_until = absl::InfiniteFuture();
  rpc::TlsFiles tls;
  rpc::PlaintextPolicy plaintext = rpc::PlaintextPolicy::kLoopbackOnly;
};

// What parsing came to: go on, or leave with this exit code (help, version, usage error).
struct ParsedFlags {
  Flags flags;
  int exit_code = -1;  // -1 = go on
};

// Prints help, version and usage errors itself.
ParsedFlags ParseFlags(int argc, char** argv);

}  // namespace caldera::worker

#endif  // CALDERA_WORKER_FLAGS_H_
