// caldera inspect OUT | verify OUT: what a published checkpoint says of itself, and whether it is
// whole.
#include <fmt/format.h>

#include <memory>

#include "client/context.h"
#include "common/base/status.h"
#include "common/store/checkpoint_reader.h"

namespace caldera::client {
namespace {

Json MatrixJson(const store::ManifestMatrix& matrix) {
  return {{"name", matrix.name},
          {"m", matrix.rows},
          {"n", matrix.columns},
          {"rank", matrix.rank},
          {"q_bits", matrix.q_bits},
          {"l_bits", matrix.l_bits},
          {"r_bits", matrix.r_bits},
          {"bits_per_weight", matrix.bits_per_weight},
          {"relative_error", matrix.relative_error},
          {"error_curve", matrix.error_curve},
          {"best_iteration", matrix.best_iteration},
          {"damping", matrix.damping},
          {"probe_divergence", matrix.probe_divergence}};
}

Json SummaryJson(const store::Checkpoint& checkpoint) {
  const store::Manifest& manifest = checkpoint.manifest;
  return {{"name", checkpoint.directory},
          {"manifest_sha256", checkpoint.manifest_sha256},
          {"tool_version", manifest.tool_version},
          {"architecture", manifest.model.architecture},
          {"layers", manifest.model.layers},
          {"parameters", manifest.model.parameters},
          {"target_bits", manifest.spec.decomposition.target_bits},
          {"bits_per_weight", manifest.bits_per_weight},
          {"embedding_bits", manifest.spec.embedding_bits},
          {"model_bits_per_weight", manifest.model_bits_per_weight},
          {"bytes", manifest.output_bytes},
          {"source_bytes", manifest.model.source_bytes},
          {"mean_relative_error", manifest.mean_relative_error},
          {"max_relative_error", manifest.max_relative_error}};
}

absl::Status Inspect(const std::string& directory, const Context& context) {
  CALDERA_ASSIGN_OR_RETURN(const OutputFormat format, context.output());
  CALDERA_ASSIGN_OR_RETURN(const auto checkpoint, store::OpenCheckpoint(directory));
  Json summary = SummaryJson(checkpoint);
  std::vector<Json> matrices;
  for (const auto& matrix : checkpoint.manifest.matrices) matrices.push_back(MatrixJson(matrix));
  if (format == OutputFormat::kTable) {
    PrintObject(summary, format);
    fmt::print("\n");
    PrintList("matrices", matrices,
              {{"name", "MATRIX"},
               {"m", "M"},
               {"n", "N"},
               {"rank", "RANK"},
               {"q_bits", "Q BITS"},
               {"bits_per_weight", "BITS"},
               {"relative_error", "ERROR"},
               {"probe_divergence", "KL AT 2 BITS"}},
              format);
    return absl::OkStatus();
  }
  summary["matrices"] = matrices;
  PrintObject(summary, format);
  return absl::OkStatus();
}

absl::Status Verify(const std::string& directory, const Context& context) {
  CALDERA_ASSIGN_OR_RETURN(const OutputFormat format, context.output());
  CALDERA_ASSIGN_OR_RETURN(const auto checkpoint, store::OpenCheckpoint(directory));
  CALDERA_ASSIGN_OR_RETURN(const auto report, store::VerifyCheckpoint(directory));
  PrintObject({{"name", checkpoint.directory},
               {"manifest_sha256", checkpoint.manifest_sha256},
               {"files", checkpoint.manifest.files.size()},
               {"bytes", report.bytes_read},
               {"missing", report.missing},
               {"corrupt", report.corrupt},
               {"extra", report.extra},
               {"ok", report.status().ok()}},
              format);
  return report.status();
}

void Add(CLI::App& app, Context& context, Action& action,
         const std::pair<std::string, std::string>& name_and_help,
         absl::Status (*run)(const std::string&, const Context&)) {
  const auto directory = std::make_shared<std::string>();
  CLI::App& command = *app.add_subcommand(name_and_help.first, name_and_help.second);
  AddOutputFlag(command, context);
  command.add_option("CHECKPOINT", *directory, "published checkpoint")->required();
  command.callback([directory, &context, &action, run] {
    action = [directory, &context, run] { return run(*directory, context); };
  });
}

}  // namespace

void AddInspect(CLI::App& app, Context& context, Action& action) {
  Add(app, context, action, {"inspect", "bits, bytes and errors of a checkpoint"}, Inspect);
  Add(app, context, action, {"verify", "hash every file of a checkpoint"}, Verify);
}

}  // namespace caldera::client
