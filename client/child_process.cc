#include "client/child_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "absl/time/clock.h"
#include "common/base/file.h"
#include "common/base/status.h"

namespace caldera::client {
namespace {

std::vector<char*> Pointers(std::vector<std::string>& words) {
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  return pointers;
}

std::vector<std::string> Environment(const std::vector<std::string>& added) {
  std::vector<std::string> all;
  for (char** entry = environ; *entry != nullptr; ++entry) all.emplace_back(*entry);
  all.insert(all.end(), added.begin(), added.end());
  return all;
}

// Runs in the child between fork and exec: only calls that are safe there. Reports errno of a
// failed exec.
[[noreturn]] void Become(char** command, char** environment, int log, int report) {
  setpgid(0, 0);
  // Our own mask and handlers are no business of the child's.
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  for (const int signal_number : {SIGINT, SIGTERM, SIGHUP}) signal(signal_number, SIG_DFL);
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  dup2(log, STDOUT_FILENO);
  dup2(log, STDERR_FILENO);
  execvpe(command[0], command, environment);
  const int error = errno;
  [[maybe_unused]] const ssize_t written = write(report, &error, sizeof(error));
  _exit(127);
}

}  // namespace

absl::StatusOr<ChildProcess> ChildProcess::Start(const Options& options) {
  std::vector<std::string> command = options.command;
  std::vector<std::string> environment = Environment(options.environment);
  const std::vector<char*> command_pointers = Pointers(command);
  const std::vector<char*> environment_pointers = Pointers(environment);
  const base::UniqueFd log(
      open(options.log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (!log) return base::ErrnoToStatus(errno, options.log_file);
  int pipe_ends[2];
  if (pipe2(pipe_ends, O_CLOEXEC) != 0) return base::ErrnoToStatus(errno, "pipe");
  const base::UniqueFd read_end(pipe_ends[0]);
  base::UniqueFd write_end(pipe_ends[1]);
  const pid_t pid = fork();
  if (pid < 0) return base::ErrnoToStatus(errno, "fork");
  if (pid == 0) {
    Become(const_cast<char**>(command_pointers.data()),
           const_cast<char**>(environment_pointers.data()), log.get(), write_end.get());
  }
  write_end = base::UniqueFd();
  int error = 0;
  // The pipe closes without a word when exec succeeds.
  const ssize_t got = read(read_end.get(), &error, sizeof(error));
  if (got == sizeof(error)) {
    waitpid(pid, nullptr, 0);
    return base::ErrnoToStatus(error, "cannot start " + options.command.front());
  }
  return ChildProcess(pid);
}

ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(status_, other.status_);
  return *this;
}

ChildProcess::~ChildProcess() { Stop(absl::Seconds(10)); }

std::optional<int> ChildProcess::Poll() {
  int status = 0;
  if (pid_ > 0 && !status_ && waitpid(pid_, &status, WNOHANG) == pid_) status_ = status;
  return status_;
}

void ChildProcess::Stop(absl::Duration grace) {
  if (pid_ <= 0 || Poll()) return;
  kill(pid_, SIGTERM);
  const absl::Time deadline = absl::Now() + grace;
  while (!Poll()) {
    if (absl::Now() > deadline) kill(-pid_, SIGKILL);
    absl::SleepFor(absl::Milliseconds(10));
  }
}

absl::StatusOr<std::string> SiblingProgram(const std::string& name) {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  const std::string path = (self.parent_path() / name).string();
  if (error || !base::Exists(path)) {
    return base::NotFound("program {} is not beside caldera", path);
  }
  return path;
}

std::string DescribeWaitStatus(int status) {
  return WIFSIGNALED(status) ? fmt::format("signal {}", WTERMSIG(status))
                             : fmt::format("exit code {}", WEXITSTATUS(status));
}

}  // namespace caldera::client
