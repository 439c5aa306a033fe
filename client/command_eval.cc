// caldera eval MODEL: perplexity on a text, for originals and compressed checkpoints alike; with
// --reference also the divergence from the original.
#include <algorithm>
#include <memory>
#include <optional>
#include <thread>

#include "absl/time/clock.h"
#include "client/context.h"
#include "common/base/status.h"
#include "common/model/calibration_text.h"
#include "common/model/tokenizer.h"
#include "common/store/open_files.h"
#include "numerics/kernels/parallel.h"
#include "numerics/llama/comparison.h"
#include "numerics/llama/compressed_source.h"
#include "numerics/llama/perplexity.h"

namespace caldera::client {
namespace {

struct EvalFlags {
  std::string model;
  std::string reference;  // empty: perplexity alone
  std::string text;
  std::int64_t seq_len = 512;
  std::int64_t max_tokens = 0;  // 0 = the whole text
  int threads = 0;
};

absl::StatusOr<model::OpenedModel> OpenAny(const std::string& uri_or_path) {
  CALDERA_ASSIGN_OR_RETURN(std::shared_ptr<const model::FileSet> files,
                           store::OpenFiles(uri_or_path));
  return llama::OpenAnyModel(std::move(files));
}

// The text in the tokens of one model.
absl::StatusOr<model::TokenWindows> CutText(const EvalFlags& flags,
                                            const model::OpenedModel& opened) {
  CALDERA_ASSIGN_OR_RETURN(const auto tokenizer, model::LoadTokenizer(*opened.files));
  CALDERA_ASSIGN_OR_RETURN(const auto text, store::OpenFile(flags.text));
  CALDERA_ASSIGN_OR_RETURN(const auto ids, model::TokenizeFile(*text, *tokenizer));
  model::EvaluationOptions options;
  options.seq_len = flags.seq_len;
  if (flags.max_tokens > 0) options.max_tokens = flags.max_tokens;
  auto windows = model::EvaluationWindows(ids, *tokenizer, options);
  if (!windows.ok()) return base::WithContext(windows.status(), flags.text);
  return windows;
}

// INVALID_ARGUMENT naming the first token in which two models read the text differently: their
// distributions would stand for different things.
absl::Status CheckSameTokens(const EvalFlags& flags, const model::TokenWindows& model,
                             const model::TokenWindows& reference) {
  const auto [mine, theirs] =
      std::mismatch(model.ids.begin(), model.ids.end(), reference.ids.begin(), reference.ids.end());
  if (mine == model.ids.end() && theirs == reference.ids.end()) return absl::OkStatus();
  if (mine == model.ids.end() || theirs == reference.ids.end()) {
    return base::InvalidArgument("{}: {} windows in the tokens of {}, {} in those of {}",
                                 flags.text, model.count(), flags.model, reference.count(),
                                 flags.reference);
  }
  const std::int64_t place = mine - model.ids.begin();
  return base::InvalidArgument(
      "{}: the tokenizers differ: token {} of window {} is {} for {} and {} for {}", flags.text,
      place % flags.seq_len, place / flags.seq_len, *mine, flags.model, *theirs, flags.reference);
}

Json Optional(const std::optional<double>& value) { return value ? Json(*value) : Json(); }

Json PerplexityJson(const EvalFlags& flags, const llama::Perplexity& result) {
  return {{"model", flags.model},
          {"perplexity", result.perplexity},
          {"perplexity_standard_error", Optional(result.perplexity_standard_error)},
          {"nll", result.nll},
          {"nll_standard_error", Optional(result.nll_standard_error)},
          {"tokens", result.tokens},
          {"sequences", result.windows}};
}

Json ComparisonJson(const EvalFlags& flags, const llama::Comparison& result) {
  Json json = PerplexityJson(flags, result.model);
  json["reference"] = flags.reference;
  json["reference_perplexity"] = result.reference.perplexity;
  json["nll_difference"] = result.nll_difference.mean;
  json["nll_difference_standard_error"] = Optional(result.nll_difference.standard_error);
  json["kl"] = result.kl.mean;
  json["kl_standard_error"] = Optional(result.kl.standard_error);
  json["kl_p99"] = result.kl_p99;
  json["top1_agreement"] = result.top1_agreement;
  return json;
}

double SecondsSince(absl::Time started) { return absl::ToDoubleSeconds(absl::Now() - started); }

absl::StatusOr<Json> Evaluate(const EvalFlags& flags, const model::OpenedModel& opened) {
  CALDERA_ASSIGN_OR_RETURN(const auto cut, CutText(flags, opened));
  const absl::Time started = absl::Now();
  CALDERA_ASSIGN_OR_RETURN(
      const llama::Perplexity result,
      llama::EvaluatePerplexity(*opened.tensors, opened.config, llama::WindowsOf(cut)));
  Json json = PerplexityJson(flags, result);
  json["seconds"] = SecondsSince(started);
  return json;
}

absl::StatusOr<Json> Compare(const EvalFlags& flags, const model::OpenedModel& opened) {
  CALDERA_ASSIGN_OR_RETURN(const model::OpenedModel original, OpenAny(flags.reference));
  const llama::ModelView model{*opened.tensors, opened.config};
  const llama::ModelView reference{*original.tensors, original.config};
  CALDERA_RETURN_IF_ERROR(llama::CheckSameVocabulary(reference, model));
  CALDERA_ASSIGN_OR_RETURN(const auto cut, CutText(flags, opened));
  CALDERA_ASSIGN_OR_RETURN(const auto reference_cut, CutText(flags, original));
  CALDERA_RETURN_IF_ERROR(CheckSameTokens(flags, cut, reference_cut));
  const absl::Time started = absl::Now();
  CALDERA_ASSIGN_OR_RETURN(const llama::Comparison result,
                           llama::CompareModels(reference, model, llama::WindowsOf(cut)));
  Json json = ComparisonJson(flags, result);
  json["seconds"] = SecondsSince(started);
  return json;
}

absl::Status Eval(const EvalFlags& flags, const Context& context) {
  CALDERA_ASSIGN_OR_RETURN(const OutputFormat format, context.output());
  const auto cores = static_cast<int>(std::thread::hardware_concurrency());
  kernels::SetThreads(flags.threads > 0 ? flags.threads : std::max(1, cores));
  CALDERA_ASSIGN_OR_RETURN(const model::OpenedModel opened, OpenAny(flags.model));
  CALDERA_ASSIGN_OR_RETURN(const Json report, flags.reference.empty() ? Evaluate(flags, opened)
                                                                      : Compare(flags, opened));
  PrintObject(report, format);
  return absl::OkStatus();
}

}  // namespace

void AddEval(CLI::App& app, Context& context, Action& action) {
  const auto flags = std::make_shared<EvalFlags>();
  CLI::App& command = *app.add_subcommand("eval", "perplexity of a model or checkpoint on a text");
  AddOutputFlag(command, context);
  command.add_option("MODEL", flags->model, "model directory, GGUF file or checkpoint")->required();
  command.add_option("--reference", flags->reference,
                     "original to compare with: adds the KL divergence from it");
  command.add_option("--text", flags->text, "text to score (.txt, .jsonl or .ids)")->required();
  command.add_option("--seq-len", flags->seq_len, "tokens per window")->capture_default_str();
  command.add_option("--max-tokens", flags->max_tokens, "only the first tokens, 0 = all");
  command.add_option("--threads", flags->threads, "0 = all cores");
  command.callback(
      [flags, &context, &action] { action = [flags, &context] { return Eval(*flags, context); }; });
}

}  // namespace caldera::client
