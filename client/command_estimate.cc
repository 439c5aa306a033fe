// caldera estimate MODEL: what a job will give and need, before anything runs.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "client/context.h"
#include "client/machine_rates.h"
#include "client/spec_flags.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "common/model/job_estimate.h"
#include "common/model/job_settings.h"
#include "common/model/size_estimate.h"
#include "common/rpc/status_conversion.h"
#include "common/store/open_files.h"

namespace caldera::client {
namespace {

constexpr double kSecondsPerHour = 3600;

struct EstimateFlags {
  SpecFlags spec;
  model::WorkerSetup setup{1, 1, 0};
  std::string rates_file;
};

absl::Status ToStatus(const std::vector<model::SettingViolation>& violations) {
  std::vector<rpc::FieldViolation> fields;
  for (const auto& [field, description] : violations) fields.push_back({field, description});
  return rpc::BadRequest(fields);
}

// Cores of each worker: as given, or this machine's shared out as `compress` does it.
int CoresOf(const model::WorkerSetup& setup) {
  if (setup.cores > 0) return setup.cores;
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()) / setup.workers);
}

Json ProjectionJson(const model::ModelConfig& config, const model::DecompositionSettings& settings,
                    model::Projection projection) {
  const model::MatrixShape shape = model::ShapeOf(config, projection);
  const model::CompressedMatrixHeader header = model::HeaderFor(settings, shape);
  return {{"name", model::ProjectionPath(projection)},
          {"rows", shape.rows},
          {"columns", shape.columns},
          {"bits_per_weight", model::BitsPerWeight(header)},
          {"bytes", model::StoredBytes(header)}};
}

void Print(const Json& summary, const std::vector<Json>& projections, OutputFormat format) {
  if (format != OutputFormat::kTable) {
    Json all = summary;
    all["projections"] = projections;
    return PrintObject(all, format);
  }
  Json readable = summary;
  for (const char* field :
       {"output_bytes", "matrix_bytes", "embedding_bytes", "peak_memory_bytes"}) {
    readable[field] = fmt::format("{} ({})", summary[field].dump(), HumanBytes(summary[field]));
  }
  for (const char* field : {"hours", "cpu_hours"}) {
    const double hours = summary[field];
    readable[field] = fmt::format("{:.4g} ({})", hours, HumanSeconds(kSecondsPerHour * hours));
  }
  PrintObject(readable, format);
  fmt::print("\n");
  PrintList("projections", projections,
            {{"name", "PROJECTION"},
             {"rows", "M"},
             {"columns", "N"},
             {"bits_per_weight", "BITS"},
             {"bytes", "BYTES"}},
            format);
}

absl::StatusOr<model::MachineRates> RatesOf(const EstimateFlags& flags) {
  if (flags.rates_file.empty()) return MeasureRates();
  CALDERA_ASSIGN_OR_RETURN(const std::string text, base::ReadFile(flags.rates_file));
  return ParseRates(text, flags.rates_file);
}

absl::Status Estimate(const EstimateFlags& flags, const Context& context) {
  CALDERA_ASSIGN_OR_RETURN(const OutputFormat format, context.output());
  const model::JobSettings asked = model::WithDefaults(ToSettings(flags.spec));
  CALDERA_RETURN_IF_ERROR(ToStatus(model::CheckSettings(asked)));
  CALDERA_ASSIGN_OR_RETURN(const model::OpenedModel model, store::OpenModel(flags.spec.model));
  CALDERA_RETURN_IF_ERROR(model::ValidateModelTensors(model));
  CALDERA_RETURN_IF_ERROR(ToStatus(model::CheckSettingsAgainstModel(asked, model.config)));
  CALDERA_ASSIGN_OR_RETURN(const model::JobSettings settings, model::WithSameBits(model, asked));
  CALDERA_ASSIGN_OR_RETURN(const model::MachineRates rates, RatesOf(flags));
  CALDERA_ASSIGN_OR_RETURN(const model::CheckpointSizes sizes,
                           model::EstimateSizes(model, settings));
  model::WorkerSetup setup = flags.setup;
  setup.cores = CoresOf(setup);
  const model::JobNeeds needs = model::EstimateNeeds(model.config, settings, setup, rates);
  const Json summary = {
      {"name", flags.spec.model},
      {"layers", model.config.num_hidden_layers},
      {"parameters", model::ParameterCount(model.config)},
      {"bits_per_weight", sizes.bits_per_weight},
      {"model_bits_per_weight", sizes.model_bits_per_weight},
      {"source_bytes", model.source_bytes},
      {"output_bytes", sizes.output_bytes},
      {"matrix_bytes", sizes.matrix_bytes},
      {"embedding_bytes", sizes.embedding_bytes},
      {"peak_memory_bytes", model::EstimatePeakMemory(model.config, settings, setup)},
      {"flops", needs.flops},
      {"hours", needs.seconds / kSecondsPerHour},
      {"cpu_hours", needs.cpu_seconds / kSecondsPerHour},
      {"workers", setup.workers},
      {"ranks", setup.ranks},
      {"cores", setup.cores},
      {"rates", RatesToJson(rates)}};
  std::vector<Json> projections;
  for (int p = 0; p < model::kProjectionCount; ++p) {
    projections.push_back(
        ProjectionJson(model.config, settings.decomposition, static_cast<model::Projection>(p)));
  }
  Print(summary, projections, format);
  return absl::OkStatus();
}

}  // namespace

void AddEstimate(CLI::App& app, Context& context, Action& action) {
  const auto flags = std::make_shared<EstimateFlags>();
  CLI::App& command = *app.add_subcommand(
      "estimate", "what a job will give and need: bits, bytes, memory, hours; nothing is run");
  AddSettingFlags(command, flags->spec);
  AddOutputFlag(command, context);
  command.add_option("--workers", flags->setup.workers, "worker processes or MPI jobs")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  command.add_option("--ranks", flags->setup.ranks, "MPI ranks per worker")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command
      .add_option("--cores", flags->setup.cores, "of each worker, 0 = this machine's shared out")
      ->check(CLI::Range(0, 65536))
      ->capture_default_str();
  command.add_option("--rates", flags->rates_file,
                     "speed of another machine's cores: what estimate -o json printed there");
  command.callback([flags, &context, &action] {
    action = [flags, &context] { return Estimate(*flags, context); };
  });
}

}  // namespace caldera::client
