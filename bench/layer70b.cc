// The seven matrices of one layer of Llama-2-70B at their true sizes, generated in place: how long
// a layer takes and how much memory, for layouts of ranks and threads (bin/bench-layer70b, under
// mpirun for more than one rank).
//
// For each layout: sgemm on its threads (all ranks at once), then per input of the layer the
// preparation of its Hessian, then its matrices in 2-bit E8P, each with one outer iteration and one
// signal rank. A JSON line for each as it is done, then one for each layout, a table at the end.
// Fails when layouts disagree about a relative error.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cmath>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_split.h"
#include "bench/peak_memory.h"
#include "bench/synthetic.h"
#include "bench/yardstick.h"
#include "common/base/status.h"
#include "numerics/decompose/decompose.h"
#include "numerics/dist/mpi_communicator.h"
#include "numerics/dist/shared_matrix.h"
#include "numerics/kernels/parallel.h"

namespace caldera::bench {
namespace {

constexpr int kLayers = 80;
constexpr double kGibibyte = 1024.0 * 1024 * 1024;

struct Projection {
  std::string name;
  std::string input;
  std::int64_t rows;
  std::int64_t columns;
};

const std::array<Projection, 7> kProjections = {{{"q", "attention", 8192, 8192},
                                                 {"k", "attention", 1024, 8192},
                                                 {"v", "attention", 1024, 8192},
                                                 {"o", "heads", 8192, 8192},
                                                 {"gate", "mlp", 28672, 8192},
                                                 {"up", "mlp", 28672, 8192},
                                                 {"down", "hidden", 8192, 28672}}};

struct Layout {
  int ranks = 1;
  int threads = 1;  // of each rank
  std::string name() const { return fmt::format("{}x{}", ranks, threads); }
};

struct Flags {
  std::vector<std::string> matrices = {"q", "k", "v", "o", "gate", "up", "down"};
  std::vector<std::string> layouts;
  std::int64_t scale = 1;
  std::int64_t rank = 64;
  int factor_bits = 4;
  int iterations = 1;
  std::optional<std::int64_t> signal_rank;
  double memory_gib = 20;

  // A quarter of the rank, in whole code blocks, unless one is asked for.
  std::int64_t SignalRank() const { return signal_rank ? *signal_rank : rank / 4 / 8 * 8; }
};

// One line of the report.
struct Row {
  Layout layout;
  std::string name;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  double seconds = 0;
  double flops = 0;           // of all ranks
  double sgemm = 0;           // flops per second of the layout
  double peak_bytes = 0;      // of all ranks, shared memory once
  double shared_bytes = 0;    // of the shared memory
  double copies = 0;          // of each Hessian
  double relative_error = 0;  // 0 for a Hessian
  bool is_matrix() const { return relative_error > 0; }
};

// The work of one layout on the ranks that take part.
class Run {
 public:
  Run(const Flags& flags, const Layout& layout, dist::Communicator& ranks)
      : flags_(flags), layout_(layout), ranks_(ranks) {}

  absl::StatusOr<std::vector<Row>> All() {
    kernels::SetThreads(layout_.threads);
    MeasureSgemm();
    std::set<std::string> done;
    for (const Projection& projection : kProjections) {
      if (Wanted(projection) && done.insert(projection.input).second) {
        CALDERA_RETURN_IF_ERROR(Input(projection));
      }
    }
    return std::move(rows_);
  }

 private:
  bool Wanted(const Projection& projection) const {
    return std::find(flags_.matrices.begin(), flags_.matrices.end(), projection.name) !=
           flags_.matrices.end();
  }

