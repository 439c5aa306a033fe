// Drives common/model's tokenizers from Python tests.
//
//   test-tokenize encode MODEL TEXT      ids of the file TEXT, one a line
//   test-tokenize roundtrip MODEL TEXT   decode(encode(TEXT)), raw bytes
//   test-tokenize info MODEL             "vocab_size bos adds_bos eos..."; -1 for none
//   test-tokenize json GGUF DIRECTORY    writes tokenizer.json and tokenizer_config.json there
#include <cstdio>
#include <fstream>
#include <string>

#include "common/base/status.h"
#include "common/model/calibration_text.h"
#include "common/model/local_files.h"
#include "common/model/tokenizer.h"
#include "common/model/tokenizer_gguf.h"

namespace caldera {
namespace {

absl::StatusOr<std::unique_ptr<model::Tokenizer>> Load(const std::string& path) {
  CALDERA_ASSIGN_OR_RETURN(const auto files, model::OpenLocalFiles(path));
  return model::LoadTokenizer(*files);
}

absl::Status Encode(const std::string& path, const std::string& text) {
  CALDERA_ASSIGN_OR_RETURN(const auto tokenizer, Load(path));
  CALDERA_ASSIGN_OR_RETURN(const auto file, model::FileByteSource::Open(text));
  CALDERA_ASSIGN_OR_RETURN(const auto ids, model::TokenizeFile(*file, *tokenizer));
  for (const std::int32_t id : ids) std::printf("%d\n", id);
  return absl::OkStatus();
}

absl::Status RoundTrip(const std::string& path, const std::string& text) {
  CALDERA_ASSIGN_OR_RETURN(const auto tokenizer, Load(path));
  CALDERA_ASSIGN_OR_RETURN(const auto file, model::FileByteSource::Open(text));
  CALDERA_ASSIGN_OR_RETURN(const auto ids, model::TokenizeFile(*file, *tokenizer));
  const std::string decoded = tokenizer->Decode(ids);
  std::fwrite(decoded.data(), 1, decoded.size(), stdout);
  return absl::OkStatus();
}

absl::Status Info(const std::string& path) {
  CALDERA_ASSIGN_OR_RETURN(const auto tokenizer, Load(path));
  std::printf("%d %d %d", tokenizer->vocab_size(), tokenizer->bos_id().value_or(-1),
              tokenizer->adds_bos() ? 1 : 0);
  for (const std::int32_t id : tokenizer->eos_ids()) std::printf(" %d", id);
  std::printf("\n");
  return absl::OkStatus();
}

absl::Status WriteJson(const std::string& path, const std::string& directory) {
  CALDERA_ASSIGN_OR_RETURN(const auto file, model::FileByteSource::Open(path));
  CALDERA_ASSIGN_OR_RETURN(const auto vocabulary, model::ReadGgufVocabulary(*file));
  CALDERA_ASSIGN_OR_RETURN(const std::string tokenizer, model::TokenizerJson(vocabulary));
  CALDERA_ASSIGN_OR_RETURN(const std::string config, model::TokenizerConfigJson(vocabulary));
  std::ofstream(directory + "/tokenizer.json", std::ios::binary) << tokenizer;
  std::ofstream(directory + "/tokenizer_config.json", std::ios::binary) << config;
  return absl::OkStatus();
}

absl::Status Run(int count, char** arguments) {
  const std::string command = count > 2 ? arguments[1] : "";
  if (command == "info") return Info(arguments[2]);
  if (count != 4) return base::InvalidArgument("usage: see the head of tokenize.cc");
  if (command == "encode") return Encode(arguments[2], arguments[3]);
  if (command == "roundtrip") return RoundTrip(arguments[2], arguments[3]);
  if (command == "json") return WriteJson(arguments[2], arguments[3]);
  return base::InvalidArgument("unknown command {}", command);
}

}  // namespace
}  // namespace caldera

int main(int argc, char** argv) {
  const absl::Status status = caldera::Run(argc, argv);
  if (status.ok()) return 0;
  std::fprintf(stderr, "%s\n", caldera::base::MessageOf(status).c_str());
  return 1;
}
