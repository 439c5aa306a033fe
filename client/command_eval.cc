// caldera eval MODEL: perplexity on a text, for originals and compressed checkpoints alike.
#include <memory>
#include <thread>

#include "absl/time/clock.h"
#include "client/context.h"
#include "common/base/status.h"
#include "common/model/calibration_text.h"
#include "common/model/local_files.h"
#include "common/model/tokenizer.h"
#include "numerics/kernels/parallel.h"
#include "numerics/llama/compressed_source.h"
#include "numerics/llama/perplexity.h"

namespace caldera::client {
namespace {

struct EvalFlags {
  std::string model;
  std::string text;
  std::int64_t seq_len = 512;
  std::int64_t max_tokens = 0;  // 0 = the whole text
  int threads = 0;
};

absl::StatusOr<std::vector<llama::Window>> LoadWindows(const EvalFlags& flags) {
  CALDERA_ASSIGN_OR_RETURN(const auto files, model::OpenLocalFiles(flags.model));
  CALDERA_ASSIGN_OR_RETURN(const auto tokenizer, model::LoadTokenizer(*files));
  CALDERA_ASSIGN_OR_RETURN(const auto text, model::FileByteSource::Open(flags.text));
  CALDERA_ASSIGN_OR_RETURN(const auto ids, model::TokenizeFile(*text, *tokenizer));
  model::EvaluationOptions options;
  options.seq_len = flags.seq_len;
  if (flags.max_tokens > 0) options.max_tokens = flags.max_tokens;
  CALDERA_ASSIGN_OR_RETURN(const auto cut, model::EvaluationWindows(ids, *tokenizer, options));
  std::vector<llama::Window> windows;
  for (std::int64_t i = 0; i < cut.count(); ++i) {
    windows.emplace_back(cut.window(i).begin(), cut.window(i).end());
  }
  return windows;
}

absl::Status Eval(const EvalFlags& flags, const Context& context) {
  CALDERA_ASSIGN_OR_RETURN(const OutputFormat format, context.output());
  const auto cores = static_cast<int>(std::thread::hardware_concurrency());
  kernels::SetThreads(flags.threads > 0 ? flags.threads : std::max(1, cores));
  CALDERA_ASSIGN_OR_RETURN(const auto windows, LoadWindows(flags));
  CALDERA_ASSIGN_OR_RETURN(const model::OpenedModel opened, llama::OpenAnyModel(flags.model));
  const absl::Time started = absl::Now();
  CALDERA_ASSIGN_OR_RETURN(const llama::Perplexity result,
                           llama::EvaluatePerplexity(*opened.tensors, opened.config, windows));
  PrintObject({{"model", flags.model},
               {"perplexity", result.perplexity},
               {"nll", result.nll},
               {"tokens", result.tokens},
               {"seconds", absl::ToDoubleSeconds(absl::Now() - started)}},
              format);
  return absl::OkStatus();
}

}  // namespace

void AddEval(CLI::App& app, Context& context, Action& action) {
  const auto flags = std::make_shared<EvalFlags>();
  CLI::App& command = *app.add_subcommand("eval", "perplexity of a model or checkpoint on a text");
  AddOutputFlag(command, context);
  command.add_option("MODEL", flags->model, "model directory, GGUF file or checkpoint")->required();
  command.add_option("--text", flags->text, "text to score (.txt, .jsonl or .ids)")->required();
  command.add_option("--seq-len", flags->seq_len, "tokens per window")->capture_default_str();
  command.add_option("--max-tokens", flags->max_tokens, "only the first tokens, 0 = all");
  command.add_option("--threads", flags->threads, "0 = all cores");
  command.callback(
      [flags, &context, &action] { action = [flags, &context] { return Eval(*flags, context); }; });
}

}  // namespace caldera::client