  // Everything that reads the input of `first`.
  absl::Status Input(const Projection& first) {
    const std::int64_t n = first.columns / flags_.scale;
    dist::SharedMatrix hessian(n, n, ranks_);
    Row row = RowOf("H of " + first.input, n, n);
    row.copies = Sum(hessian.IsFirst() ? 1 : 0);
    CALDERA_RETURN_IF_ERROR(CheckMemory(first, row.copies));
    if (hessian.IsFirst()) FillHessian(hessian.writable());
    hessian.Publish();
    PeakMemory memory;
    const double start = WallSeconds();
    CALDERA_ASSIGN_OR_RETURN(const auto prepared,
                             decompose::PrepareHessian(std::move(hessian), 1, ranks_));
    row.flops = std::pow(static_cast<double>(n), 3) / 3;
    Finish(std::move(row), start, memory);
    for (const Projection& projection : kProjections) {
      if (projection.input != first.input || !Wanted(projection)) continue;
      CALDERA_RETURN_IF_ERROR(Matrix(projection, prepared));
    }
    return absl::OkStatus();
  }

  absl::Status Matrix(const Projection& projection, const decompose::PreparedHessian& hessian) {
    const std::int64_t m = projection.rows / flags_.scale;
    const dist::RowPartition partition(m, decompose::RowBlock(m), ranks_.size());
    Row row = RowOf(projection.name, m, hessian.size());
    linalg::MatrixF weight(partition.RowCount(ranks_.rank()), hessian.size());
    linalg::Random(71).FillNormal(weight.view(), partition.FirstRow(ranks_.rank()));
    decompose::DecomposeOptions options;
    options.rank = flags_.rank;
    options.l_bits = options.r_bits = base::Bits(flags_.factor_bits);
    options.iterations = flags_.iterations;
    if (flags_.rank > 0) options.signal_rank = flags_.SignalRank();
    ranks_.Barrier();
    PeakMemory memory;
    const double start = WallSeconds();
    CALDERA_ASSIGN_OR_RETURN(const auto result, decompose::Decompose(weight.view(), partition,
                                                                     hessian, options, ranks_));
    row.flops = Sum(result.local_flops);
    row.relative_error = result.relative_error;
    Finish(std::move(row), start, memory);
    return absl::OkStatus();
  }

  // Decompose holds 16 n^2 bytes of H and factors and six m x n matrices while it rounds, 12 n^2
  // and about nine and a half while it fits L R and measures an error.
  absl::Status CheckMemory(const Projection& first, double copies) const {
    const double n = static_cast<double>(first.columns / flags_.scale);
    double m = 0;
    for (const Projection& projection : kProjections) {
      if (projection.input != first.input || !Wanted(projection)) continue;
      m = std::max(m, static_cast<double>(projection.rows / flags_.scale));
    }
    const double needed =
        std::max(copies * 16 * n * n + 24 * m * n, copies * 12 * n * n + 38 * m * n) / kGibibyte;
    if (needed <= flags_.memory_gib) return absl::OkStatus();
    return base::FailedPrecondition(
        "the matrices of {} need about {:.1f} GiB with {} copies of each Hessian, --memory-gib is "
        "{}; ranks that share memory (/dev/shm) have one copy",
        first.input, needed, copies, flags_.memory_gib);
  }

  void MeasureSgemm() {
    Yardstick yardstick;
    ranks_.Barrier();
    sgemm_ = Sum(yardstick.Measure().wall);
  }

  Row RowOf(const std::string& name, std::int64_t rows, std::int64_t columns) const {
    Row row;
    row.layout = layout_;
    row.name = name;
    row.rows = rows;
    row.columns = columns;
    row.sgemm = sgemm_;
    return row;
  }

  // Adds what every row has and prints it.
  void Finish(Row row, double start, PeakMemory& memory) {
    ranks_.Barrier();
    row.seconds = WallSeconds() - start;
    const MemoryBytes mine = memory.Stop();
    const bool first = ranks_.rank() == 0;
    row.peak_bytes = Sum(static_cast<double>(first ? mine.together : mine.own));
    row.shared_bytes = Sum(first ? static_cast<double>(mine.shared) : 0);
    if (first) Print(row);
    rows_.push_back(std::move(row));
  }

