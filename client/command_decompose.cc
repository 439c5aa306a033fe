// caldera decompose --input FILE: one matrix with its Hessian, without any service.
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "absl/time/clock.h"
#include "client/context.h"
#include "common/base/file.h"
#include "common/base/process_info.h"
#include "common/base/status.h"
#include "common/model/compressed_matrix_io.h"
#include "common/model/local_files.h"
#include "common/model/recipe.h"
#include "common/model/safetensors.h"
#include "numerics/decompose/decompose.h"
#include "numerics/kernels/parallel.h"

namespace caldera::client {
namespace {

struct DecomposeFlags {
  std::string input;
  std::string output_file;
  std::string codebook;
  std::string recipe;
  double q_bits = 2;
  std::int64_t rank = 64;
  int factor_bits = 4;
  int l_bits = 0;
  int r_bits = 0;
  int iterations = 0;
  int threads = 0;
  std::uint64_t seed = 0;
};

absl::StatusOr<linalg::MatrixF> LoadMatrix(const model::SafetensorsFile& file,
                                           const std::string& name) {
  const model::TensorInfo* info = file.Find(name);
  if (info == nullptr) return base::NotFound("{} has no tensor {}", file.name(), name);
  if (info->shape.size() != 2) {
    return base::InvalidArgument("{}: tensor {} is not a matrix", file.name(), name);
  }
  linalg::MatrixF matrix(info->shape[0], info->shape[1]);
  const std::span<float> values(matrix.data(), static_cast<std::size_t>(info->elements()));
  CALDERA_RETURN_IF_ERROR(file.ReadRows(name, 0, info->rows(), values));
  return matrix;
}

absl::StatusOr<decompose::DecomposeOptions> OptionsOf(const DecomposeFlags& flags) {
  decompose::DecomposeOptions options;
  CALDERA_ASSIGN_OR_RETURN(options.recipe, model::ParseRecipe(flags.recipe));
  options.q_bits = flags.q_bits;
  options.rank = flags.rank;
  options.l_bits = base::Bits(flags.l_bits == 0 ? flags.factor_bits : flags.l_bits);
  options.r_bits = base::Bits(flags.r_bits == 0 ? flags.factor_bits : flags.r_bits);
  options.iterations = flags.iterations;
  options.output_seed = flags.seed;
  CALDERA_ASSIGN_OR_RETURN(options.codebook, model::ParseCodebook(model::ResolveCodebook(
                                                 flags.codebook, options.recipe)));
  return options;
}

// From tensors in memory to codes serialised.
struct Coded {
  decompose::DecomposeResult result;
  std::vector<std::byte> object;
};
absl::StatusOr<Coded> Code(const linalg::MatrixF& weight, linalg::MatrixF hessian,
                           const DecomposeFlags& flags) {
  if (hessian.rows() != weight.columns() || hessian.columns() != weight.columns()) {
    return base::InvalidArgument("{}: weight is {} x {}, hessian {} x {}", flags.input,
                                 weight.rows(), weight.columns(), hessian.rows(),
                                 hessian.columns());
  }
  CALDERA_ASSIGN_OR_RETURN(const decompose::DecomposeOptions options, OptionsOf(flags));
  dist::SerialCommunicator serial;
  const dist::RowPartition partition(weight.rows(), decompose::RowBlock(weight.rows()), 1);
  CALDERA_ASSIGN_OR_RETURN(const auto prepared,
                           decompose::PrepareHessian(std::move(hessian), flags.seed + 1));
  Coded coded;
  CALDERA_ASSIGN_OR_RETURN(
      coded.result, decompose::Decompose(weight.view(), partition, prepared, options, serial));
  CALDERA_ASSIGN_OR_RETURN(coded.object, model::EncodeMatrixObject("weight", coded.result.matrix));
  return coded;
}

Json ByStep(const decompose::StepSeconds& seconds) {
  Json steps = Json::object();
  for (std::size_t i = 0; i < seconds.size(); ++i) {
    steps[decompose::kStepNames[i]] = std::round(1000 * seconds[i]) / 1000;
  }
  return steps;
}

Json Report(const DecomposeFlags& flags, const Coded& coded) {
  const model::CompressedMatrixHeader& header = coded.result.matrix.header;
  return {{"input", flags.input},
          {"rows", header.rows},
          {"columns", header.columns},
          {"rank", header.rank},
          {"relative_error", coded.result.relative_error},
          {"bits_per_weight", model::BitsPerWeight(header)},
          {"error_curve", coded.result.error_curve},
          {"best_iteration", coded.result.best_iteration},
          {"damping", coded.result.damping},
          {"flops", coded.result.local_flops},
          {"step_seconds", ByStep(coded.result.step_seconds)}};
}

absl::Status Decompose(const DecomposeFlags& flags, const Context& context) {
  CALDERA_ASSIGN_OR_RETURN(const OutputFormat format, context.output());
  const auto cores = static_cast<int>(std::thread::hardware_concurrency());
  kernels::SetThreads(flags.threads > 0 ? flags.threads : std::max(1, cores));
  CALDERA_ASSIGN_OR_RETURN(auto source, model::FileByteSource::Open(flags.input));
  CALDERA_ASSIGN_OR_RETURN(const auto file, model::SafetensorsFile::Open(std::move(source)));
  CALDERA_ASSIGN_OR_RETURN(const linalg::MatrixF weight, LoadMatrix(*file, "weight"));
  CALDERA_ASSIGN_OR_RETURN(linalg::MatrixF hessian, LoadMatrix(*file, "hessian"));
  const absl::Time started = absl::Now();
  const double cpu_before = base::CpuSecondsWithChildren();
  auto coded = Code(weight, std::move(hessian), flags);
  if (!coded.ok()) return base::WithContext(coded.status(), flags.input);
  Json report = Report(flags, *coded);
  report["seconds"] = absl::ToDoubleSeconds(absl::Now() - started);
  report["cpu_seconds"] = base::CpuSecondsWithChildren() - cpu_before;
  report["peak_rss_bytes"] = base::GetProcessInfo().peak_resident_bytes;
  if (!flags.output_file.empty()) {
    const auto* bytes = reinterpret_cast<const char*>(coded->object.data());
    CALDERA_RETURN_IF_ERROR(
        base::ReplaceFile(flags.output_file, std::string(bytes, coded->object.size())));
  }
  PrintObject(report, format);
  return absl::OkStatus();
}

}  // namespace

void AddDecompose(CLI::App& app, Context& context, Action& action) {
  const auto flags = std::make_shared<DecomposeFlags>();
  CLI::App& command = *app.add_subcommand(
      "decompose", "compress one matrix: tensors `weight` and `hessian` of a safetensors file");
  command.add_option("--input", flags->input, "safetensors file")->required();
  command.add_option("--output", flags->output_file, "where the codes go (safetensors)");
  command.add_option("-o", context.flags().output, "table, json or jsonl")
      ->check(CLI::IsMember({"table", "json", "jsonl", "name"}));
  command.add_option("--codebook", flags->codebook, "code of Q: e8p, trellis-10, trellis-12");
  command.add_option("--recipe", flags->recipe, "default, or published: the yardstick");
  command.add_option("--q-bits", flags->q_bits, "2 to 4, 2.5 for example")->capture_default_str();
  command.add_option("--rank", flags->rank)->capture_default_str();
  command.add_option("--factor-bits", flags->factor_bits, "4, 8 or 16")->capture_default_str();
  command.add_option("--l-bits", flags->l_bits, "bits of L alone");
  command.add_option("--r-bits", flags->r_bits, "bits of R alone");
  command.add_option("--iterations", flags->iterations, "outer iterations, 0 = default");
  command.add_option("--threads", flags->threads, "0 = all cores");
  command.add_option("--seed", flags->seed)->capture_default_str();
  command.callback([flags, &context, &action] {
    action = [flags, &context] { return Decompose(*flags, context); };
  });
}

}  // namespace caldera::client
