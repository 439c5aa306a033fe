// caldera watch JOB | wait JOB: follow a job, or only wait for its end. Ctrl-C leaves the job
// running.
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <cstring>
#include <memory>

#include "client/context.h"
#include "client/exit_code.h"
#include "client/progress.h"
#include "common/base/status.h"

namespace caldera::client {
namespace {

struct WatchFlags {
  std::string job;
  std::int64_t after = 0;
};

// Only calls that are safe in a signal handler.
void LeaveRunning(int) {
  constexpr char kMessage[] =
      "\ncaldera: the job goes on; see it again with `caldera watch JOB`, end it with `caldera "
      "cancel JOB`\n";
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, kMessage, sizeof(kMessage) - 1);
  _exit(static_cast<int>(ExitCode::kInterrupted));
}

absl::Status Follow(const WatchFlags& flags, const Context& context,
                    const CompressionClient::OnEvent& on_event) {
  CALDERA_ASSIGN_OR_RETURN(const OutputFormat format, context.output());
  CALDERA_ASSIGN_OR_RETURN(const auto client, context.Connect());
  signal(SIGINT, LeaveRunning);
  CALDERA_ASSIGN_OR_RETURN(const v1::CompressionJob job,
                           client->Watch(flags.job, flags.after, on_event));
  if (format != OutputFormat::kJsonLines) PrintObject(ToJson(job), format);
  return StatusOfEnd(job);
}

absl::Status Watch(const WatchFlags& flags, const Context& context) {
  CALDERA_ASSIGN_OR_RETURN(const OutputFormat format, context.output());
  ProgressPrinter progress(StderrTerminal());
  return Follow(flags, context, [&](const v1::JobEvent& event) {
    if (format == OutputFormat::kJsonLines) {
      PrintObject(ToJson(event), format);
    } else {
      progress.Show(event);
    }
    return true;
  });
}

void Add(CLI::App& app, Context& context, Action& action,
         const std::pair<std::string, std::string>& name_and_help,
         absl::Status (*run)(const WatchFlags&, const Context&)) {
  const auto flags = std::make_shared<WatchFlags>();
  CLI::App& command = *app.add_subcommand(name_and_help.first, name_and_help.second);
  AddOutputFlag(command, context);
  AddConnectionFlags(command, context);
  command.add_option("JOB", flags->job, "name of the job")->required();
  command.add_option("--after", flags->after, "sequence number of the last event seen");
  command.callback([flags, &context, &action, run] {
    action = [flags, &context, run] { return run(*flags, context); };
  });
}

}  // namespace

void AddWatch(CLI::App& app, Context& context, Action& action) {
  Add(app, context, action, {"watch", "follow a job's events"}, Watch);
  Add(app, context, action, {"wait", "wait until a job has ended"},
      [](const WatchFlags& flags, const Context& with) {
        return Follow(flags, with, [](const v1::JobEvent&) { return true; });
      });
}

}  // namespace caldera::client
