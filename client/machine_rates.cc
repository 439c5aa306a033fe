#include "client/machine_rates.h"

#include <time.h>

#include <cmath>
#include <functional>
#include <utility>
#include <vector>

#include "common/base/check.h"
#include "common/base/status.h"
#include "common/model/compressed_matrix.h"
#include "numerics/lattice/codebook.h"
#include "numerics/linalg/blas.h"
#include "numerics/linalg/random.h"

namespace caldera::client {
namespace {

using model::CodebookKind;
using model::MachineRates;

constexpr double kEnoughSeconds = .025;  // of one measurement

struct Field {
  const char* name;
  double MachineRates::*value;
};
constexpr Field kFields[] = {{"sgemm_flops", &MachineRates::sgemm_flops},
                             {"e8p_2", &MachineRates::e8p_2},
                             {"e8p_3", &MachineRates::e8p_3},
                             {"e8p_4", &MachineRates::e8p_4},
                             {"trellis_10", &MachineRates::trellis_10},
                             {"trellis_12", &MachineRates::trellis_12}};

double ThreadSeconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// Units per second of `work`, which does `units` each time.
double RateOf(double units, const std::function<void()>& work) {
  work();  // tables and caches
  double done = 0;
  double seconds = 0;
  for (const double start = ThreadSeconds(); seconds < kEnoughSeconds;
       seconds = ThreadSeconds() - start) {
    work();
    done += units;
  }
  return done / seconds;
}

double SgemmRate() {
  constexpr std::int64_t kSize = 1024;
  constexpr std::int64_t kRows = 128;
  linalg::MatrixF a(kRows, kSize);
  linalg::MatrixF b(kSize, kSize);
  linalg::MatrixF c(kRows, kSize);
  linalg::Random(1).FillNormal(a.view());
  linalg::Random(2).FillNormal(b.view());
  return RateOf(2.0 * kRows * kSize * kSize, [&] { linalg::Gemm(a, b, c.view()); });
}

double EncoderRate(CodebookKind kind, int bits) {
  constexpr std::size_t kVectors = 64;
  const auto codebook = lattice::FindCodebook(kind, base::Bits(bits));
  CALDERA_CHECK(codebook.ok(), "{}", base::MessageOf(codebook.status()));
  linalg::MatrixF x(1, lattice::kCodeDimension * kVectors);
  linalg::MatrixF decoded = x;
  linalg::Random(3).FillNormal(x.view());
  std::vector<std::uint32_t> codes(kVectors);
  return RateOf(static_cast<double>(x.columns()), [&] {
    (*codebook)->Encode(x.data(), kVectors, kVectors, codes.data(), decoded.data());
  });
}

}  // namespace

MachineRates MeasureRates() {
  linalg::PinBlasToOneThread();
  return {SgemmRate(),
          EncoderRate(CodebookKind::kE8P, 2),
          EncoderRate(CodebookKind::kE8P, 3),
          EncoderRate(CodebookKind::kE8P, 4),
          EncoderRate(CodebookKind::kTrellis10, 2),
          EncoderRate(CodebookKind::kTrellis12, 2)};
}

Json RatesToJson(const MachineRates& rates) {
  Json json = Json::object();
  for (const Field& field : kFields) json[field.name] = rates.*field.value;
  return json;
}

absl::StatusOr<MachineRates> ParseRates(const std::string& text, const std::string& name) {
  Json json = Json::parse(text, nullptr, false);
  if (json.is_object() && json.contains("rates")) json = Json(json["rates"]);
  if (!json.is_object()) return base::InvalidArgument("{}: not a JSON object of rates", name);
  MachineRates rates;
  for (const Field& field : kFields) {
    const auto found = json.find(field.name);
    if (found == json.end()) return base::InvalidArgument("{}: {} is missing", name, field.name);
    const double value = found->is_number() ? found->get<double>() : 0;
    if (!(value > 0) || !std::isfinite(value)) {
      return base::InvalidArgument("{}: {} is {}, expected a number above 0", name, field.name,
                                   found->dump());
    }
    rates.*field.value = value;
    json.erase(field.name);
  }
  if (!json.empty()) return base::InvalidArgument("{}: {} is unknown", name, json.begin().key());
  return rates;
}

}  // namespace caldera::client
