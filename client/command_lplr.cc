// caldera lplr --input FILE: a matrix of plain data as quantised low-rank factors.
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "absl/time/clock.h"
#include "client/context.h"
#include "common/base/file.h"
#include "common/base/process_info.h"
#include "common/base/status.h"
#include "common/model/compressed_matrix_io.h"
#include "common/model/data_matrix.h"
#include "common/model/local_files.h"
#include "common/model/npy.h"
#include "common/model/safetensors.h"
#include "numerics/decompose/linear_map.h"
#include "numerics/decompose/lplr.h"
#include "numerics/kernels/parallel.h"

namespace caldera::client {
namespace {

constexpr char kMatrixName[] = "data";

struct LplrFlags {
  std::string input;
  std::string tensor;
  std::string output_file;
  std::string reconstruction_file;
  std::int64_t rank = 0;
  int bits = 4;
  int residual_bits = 0;
  int threads = 0;
  std::uint64_t seed = 0;
};

// What was written, and what a reader of it gets back.
struct Coded {
  decompose::LplrResult result;
  std::vector<std::byte> object;
  linalg::MatrixF decoded;
  double relative_error = 0;
};

absl::StatusOr<linalg::MatrixF> Decode(const std::vector<std::byte>& object) {
  CALDERA_ASSIGN_OR_RETURN(
      const auto file,
      model::SafetensorsFile::Open(std::make_unique<model::MemoryByteSource>("object", object)));
  CALDERA_ASSIGN_OR_RETURN(const model::CompressedMatrix matrix,
                           model::ReadMatrix(*file, kMatrixName, file->metadata().at(kMatrixName)));
  return decompose::DecodeMatrix(matrix);
}

// From values in memory to codes serialised, decoded again and compared.
absl::StatusOr<Coded> Code(const model::DataMatrix& data, const LplrFlags& flags) {
  decompose::LplrOptions options;
  options.rank = flags.rank;
  options.factor_bits = base::Bits(flags.bits);
  options.residual_bits = base::Bits(flags.residual_bits);
  options.seed = flags.seed;
  const linalg::ConstViewD view{data.values.data(), data.rows, data.columns, data.columns};
  Coded coded;
  CALDERA_ASSIGN_OR_RETURN(coded.result, decompose::Lplr(view, options));
  CALDERA_ASSIGN_OR_RETURN(coded.object,
                           model::EncodeMatrixObject(kMatrixName, coded.result.matrix));
  CALDERA_ASSIGN_OR_RETURN(coded.decoded, Decode(coded.object));
  coded.relative_error = decompose::RelativeFrobeniusError(view, coded.decoded.view());
  return coded;
}

Json Report(const LplrFlags& flags, const Coded& coded) {
  const model::CompressedMatrixHeader& header = coded.result.matrix.header;
  const double bits = model::BitsPerWeight(header);
  return {{"input", flags.input},
          {"rows", header.rows},
          {"columns", header.columns},
          {"rank", header.rank},
          {"factor_bits", flags.bits},
          {"residual_bits", flags.residual_bits},
          {"relative_error", coded.relative_error},
          {"unquantised_error", coded.result.unquantised_error},
          {"error_curve", coded.result.error_curve},
          {"bits_per_value", bits},
          {"bytes", model::StoredBytes(header)},
          {"file_bytes", coded.object.size()},
          {"compression_ratio", 32 / bits}};
}

absl::Status Write(const std::string& path, const std::vector<std::byte>& bytes) {
  const auto* data = reinterpret_cast<const char*>(bytes.data());
  return base::ReplaceFile(path, std::string(data, bytes.size()));
}

absl::Status WriteFiles(const LplrFlags& flags, const Coded& coded) {
  if (!flags.output_file.empty()) {
    CALDERA_RETURN_IF_ERROR(Write(flags.output_file, coded.object));
  }
  if (flags.reconstruction_file.empty()) return absl::OkStatus();
  const linalg::MatrixF& decoded = coded.decoded;
  const auto count = static_cast<std::size_t>(decoded.rows() * decoded.columns());
  return Write(flags.reconstruction_file,
               model::EncodeNpy(decoded.rows(), decoded.columns(), {decoded.data(), count}));
}

absl::Status Lplr(const LplrFlags& flags, const Context& context) {
  CALDERA_ASSIGN_OR_RETURN(const OutputFormat format, context.output());
  const auto cores = static_cast<int>(std::thread::hardware_concurrency());
  kernels::SetThreads(flags.threads > 0 ? flags.threads : std::max(1, cores));
  CALDERA_ASSIGN_OR_RETURN(const model::DataMatrix data,
                           model::ReadDataMatrix(flags.input, flags.tensor));
  const absl::Time started = absl::Now();
  const double cpu_before = base::CpuSecondsWithChildren();
  const auto coded = Code(data, flags);
  if (!coded.ok()) return base::WithContext(coded.status(), flags.input);
  Json report = Report(flags, *coded);
  report["seconds"] = absl::ToDoubleSeconds(absl::Now() - started);
  report["cpu_seconds"] = base::CpuSecondsWithChildren() - cpu_before;
  report["peak_rss_bytes"] = base::GetProcessInfo().peak_resident_bytes;
  CALDERA_RETURN_IF_ERROR(WriteFiles(flags, *coded));
  PrintObject(report, format);
  return absl::OkStatus();
}

}  // namespace

void AddLplr(CLI::App& app, Context& context, Action& action) {
  const auto flags = std::make_shared<LplrFlags>();
  CLI::App& command =
      *app.add_subcommand("lplr", "compress a matrix of plain data to quantised low-rank factors");
  command.add_option("--input", flags->input, ".npy, .csv or .safetensors file")->required();
  command.add_option("--tensor", flags->tensor, "which matrix of a .safetensors file");
  command.add_option("--rank", flags->rank, "1 to the smaller dimension")->required();
  command.add_option("--bits", flags->bits, "bits of the factors: 4, 8 or 16")
      ->capture_default_str();
  command.add_option("--residual-bits", flags->residual_bits,
                     "code what the factors leave with 2, 3 or 4 bits; 0 = leave it");
  command.add_option("--output", flags->output_file, "where the codes go (safetensors)");
  command.add_option("--reconstruct", flags->reconstruction_file,
                     "where the decoded matrix goes (.npy, float32)");
  command.add_option("-o", context.flags().output, "table, json or jsonl")
      ->check(CLI::IsMember({"table", "json", "jsonl", "name"}));
  command.add_option("--threads", flags->threads, "0 = all cores");
  command.add_option("--seed", flags->seed, "of the sketch")->capture_default_str();
  command.callback(
      [flags, &context, &action] { action = [flags, &context] { return Lplr(*flags, context); }; });
}

}  // namespace caldera::client
