// A coordinator as a child process on 127.0.0.1, and what it has used.
#ifndef CALDERA_BENCH_COORDINATOR_PROCESS_H_
#define CALDERA_BENCH_COORDINATOR_PROCESS_H_

#include <string>

#include "client/child_process.h"
#include "nlohmann/json.hpp"

namespace caldera::bench {

// Ends the process of the benchmark when it does not start.
class CoordinatorProcess {
 public:
  // State and log below `directory`; returns when it listens.
  CoordinatorProcess(const std::string& directory, const std::string& store);

  const std::string& address() const { return address_; }
  // {rss_peak_mib, cpu_seconds} so far.
  nlohmann::ordered_json Usage() const;

 private:
  client::ChildProcess process_;
  std::string address_;
};

}  // namespace caldera::bench

#endif  // CALDERA_BENCH_COORDINATOR_PROCESS_H_
