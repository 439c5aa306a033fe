// A child process that never outlives its parent: the programs of the local cluster.
#ifndef CALDERA_CLIENT_CHILD_PROCESS_H_
#define CALDERA_CLIENT_CHILD_PROCESS_H_

#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace caldera::client {

class ChildProcess {
 public:
  struct Options {
    std::vector<std::string> command;      // program (a path, or found in PATH) and arguments
    std::vector<std::string> environment;  // "NAME=value", added to ours
    std::string log_file;                  // stdout and stderr are appended here
  };

  // NOT_FOUND naming the program when it cannot be started. The child runs in a process group of
  // its own (Ctrl-C does not reach it) and gets SIGTERM when this process dies.
  static absl::StatusOr<ChildProcess> Start(const Options& options);
  ChildProcess(ChildProcess&& other) noexcept
      : pid_(std::exchange(other.pid_, -1)), status_(other.status_) {}
  ChildProcess& operator=(ChildProcess&& other) noexcept;
  // Stop with ten seconds.
  ~ChildProcess();

  pid_t pid() const { return pid_; }
  // The wait status once the child has ended; nothing while it runs.
  std::optional<int> Poll();
  // SIGTERM, then SIGKILL to the whole group after `grace`; waits for the end.
  void Stop(absl::Duration grace);

 private:
  explicit ChildProcess(pid_t pid) : pid_(pid) {}
  pid_t pid_ = -1;
  std::optional<int> status_;
};

// Path of a program that lies beside this one; NOT_FOUND names where it was looked for.
absl::StatusOr<std::string> SiblingProgram(const std::string& name);

// "exit code 3" or "signal 9".
std::string DescribeWaitStatus(int status);

}  // namespace caldera::client

#endif  // CALDERA_CLIENT_CHILD_PROCESS_H_
