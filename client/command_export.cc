// caldera export CHECKPOINT OUT --format dense: for the runtimes people use.
#include <memory>
#include <thread>

#include "absl/time/clock.h"
#include "client/context.h"
#include "client/export_dense.h"
#include "common/base/status.h"
#include "numerics/kernels/parallel.h"

namespace caldera::client {
namespace {

struct ExportFlags {
  std::string checkpoint;
  std::string output;
  std::string format = "dense";
  std::string dtype = "bf16";
};

model::Dtype DtypeOf(const std::string& name) {
  if (name == "f32") return model::Dtype::kF32;
  return name == "f16" ? model::Dtype::kF16 : model::Dtype::kBF16;
}

absl::Status Export(const ExportFlags& flags, const Context& context) {
  CALDERA_ASSIGN_OR_RETURN(const OutputFormat format, context.output());
  kernels::SetThreads(std::max(1, static_cast<int>(std::thread::hardware_concurrency())));
  const absl::Time started = absl::Now();
  DenseExportOptions options;
  options.dtype = DtypeOf(flags.dtype);
  CALDERA_RETURN_IF_ERROR(ExportDense(flags.checkpoint, flags.output, options));
  PrintObject({{"name", flags.output},
               {"format", flags.format},
               {"dtype", flags.dtype},
               {"seconds", absl::ToDoubleSeconds(absl::Now() - started)}},
              format);
  return absl::OkStatus();
}

}  // namespace

void AddExport(CLI::App& app, Context& context, Action& action) {
  const auto flags = std::make_shared<ExportFlags>();
  CLI::App& command = *app.add_subcommand("export", "write a checkpoint for another runtime");
  AddOutputFlag(command, context);
  command.add_option("CHECKPOINT", flags->checkpoint, "published checkpoint")->required();
  command.add_option("OUT", flags->output, "new directory")->required();
  command.add_option("--format", flags->format, "dense = plain Hugging Face directory")
      ->check(CLI::IsMember({"dense"}))
      ->capture_default_str();
  command.add_option("--dtype", flags->dtype, "bf16, f16 or f32")
      ->check(CLI::IsMember({"bf16", "f16", "f32"}))
      ->capture_default_str();
  command.callback([flags, &context, &action] {
    action = [flags, &context] { return Export(*flags, context); };
  });
}

}  // namespace caldera::client
