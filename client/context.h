// What every command gets: the common flags, and how to say things.
#ifndef CALDERA_CLIENT_CONTEXT_H_
#define CALDERA_CLIENT_CONTEXT_H_

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/compression_client.h"
#include "client/output.h"

namespace caldera::client {

// Flags that more than one command knows.
struct CommonFlags {
  std::string coordinator = "127.0.0.1:7070";
  std::string output = "table";
  double patience_seconds = 10;
  rpc::ChannelOptions channel;
  rpc::TokenPlace token;
};

class Context {
 public:
  CommonFlags& flags() { return flags_; }
  // INVALID_ARGUMENT for an unknown -o.
  absl::StatusOr<OutputFormat> output() const { return ParseOutputFormat(flags_.output); }
  // A client for --coordinator.
  absl::StatusOr<std::unique_ptr<CompressionClient>> Connect() const;

 private:
  CommonFlags flags_;
};

// A command of the program: AddX registers the subcommand and its flags, and puts what it does into
// `run` when it is the one that was given.
using Action = std::function<absl::Status()>;

// -o/--output, and the flags of a connection.
void AddOutputFlag(CLI::App& command, Context& context);
void AddConnectionFlags(CLI::App& command, Context& context);

// Registration of each command (client/command_*.cc). `context` and `action` outlive the app.
void AddCompress(CLI::App& app, Context& context, Action& action);
void AddEstimate(CLI::App& app, Context& context, Action& action);
void AddSubmit(CLI::App& app, Context& context, Action& action);
void AddJobCommands(CLI::App& app, Context& context,
                    Action& action);  // list get wait cancel delete workers
void AddWatch(CLI::App& app, Context& context, Action& action);
void AddHealth(CLI::App& app, Context& context, Action& action);
void AddDownload(CLI::App& app, Context& context, Action& action);
void AddInspect(CLI::App& app, Context& context, Action& action);  // inspect verify
void AddEval(CLI::App& app, Context& context, Action& action);
void AddDecompose(CLI::App& app, Context& context, Action& action);
void AddLplr(CLI::App& app, Context& context, Action& action);
void AddExport(CLI::App& app, Context& context, Action& action);
void AddVersion(CLI::App& app, Context& context, Action& action);
void AddRecover(CLI::App& app, Action& action);
void AddToken(CLI::App& app, Action& action);

}  // namespace caldera::client

#endif  // CALDERA_CLIENT_CONTEXT_H_
