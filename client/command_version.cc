// caldera version: what this build is.
#include "client/context.h"
#include "common/base/build_info.h"
#include "common/base/status.h"

namespace caldera::client {

void AddVersion(CLI::App& app, Context& context, Action& action) {
  CLI::App& command = *app.add_subcommand("version", "what this build is");
  AddOutputFlag(command, context);
  command.callback([&context, &action] {
    action = [&context]() -> absl::Status {
      CALDERA_ASSIGN_OR_RETURN(const OutputFormat format, context.output());
      const base::BuildInfo build = base::GetBuildInfo();
      PrintObject({{"version", build.version},
                   {"commit", build.git_commit},
                   {"compiler", build.compiler},
                   {"build_type", build.build_type},
                   {"simd", build.simd_target}},
                  format);
      return absl::OkStatus();
    };
  });
}

}  // namespace caldera::client
