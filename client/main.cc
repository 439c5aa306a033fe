// caldera: submits, watches and uses compressed models; `caldera compress` is the whole service on
// one machine.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "client/context.h"
#include "client/exit_code.h"
#include "common/base/build_info.h"

namespace caldera::client {
namespace {

int Run(int argc, char** argv) {
  CLI::App app("Compresses large language models: every linear layer becomes Q + L R.");
  app.set_version_flag("--version", base::GetBuildInfo().version);
  app.require_subcommand(1);
  Context context;
  Action action;
  AddCompress(app, context, action);
  AddEstimate(app, context, action);
  AddSubmit(app, context, action);
  AddJobCommands(app, context, action);
  AddWatch(app, context, action);
  AddHealth(app, context, action);
  AddDownload(app, context, action);
  AddInspect(app, context, action);
  AddEval(app, context, action);
  AddDecompose(app, context, action);
  AddLplr(app, context, action);
  AddExport(app, context, action);
  AddRecover(app, action);
  AddToken(app, action);
  AddVersion(app, context, action);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : static_cast<int>(ExitCode::kUsage);
  }
  const absl::Status status = action();
  if (!status.ok()) {
    const std::string message(status.message().data(), status.message().size());
    fmt::print(stderr, "caldera: {}\n", message);
  }
  return static_cast<int>(ExitCodeOf(status));
}

}  // namespace
}  // namespace caldera::client

int main(int argc, char** argv) { return caldera::client::Run(argc, argv); }
