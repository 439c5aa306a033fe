// caldera download JOB OUT: a published checkpoint through the coordinator, verified on arrival.
#include <fcntl.h>

#include <cerrno>
#include <memory>

#include "client/context.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "common/rpc/chunked.h"
#include "common/rpc/status_conversion.h"
#include "common/store/checkpoint_reader.h"

namespace caldera::client {
namespace {

struct DownloadFlags {
  std::string job;
  std::string output;
};

absl::Status DownloadFile(CompressionClient& client, const std::string& job,
                          const std::string& file, const std::string& path) {
  const base::UniqueFd out(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!out) return base::ErrnoToStatus(errno, path);
  v1::ReadRequest request;
  request.set_job(job);
  request.mutable_location()->set_output_file(file);
  base::SystemClock clock;
  return rpc::DownloadRange(client.checkpoints(), request, {}, clock,
                            [&](std::span<const std::byte> bytes) {
                              return base::WriteAll(out.get(), bytes, path);
                            })
      .status();
}

absl::StatusOr<v1::ListFilesResponse> ListOutput(CompressionClient& client,
                                                 const std::string& job) {
  v1::ListFilesRequest request;
  request.set_job(job);
  request.set_set(v1::ListFilesRequest::OUTPUT);
  v1::ListFilesResponse files;
  grpc::ClientContext call;
  rpc::SetTimeout(call, absl::Seconds(20));
  CALDERA_RETURN_IF_ERROR(rpc::FromGrpc(client.checkpoints().ListFiles(&call, request, &files)));
  return files;
}

absl::Status Download(const DownloadFlags& flags, const Context& context) {
  CALDERA_ASSIGN_OR_RETURN(const OutputFormat format, context.output());
  CALDERA_ASSIGN_OR_RETURN(const auto client, context.Connect());
  const std::string job = JobName(flags.job);
  CALDERA_ASSIGN_OR_RETURN(const v1::ListFilesResponse files, ListOutput(*client, job));
  CALDERA_RETURN_IF_ERROR(base::MakeDirectories(flags.output));
  // The manifest comes last: a download that broke off is no checkpoint.
  const std::string manifest = store::kManifestFile;
  std::int64_t bytes = 0;
  for (const auto& file : files.files()) {
    bytes += file.size();
    if (file.name() == manifest) continue;
    CALDERA_RETURN_IF_ERROR(
        DownloadFile(*client, job, file.name(), flags.output + "/" + file.name()));
  }
  CALDERA_RETURN_IF_ERROR(DownloadFile(*client, job, manifest, flags.output + "/" + manifest));
  CALDERA_ASSIGN_OR_RETURN(const auto report, store::VerifyCheckpoint(flags.output));
  PrintObject({{"name", flags.output}, {"files", files.files_size()}, {"bytes", bytes}}, format);
  return report.status();
}

}  // namespace

void AddDownload(CLI::App& app, Context& context, Action& action) {
  const auto flags = std::make_shared<DownloadFlags>();
  CLI::App& command = *app.add_subcommand("download", "fetch a published checkpoint");
  AddOutputFlag(command, context);
  AddConnectionFlags(command, context);
  command.add_option("JOB", flags->job, "name of the job")->required();
  command.add_option("OUT", flags->output, "directory to write")->required();
  command.callback([flags, &context, &action] {
    action = [flags, &context] { return Download(*flags, context); };
  });
}

}  // namespace caldera::client
