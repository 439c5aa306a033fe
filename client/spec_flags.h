// The flags of a job: --q-bits --rank --factor-bits --calibration ..., and the JobSpec they make.
#ifndef CALDERA_CLIENT_SPEC_FLAGS_H_
#define CALDERA_CLIENT_SPEC_FLAGS_H_

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "caldera/v1/compression.pb.h"
#include "common/model/job_settings.h"

namespace caldera::client {

struct SpecFlags {
  std::string model;
  std::string output;
  std::string calibration;
  std::string codebook;  // empty: the coordinator chooses
  std::string recipe;    // empty: the default one
  std::int32_t samples = 128;
  std::int32_t seq_len = 512;
  std::int32_t ranges = 4;
  double q_bits = 0;  // 0: the coordinator's default
  double target_bits = 0;
  std::string target_bits_include;
  std::optional<std::int32_t> rank;  // 64, or 0 with target_bits
  std::int32_t factor_bits = 4;
  std::int32_t l_bits = 0;  // 0 = factor_bits
  std::int32_t r_bits = 0;
  std::int32_t iterations = 0;
  std::int32_t embedding_bits = 8;
  std::uint64_t seed = 0;
  bool keep_hessians = false;
};

// Adds MODEL, OUT and the flags; values land in `flags`, which outlives the app.
void AddSpecFlags(CLI::App& command, SpecFlags& flags);
// The same without OUT and --calibration: what an estimate needs.
void AddSettingFlags(CLI::App& command, SpecFlags& flags);

// Relative paths become absolute file:// URIs. INVALID_ARGUMENT naming the flag for values that no
// job can have; the coordinator checks the rest.
absl::StatusOr<v1::JobSpec> ToSpec(const SpecFlags& flags);
// 64, or 0 with a target, unless one is given.
std::int32_t RankOf(const SpecFlags& flags);
// The part of it that has no places and no seeds.
model::JobSettings ToSettings(const SpecFlags& flags);

}  // namespace caldera::client

#endif  // CALDERA_CLIENT_SPEC_FLAGS_H_
