// caldera submit MODEL OUT: starts a job at a coordinator and prints its name.
#include <memory>

#include "client/context.h"
#include "client/spec_flags.h"
#include "common/base/status.h"
#include "common/base/uuid.h"

namespace caldera::client {
namespace {

struct SubmitFlags {
  SpecFlags spec;
  std::string job_id;
  int priority = 0;
  bool validate_only = false;
};

absl::Status Submit(const SubmitFlags& flags, const Context& context) {
  CALDERA_ASSIGN_OR_RETURN(OutputFormat format, context.output());
  CALDERA_ASSIGN_OR_RETURN(const auto client, context.Connect());
  v1::CreateCompressionJobRequest request;
  CALDERA_ASSIGN_OR_RETURN(*request.mutable_spec(), ToSpec(flags.spec));
  request.set_job_id(flags.job_id);
  request.set_priority(flags.priority);
  request.set_validate_only(flags.validate_only);
  // A retry after a lost answer must not start a second job.
  request.set_request_id(base::NewUuid());
  CALDERA_ASSIGN_OR_RETURN(const v1::CompressionJob job, client->Create(request));
  if (format == OutputFormat::kTable) format = OutputFormat::kName;
  PrintObject(ToJson(job), format);
  return absl::OkStatus();
}

}  // namespace

void AddSubmit(CLI::App& app, Context& context, Action& action) {
  const auto flags = std::make_shared<SubmitFlags>();
  CLI::App& command = *app.add_subcommand("submit", "start a job at a coordinator");
  AddSpecFlags(command, flags->spec);
  AddOutputFlag(command, context);
  AddConnectionFlags(command, context);
  command.add_option("--job-id", flags->job_id, "name of the job, [a-z0-9-]");
  command.add_option("--priority", flags->priority, "higher runs first");
  command.add_flag("--validate-only", flags->validate_only, "check the job, start nothing");
  command.callback([flags, &context, &action] {
    action = [flags, &context] { return Submit(*flags, context); };
  });
}

}  // namespace caldera::client