  void Print(const Row& row) const {
    nlohmann::ordered_json json = {
        {"layout", row.layout.name()},
        {"name", row.name},
        {"rows", row.rows},
        {"columns", row.columns},
        {"scale", flags_.scale},
        {"rank", flags_.rank},
        {"seconds", row.seconds},
        {"flops", row.flops},
        {"sgemm_flops_per_second", row.sgemm},
        {"peak_bytes", static_cast<std::int64_t>(row.peak_bytes)},
        {"shared_peak_bytes", static_cast<std::int64_t>(row.shared_bytes)}};
    if (row.is_matrix()) json["relative_error"] = row.relative_error;
    if (!row.is_matrix()) json["copies"] = row.copies;
    std::cout << json.dump() << std::endl;
  }

  double Sum(double mine) const {
    ranks_.AllReduceSum(std::span(&mine, 1));
    return mine;
  }

  const Flags& flags_;
  const Layout layout_;
  dist::Communicator& ranks_;
  double sgemm_ = 0;
  std::vector<Row> rows_;
};

double Weight(const Projection& projection) {
  return static_cast<double>(projection.rows) * static_cast<double>(projection.columns) *
         static_cast<double>(projection.columns);
}

double SecondsOf(const std::vector<Row>& rows) {
  double seconds = 0;
  for (const Row& row : rows) seconds += row.seconds;
  return seconds;
}

// Hours for all layers on as many nodes as one, from what was measured at true size: matrices left
// out count by their share of the sum of m n^2.
std::optional<double> HoursOf(const std::vector<Row>& rows, const Flags& flags) {
  if (flags.scale != 1) return std::nullopt;
  double measured = 0;
  double all = 0;
  for (const Row& row : rows) {
    for (const Projection& projection : kProjections) {
      if (row.name == projection.name) measured += Weight(projection);
    }
  }
  for (const Projection& projection : kProjections) all += Weight(projection);
  return kLayers * SecondsOf(rows) * all / measured / 3600;
}

void PrintTable(const std::vector<std::vector<Row>>& runs) {
  fmt::print("\n{:<8}{:<16}{:>8}{:>8}{:>10}{:>10}{:>10}{:>8}{:>8}{:>9}\n", "layout", "matrix",
             "rows", "columns", "seconds", "GFLOP/s", "of sgemm", "GiB", "shared", "error");
  for (const std::vector<Row>& rows : runs) {
    for (const Row& row : rows) {
      const double rate = row.flops / row.seconds;
      fmt::print("{:<8}{:<16}{:>8}{:>8}{:>10.2f}{:>10.1f}{:>9.0f}%{:>8.2f}{:>8.2f}{:>9}\n",
                 row.layout.name(), row.name, row.rows, row.columns, row.seconds, rate / 1e9,
                 100 * rate / row.sgemm, row.peak_bytes / kGibibyte, row.shared_bytes / kGibibyte,
                 row.is_matrix() ? fmt::format("{:.4f}", row.relative_error) : "-");
    }
  }
}

// `first` is what the speed-up counts from.
void PrintSum(const std::vector<Row>& rows, const std::vector<Row>& first, const Flags& flags) {
  nlohmann::ordered_json json = {{"layout", rows.front().layout.name()},
                                 {"seconds", SecondsOf(rows)},
                                 {"speedup_over_first_layout", SecondsOf(first) / SecondsOf(rows)},
                                 {"layers", kLayers},
                                 {"hours", nullptr}};
  if (const auto hours = HoursOf(rows, flags)) json["hours"] = *hours;
  std::cout << json.dump() << std::endl;
}

// The same matrix has the same error in every layout, to the last bit.
absl::Status CheckErrors(const std::vector<std::vector<Row>>& runs) {
  std::map<std::string, double> errors;
  for (const std::vector<Row>& rows : runs) {
    for (const Row& row : rows) {
      const auto [found, added] = errors.emplace(row.name, row.relative_error);
      if (!added && found->second != row.relative_error) {
        return base::Internal("{}: relative error {} in layout {}, {} in another", row.name,
                              row.relative_error, row.layout.name(), found->second);
      }
    }
  }
  return absl::OkStatus();
}

// "2x1": ranks x threads; all ranks of the program or one.
absl::StatusOr<Layout> ParseLayout(const std::string& text, int world) {
  const std::vector<std::string> parts = absl::StrSplit(text, 'x');
  Layout layout;
  if (parts.size() != 2 || !CLI::detail::lexical_cast(parts[0], layout.ranks) ||
      !CLI::detail::lexical_cast(parts[1], layout.threads) || layout.threads < 1 ||
      (layout.ranks != 1 && layout.ranks != world)) {
    return base::InvalidArgument("layout '{}': expected RANKSxTHREADS with 1 or {} ranks", text,
                                 world);
  }
  return layout;
}

absl::StatusOr<std::vector<Row>> RunLayout(const Flags& flags, const Layout& layout,
                                           dist::Communicator& world) {
  if (layout.ranks == world.size()) return Run(flags, layout, world).All();
  absl::StatusOr<std::vector<Row>> rows = std::vector<Row>();
  if (world.rank() == 0) {
    dist::SerialCommunicator alone;
    rows = Run(flags, layout, alone).All();
  }
  // The other ranks sleep until here. A message means that it failed.
  std::vector<std::byte> message(rows.ok() ? 0 : 1);
  world.BroadcastWhenReady(message, 0);
  if (rows.ok() && !message.empty()) return base::Internal("rank 0 failed");
  return rows;
}

absl::Status RunAll(const Flags& flags, dist::Communicator& world) {
  std::vector<std::vector<Row>> runs;
  for (const std::string& text : flags.layouts) {
    CALDERA_ASSIGN_OR_RETURN(const Layout layout, ParseLayout(text, world.size()));
    auto rows = RunLayout(flags, layout, world);
    if (!rows.ok()) return base::WithContext(rows.status(), text);
    runs.push_back(*std::move(rows));
  }
  if (world.rank() != 0) return absl::OkStatus();
  for (const std::vector<Row>& rows : runs) PrintSum(rows, runs.front(), flags);
  PrintTable(runs);
  return CheckErrors(runs);
}

void AddFlags(CLI::App& app, Flags& flags) {
  std::vector<std::string> names;
  for (const Projection& projection : kProjections) names.push_back(projection.name);
  app.add_option("--matrices", flags.matrices, "of q,k,v,o,gate,up,down")
      ->delimiter(',')
      ->check(CLI::IsMember(names));
  app.add_option("--layouts", flags.layouts, "RANKSxTHREADS,...: each with one rank or all of them")
      ->delimiter(',');
  app.add_option("--scale", flags.scale, "divisor of all dimensions")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{64}));
  app.add_option("--rank", flags.rank)->capture_default_str();
  app.add_option("--signal-rank", flags.signal_rank,
                 "of the rank, beside 4-bit factors; a quarter of it when not given");
  app.add_option("--factor-bits", flags.factor_bits)->capture_default_str();
  app.add_option("--iterations", flags.iterations)->capture_default_str();
  app.add_option("--memory-gib", flags.memory_gib, "refuse what needs more")->capture_default_str();
}

}  // namespace

int Main(int argc, char** argv) {
  auto session = dist::MpiSession::Start(&argc, &argv);
  if (!session.ok()) {
    std::cerr << "bench-layer70b: " << base::MessageOf(session.status()) << "\n";
    return 1;
  }
  dist::Communicator& world = (*session)->world();
  Flags flags;
  flags.layouts = {"1x2"};
  if (world.size() > 1) {
    flags.layouts = {fmt::format("1x{}", world.size()), fmt::format("{}x1", world.size())};
  }
  CLI::App app("One layer of Llama-2-70B: seconds and memory of each matrix");
  AddFlags(app, flags);
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = RunAll(flags, world);
  if (status.ok()) return 0;
  if (world.rank() == 0) std::cerr << "bench-layer70b: " << base::MessageOf(status) << "\n";
  return 1;
}

}  // namespace caldera::bench

int main(int argc, char** argv) { return caldera::bench::Main(argc, argv); }
