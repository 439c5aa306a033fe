// caldera health: what the coordinator's health service says.
#include <memory>

#include "client/context.h"
#include "common/base/status.h"

namespace caldera::client {

void AddHealth(CLI::App& app, Context& context, Action& action) {
  const auto service = std::make_shared<std::string>();
  CLI::App& command = *app.add_subcommand("health", "is the coordinator serving?");
  AddOutputFlag(command, context);
  AddConnectionFlags(command, context);
  command.add_option("--service", *service, "one service, such as caldera.v1.DispatchService");
  command.callback([service, &context, &action] {
    action = [service, &context]() -> absl::Status {
      CALDERA_ASSIGN_OR_RETURN(const OutputFormat format, context.output());
      CALDERA_ASSIGN_OR_RETURN(const auto client, context.Connect());
      CALDERA_ASSIGN_OR_RETURN(const rpc::ServingStatus status, client->Health(*service));
      const bool serving = status == rpc::ServingStatus::kServing;
      const std::string& address = context.flags().coordinator;
      PrintObject({{"coordinator", address}, {"status", serving ? "SERVING" : "NOT_SERVING"}},
                  format);
      if (serving) return absl::OkStatus();
      return base::Unavailable("{} is not serving", address);
    };
  });
}

}  // namespace caldera::client
