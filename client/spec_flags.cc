#include "client/spec_flags.h"

#include <filesystem>

#include "common/base/status.h"

namespace caldera::client {
namespace {

constexpr std::int32_t kDefaultRank = 64;

std::string ToUri(const std::string& path) {
  // Empty: the coordinator says which field is missing.
  if (path.empty() || path.find("://") != std::string::npos) return path;
  std::string absolute = std::filesystem::absolute(path).lexically_normal().string();
  if (absolute.size() > 1 && absolute.ends_with('/')) absolute.pop_back();
  return "file://" + absolute;
}

}  // namespace

void AddSpecFlags(CLI::App& command, SpecFlags& flags) {
  AddSettingFlags(command, flags);
  command.add_option("OUT", flags.output, "directory of the compressed checkpoint")->required();
  command.add_option("--calibration", flags.calibration, "text (.txt, .jsonl or .ids)")->required();
}

void AddSettingFlags(CLI::App& command, SpecFlags& flags) {
  // A flag given again replaces the one before: scripts append to a common set.
  command.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  command.add_option("MODEL", flags.model, "Hugging Face directory or GGUF file")->required();
  command.add_option("--samples", flags.samples, "calibration windows")->capture_default_str();
  command.add_option("--seq-len", flags.seq_len, "tokens per window")->capture_default_str();
  command.add_option("--ranges", flags.ranges, "calibration tasks")->capture_default_str();
  command.add_option("--codebook", flags.codebook, "code of Q: e8p, trellis-10, trellis-12");
  command.add_option("--recipe", flags.recipe, "default, or published: the yardstick");
  command.add_option("--q-bits", flags.q_bits, "bits of Q: 2 (the default) to 4, 2.5 for example");
  command.add_option(
      "--target-bits", flags.target_bits,
      "instead of --q-bits: bits per weight of the whole, each matrix as it matters");
  command.add_option("--target-bits-include", flags.target_bits_include,
                     "embeddings: --target-bits counts all tensors and parameters");
  command.add_option("--rank", flags.rank, "rank of L R, 64; with --target-bits 0");
  command.add_option("--factor-bits", flags.factor_bits, "bits of L and R: 4, 8 or 16")
      ->capture_default_str();
  command.add_option("--l-bits", flags.l_bits, "bits of L alone");
  command.add_option("--r-bits", flags.r_bits, "bits of R alone");
  command.add_option("--iterations", flags.iterations, "outer iterations, 0 = default");
  command.add_option("--embedding-bits", flags.embedding_bits, "of embedding and head: 4, 8 or 16")
      ->capture_default_str();
  command.add_option("--seed", flags.seed, "of windows and signs")->capture_default_str();
  command.add_flag("--keep-hessians", flags.keep_hessians, "leave partial Hessians in the store");
}

absl::StatusOr<v1::JobSpec> ToSpec(const SpecFlags& flags) {
  if (flags.output.empty()) return base::InvalidArgument("OUT is empty");
  v1::JobSpec spec;
  spec.set_model_uri(ToUri(flags.model));
  spec.set_output_uri(ToUri(flags.output));
  v1::Calibration& calibration = *spec.mutable_calibration();
  calibration.set_uri(ToUri(flags.calibration));
  calibration.set_samples(flags.samples);
  calibration.set_seq_len(flags.seq_len);
  calibration.set_ranges(flags.ranges);
  calibration.set_seed(flags.seed);
  v1::Decomposition& decomposition = *spec.mutable_decomposition();
  decomposition.set_recipe(flags.recipe);
  decomposition.set_codebook(flags.codebook);
  decomposition.set_q_bits(flags.q_bits);
  decomposition.set_target_bits(flags.target_bits);
  decomposition.set_target_bits_include(flags.target_bits_include);
  decomposition.set_rank(RankOf(flags));
  decomposition.set_l_bits(flags.l_bits == 0 ? flags.factor_bits : flags.l_bits);
  decomposition.set_r_bits(flags.r_bits == 0 ? flags.factor_bits : flags.r_bits);
  decomposition.set_iterations(flags.iterations);
  decomposition.set_seed(flags.seed);
  spec.set_embedding_bits(flags.embedding_bits);
  spec.set_keep_hessians(flags.keep_hessians);
  return spec;
}

std::int32_t RankOf(const SpecFlags& flags) {
  return flags.rank.value_or(flags.target_bits == 0 ? kDefaultRank : 0);
}

model::JobSettings ToSettings(const SpecFlags& flags) {
  model::JobSettings settings;
  settings.samples = flags.samples;
  settings.seq_len = flags.seq_len;
  settings.ranges = flags.ranges;
  settings.decomposition = {flags.recipe,
                            flags.codebook,
                            flags.q_bits,
                            RankOf(flags),
                            flags.l_bits == 0 ? flags.factor_bits : flags.l_bits,
                            flags.r_bits == 0 ? flags.factor_bits : flags.r_bits,
                            flags.iterations,
                            flags.target_bits,
                            flags.target_bits_include};
  settings.embedding_bits = flags.embedding_bits;
  return settings;
}

}  // namespace caldera::client
