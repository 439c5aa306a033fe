// caldera estimate MODEL: what a job will give and need, before anything runs. From the files of
// this machine, or by the coordinator from those of its own.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "client/context.h"
#include "client/machine_rates.h"
#include "client/spec_flags.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "common/model/estimate.h"
#include "common/model/job_settings.h"
#include "common/rpc/status_conversion.h"
#include "common/store/open_files.h"

namespace caldera::client {
namespace {

constexpr double kSecondsPerHour = 3600;

struct EstimateFlags {
  SpecFlags spec;
  model::WorkerSetup setup{0, 0, 0};  // 0: as the coordinator's workers, or this machine
  std::string rates_file;
  bool by_coordinator = false;  // --coordinator was given
};

// What is told, whoever has found it out.
struct Told {
  std::int64_t layers = 0;
  std::int64_t parameters = 0;
  std::int64_t source_bytes = 0;
  model::WorkerSetup setup;
  model::Estimate estimate;
};

absl::Status ToStatus(const std::vector<model::SettingViolation>& violations) {
  std::vector<rpc::FieldViolation> fields;
  for (const auto& [field, description] : violations) fields.push_back({field, description});
  return rpc::BadRequest(fields);
}

// One worker of one rank unless told otherwise; cores as given, or this machine's shared out as
// `compress` does it.
model::WorkerSetup LocalSetup(model::WorkerSetup setup) {
  setup.workers = std::max(1, setup.workers);
  setup.ranks = std::max(1, setup.ranks);
  if (setup.cores > 0) return setup;
  const auto cores = static_cast<int>(std::thread::hardware_concurrency());
  setup.cores = std::max(1, cores / setup.workers);
  return setup;
}

absl::StatusOr<Told> AskHere(const EstimateFlags& flags, const model::MachineRates& rates) {
  const model::JobSettings settings = model::WithDefaults(ToSettings(flags.spec));
  CALDERA_RETURN_IF_ERROR(ToStatus(model::CheckSettings(settings)));
  CALDERA_ASSIGN_OR_RETURN(const model::OpenedModel model, store::OpenModel(flags.spec.model));
  Told told;
  told.setup = LocalSetup(flags.setup);
  std::vector<model::SettingViolation> violations;
  auto estimate = model::EstimateJob(model, settings, told.setup, rates, violations);
  CALDERA_RETURN_IF_ERROR(ToStatus(violations));
  CALDERA_ASSIGN_OR_RETURN(told.estimate, std::move(estimate));
  told.layers = model.config.num_hidden_layers;
  told.parameters = model::ParameterCount(model.config);
  told.source_bytes = static_cast<std::int64_t>(model.source_bytes);
  return told;
}

v1::MachineRates ToProto(const model::MachineRates& rates) {
  v1::MachineRates proto;
  proto.set_sgemm_flops(rates.sgemm_flops);
  proto.set_e8p_2(rates.e8p_2);
  proto.set_e8p_3(rates.e8p_3);
  proto.set_e8p_4(rates.e8p_4);
  proto.set_trellis_10(rates.trellis_10);
  proto.set_trellis_12(rates.trellis_12);
  return proto;
}

model::Estimate FromProto(const v1::EstimateResponse& response) {
  model::Estimate estimate;
  estimate.sizes.bits_per_weight = response.bits_per_weight();
  estimate.sizes.model_bits_per_weight = response.model_bits_per_weight();
  estimate.sizes.output_bytes = static_cast<std::uint64_t>(response.output_bytes());
  estimate.sizes.matrix_bytes = static_cast<std::uint64_t>(response.matrix_bytes());
  estimate.sizes.embedding_bytes = static_cast<std::uint64_t>(response.embedding_bytes());
  estimate.peak_memory_bytes = static_cast<std::uint64_t>(response.peak_memory_bytes());
  estimate.needs = {response.flops(), kSecondsPerHour * response.cpu_hours(),
                    kSecondsPerHour * response.hours()};
  for (const v1::EstimateResponse::Projection& projection : response.projections()) {
    estimate.projections.push_back({projection.name(),
                                    {projection.rows(), projection.columns()},
                                    projection.bits_per_weight(),
                                    static_cast<std::uint64_t>(projection.bytes())});
  }
  return estimate;
}

// The model is looked for where the coordinator runs.
absl::StatusOr<Told> AskCoordinator(const EstimateFlags& flags, const model::MachineRates& rates,
                                    const Context& context) {
  v1::EstimateRequest request;
  SpecFlags spec = flags.spec;
  spec.output = "none";
  CALDERA_ASSIGN_OR_RETURN(*request.mutable_spec(), ToSpec(spec));
  request.mutable_spec()->clear_output_uri();
  request.mutable_spec()->mutable_calibration()->clear_uri();
  request.mutable_setup()->set_workers(flags.setup.workers);
  request.mutable_setup()->set_ranks(flags.setup.ranks);
  request.mutable_setup()->set_cores(flags.setup.cores);
  *request.mutable_rates() = ToProto(rates);
  CALDERA_ASSIGN_OR_RETURN(const auto client, context.Connect());
  CALDERA_ASSIGN_OR_RETURN(const v1::EstimateResponse response, client->Estimate(request));
  return Told{response.model().layers(),
              response.model().parameters(),
              response.model().source_bytes(),
              {response.setup().workers(), response.setup().ranks(), response.setup().cores()},
              FromProto(response)};
}

Json SummaryOf(const EstimateFlags& flags, const Told& told, const model::MachineRates& rates) {
  const model::Estimate& estimate = told.estimate;
  return {{"name", flags.spec.model},
          {"layers", told.layers},
          {"parameters", told.parameters},
          {"bits_per_weight", estimate.sizes.bits_per_weight},
          {"model_bits_per_weight", estimate.sizes.model_bits_per_weight},
          {"source_bytes", told.source_bytes},
          {"output_bytes", estimate.sizes.output_bytes},
          {"matrix_bytes", estimate.sizes.matrix_bytes},
          {"embedding_bytes", estimate.sizes.embedding_bytes},
          {"peak_memory_bytes", estimate.peak_memory_bytes},
          {"flops", estimate.needs.flops},
          {"hours", estimate.needs.seconds / kSecondsPerHour},
          {"cpu_hours", estimate.needs.cpu_seconds / kSecondsPerHour},
          {"workers", told.setup.workers},
          {"ranks", told.setup.ranks},
          {"cores", told.setup.cores},
          {"rates", RatesToJson(rates)}};
}

std::vector<Json> ProjectionsJson(const model::Estimate& estimate) {
  std::vector<Json> projections;
  for (const model::ProjectionEstimate& projection : estimate.projections) {
    projections.push_back({{"name", projection.name},
                           {"rows", projection.shape.rows},
                           {"columns", projection.shape.columns},
                           {"bits_per_weight", projection.bits_per_weight},
                           {"bytes", projection.bytes}});
  }
  return projections;
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
  CALDERA_ASSIGN_OR_RETURN(const model::MachineRates rates, RatesOf(flags));
  CALDERA_ASSIGN_OR_RETURN(const Told told, flags.by_coordinator
                                                ? AskCoordinator(flags, rates, context)
                                                : AskHere(flags, rates));
  Print(SummaryOf(flags, told, rates), ProjectionsJson(told.estimate), format);
  return absl::OkStatus();
}

}  // namespace

void AddEstimate(CLI::App& app, Context& context, Action& action) {
  const auto flags = std::make_shared<EstimateFlags>();
  CLI::App& command = *app.add_subcommand(
      "estimate", "what a job will give and need: bits, bytes, memory, hours; nothing is run");
  AddSettingFlags(command, flags->spec);
  AddOutputFlag(command, context);
  AddConnectionFlags(command, context);
  command
      .add_option("--workers", flags->setup.workers,
                  "worker processes or MPI jobs; 1, or all of --coordinator")
      ->check(CLI::Range(1, 4096));
  command.add_option("--ranks", flags->setup.ranks, "MPI ranks per worker; 1")
      ->check(CLI::Range(1, 1024));
  command
      .add_option("--cores", flags->setup.cores,
                  "of each worker; 0 = this machine's shared out, or those of --coordinator's")
      ->check(CLI::Range(0, 65536));
  command.add_option("--rates", flags->rates_file,
                     "speed of another machine's cores: what estimate -o json printed there");
  command.callback([flags, &command, &context, &action] {
    flags->by_coordinator = command.count("--coordinator") > 0;
    action = [flags, &context] { return Estimate(*flags, context); };
  });
}

}  // namespace caldera::client
