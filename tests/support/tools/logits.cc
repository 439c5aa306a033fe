// test-logits: what a model computes, for the Python oracles.
//
//   test-logits logits MODEL IDS OUT        IDS: decimal ids; OUT: raw float32, tokens x vocabulary
//   test-logits perplexity MODEL IDS LENGTH prints "tokens nll perplexity" over windows of LENGTH
//   ids
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/base/status.h"
#include "common/model/model_directory.h"
#include "numerics/kernels/parallel.h"
#include "numerics/llama/compressed_source.h"
#include "numerics/llama/perplexity.h"

namespace caldera {
namespace {

std::vector<std::int32_t> ReadIds(const std::string& path) {
  std::ifstream file(path);
  std::vector<std::int32_t> ids;
  for (std::int32_t id = 0; file >> id;) ids.push_back(id);
  return ids;
}

absl::Status WriteLogits(const model::OpenedModel& model, const std::vector<std::int32_t>& ids,
                         const std::string& path) {
  CALDERA_ASSIGN_OR_RETURN(const linalg::MatrixF logits,
                           llama::Logits(*model.tensors, model.config, ids));
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(logits.data()),
             static_cast<std::streamsize>(logits.rows() * logits.columns() * 4));
  if (!file.flush()) return base::Internal("cannot write {}", path);
  return absl::OkStatus();
}

absl::Status PrintPerplexity(const model::OpenedModel& model, const std::vector<std::int32_t>& ids,
                             std::size_t length) {
  std::vector<llama::Window> windows;
  for (std::size_t first = 0; first + length <= ids.size(); first += length) {
    const auto begin = ids.begin() + static_cast<std::ptrdiff_t>(first);
    windows.emplace_back(begin, begin + static_cast<std::ptrdiff_t>(length));
  }
  CALDERA_ASSIGN_OR_RETURN(const llama::Perplexity result,
                           llama::EvaluatePerplexity(*model.tensors, model.config, windows));
  std::printf("%lld %.12g %.12g\n", static_cast<long long>(result.tokens), result.nll,
              result.perplexity);
  return absl::OkStatus();
}

absl::Status Run(const std::vector<std::string>& arguments) {
  if (arguments.size() != 4) return base::InvalidArgument("usage: see the head of logits.cc");
  CALDERA_ASSIGN_OR_RETURN(const model::OpenedModel model, llama::OpenAnyModel(arguments[1]));
  const std::vector<std::int32_t> ids = ReadIds(arguments[2]);
  if (arguments[0] == "logits") return WriteLogits(model, ids, arguments[3]);
  if (arguments[0] == "perplexity") return PrintPerplexity(model, ids, std::stoul(arguments[3]));
  return base::InvalidArgument("unknown mode {}", arguments[0]);
}

}  // namespace
}  // namespace caldera

int main(int argc, char** argv) {
  caldera::kernels::SetThreads(2);
  const absl::Status status = caldera::Run(std::vector<std::string>(argv + 1, argv + argc));
  if (!status.ok()) std::cerr << caldera::base::MessageOf(status) << "\n";
  return status.ok() ? 0 : 1;
}
