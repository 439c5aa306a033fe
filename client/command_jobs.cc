// caldera list | get | cancel | delete | layers | workers: one call each.
#include <memory>
#include <string>
#include <vector>

#include "client/context.h"
#include "common/base/status.h"

namespace caldera::client {
namespace {

template <typename Message>
std::vector<Json> ToJsonList(const std::vector<Message>& messages) {
  std::vector<Json> items;
  for (const Message& message : messages) items.push_back(ToJson(message));
  return items;
}

absl::Status List(const Context& context, const std::string& filter) {
  CALDERA_ASSIGN_OR_RETURN(const OutputFormat format, context.output());
  CALDERA_ASSIGN_OR_RETURN(const auto client, context.Connect());
  CALDERA_ASSIGN_OR_RETURN(const auto jobs, client->List(filter));
  PrintList("jobs", ToJsonList(jobs),
            {{"name", "NAME"},
             {"state", "STATE"},
             {"/progress/ratio", "PROGRESS"},
             {"/progress/mean_relative_error", "ERROR"},
             {"create_time", "CREATED"},
             {"/spec/output_uri", "OUTPUT"}},
            format);
  return absl::OkStatus();
}

absl::Status Layers(const Context& context, const std::string& job) {
  CALDERA_ASSIGN_OR_RETURN(const OutputFormat format, context.output());
  CALDERA_ASSIGN_OR_RETURN(const auto client, context.Connect());
  CALDERA_ASSIGN_OR_RETURN(const auto layers, client->ListLayers(job));
  PrintList("layers", ToJsonList(layers),
            {{"index", "LAYER"}, {"state", "STATE"}, {"attempt", "ATTEMPT"}, {"worker", "WORKER"}},
            format);
  return absl::OkStatus();
}

absl::Status Workers(const Context& context) {
  CALDERA_ASSIGN_OR_RETURN(const OutputFormat format, context.output());
  CALDERA_ASSIGN_OR_RETURN(const auto client, context.Connect());
  CALDERA_ASSIGN_OR_RETURN(const auto workers, client->ListWorkers());
  std::vector<Json> items = ToJsonList(workers);
  for (Json& item : items) item["name"] = item["worker_id"];
  PrintList("workers", items,
            {{"worker_id", "WORKER"},
             {"state", "STATE"},
             {"ranks", "RANKS"},
             {"threads_per_rank", "THREADS"},
             {"host", "HOST"},
             {"lease", "WORK"}},
            format);
  return absl::OkStatus();
}

// Get and Cancel print the job.
using JobCall = absl::StatusOr<v1::CompressionJob> (CompressionClient::*)(const std::string&);
absl::Status PrintJob(const Context& context, const std::string& job, JobCall call) {
  CALDERA_ASSIGN_OR_RETURN(const OutputFormat format, context.output());
  CALDERA_ASSIGN_OR_RETURN(const auto client, context.Connect());
  CALDERA_ASSIGN_OR_RETURN(const v1::CompressionJob found, (client.get()->*call)(job));
  PrintObject(ToJson(found), format);
  return absl::OkStatus();
}

absl::Status Resume(const Context& context, const v1::ResumeCompressionJobRequest& request) {
  CALDERA_ASSIGN_OR_RETURN(const OutputFormat format, context.output());
  CALDERA_ASSIGN_OR_RETURN(const auto client, context.Connect());
  CALDERA_ASSIGN_OR_RETURN(const v1::CompressionJob resumed, client->Resume(request));
  PrintObject(ToJson(resumed), format);
  return absl::OkStatus();
}

absl::Status Delete(const Context& context, const std::string& job) {
  CALDERA_ASSIGN_OR_RETURN(const auto client, context.Connect());
  return client->Delete(job);
}

CLI::App& AddCall(CLI::App& app, Context& context, const std::string& name,
                  const std::string& help) {
  CLI::App& command = *app.add_subcommand(name, help);
  AddOutputFlag(command, context);
  AddConnectionFlags(command, context);
  return command;
}

// A command with one JOB argument.
void AddJobCall(CLI::App& app, Context& context, Action& action,
                const std::pair<std::string, std::string>& name_and_help,
                std::function<absl::Status(const std::string&)> call) {
  const auto job = std::make_shared<std::string>();
  CLI::App& command = AddCall(app, context, name_and_help.first, name_and_help.second);
  command.add_option("JOB", *job, "name of the job")->required();
  command.callback([job, call, &action] { action = [job, call] { return call(*job); }; });
}

void AddResume(CLI::App& app, Context& context, Action& action) {
  const auto request = std::make_shared<v1::ResumeCompressionJobRequest>();
  const auto accept = std::make_shared<bool>(false);
  const auto job = std::make_shared<std::string>();
  CLI::App& command = AddCall(app, context, "resume", "let a failed or cancelled job go on");
  command.add_option("JOB", *job, "name of the job")->required();
  command.add_flag("--accept-version", *accept, "also with another version of the code");
  command.callback([=, &context, &action] {
    request->set_name(*job);
    request->set_accept_version(*accept);
    action = [request, &context] { return Resume(context, *request); };
  });
}

}  // namespace

void AddJobCommands(CLI::App& app, Context& context, Action& action) {
  const auto state = std::make_shared<std::string>();
  CLI::App& list = AddCall(app, context, "list", "jobs of a coordinator");
  list.add_option("--state", *state, "only jobs in this state, such as RUNNING");
  list.callback([state, &context, &action] {
    action = [state, &context] { return List(context, state->empty() ? "" : "state=" + *state); };
  });
  AddCall(app, context, "workers", "workers of a coordinator").callback([&context, &action] {
    action = [&context] { return Workers(context); };
  });
  AddJobCall(app, context, action, {"get", "one job, whole"}, [&context](const std::string& job) {
    return PrintJob(context, job, &CompressionClient::Get);
  });
  AddJobCall(app, context, action, {"cancel", "ask a job to stop"},
             [&context](const std::string& job) {
               return PrintJob(context, job, &CompressionClient::Cancel);
             });
  AddResume(app, context, action);
  AddJobCall(app, context, action, {"delete", "forget a job that has ended; its output stays"},
             [&context](const std::string& job) { return Delete(context, job); });
  AddJobCall(app, context, action, {"layers", "layers of a job"},
             [&context](const std::string& job) { return Layers(context, job); });
}

}  // namespace caldera::client
