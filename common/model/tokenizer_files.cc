#include "common/model/tokenizer_files.h"

#include <algorithm>
#include <vector>

#include "common/base/status.h"
#include "common/model/local_files.h"
#include "common/model/tokenizer_gguf.h"

namespace caldera::model {
namespace {

constexpr std::uint64_t kTextLimit = std::uint64_t{256} << 20;
// Files that belong to the tokenizer or to generation, wherever a model has them.
constexpr const char* kCopiedFiles[] = {
    "added_tokens.json", "chat_template.jinja",     "generation_config.json",
    "merges.txt",        "special_tokens_map.json", "tokenizer.json",
    "tokenizer.model",   "tokenizer_config.json",   "vocab.json"};

absl::StatusOr<std::map<std::string, std::string>> FilesOfGguf(const OpenedModel& model) {
  std::map<std::string, std::string> files;
  CALDERA_ASSIGN_OR_RETURN(const std::vector<FileSet::Entry> entries, model.files->List());
  for (const FileSet::Entry& entry : entries) {
    if (!entry.name.ends_with(".gguf")) continue;
    CALDERA_ASSIGN_OR_RETURN(const auto source, model.files->Open(entry.name));
    CALDERA_ASSIGN_OR_RETURN(const GgufVocabulary vocabulary, ReadGgufVocabulary(*source));
    CALDERA_ASSIGN_OR_RETURN(files["tokenizer.json"], TokenizerJson(vocabulary));
    CALDERA_ASSIGN_OR_RETURN(files["tokenizer_config.json"], TokenizerConfigJson(vocabulary));
  }
  return files;
}

absl::StatusOr<std::vector<FileSet::Entry>> CopiedFiles(const OpenedModel& model) {
  CALDERA_ASSIGN_OR_RETURN(std::vector<FileSet::Entry> entries, model.files->List());
  std::erase_if(entries, [](const FileSet::Entry& entry) {
    return std::ranges::find(kCopiedFiles, entry.name) == std::end(kCopiedFiles);
  });
  return entries;
}

}  // namespace

absl::StatusOr<std::map<std::string, std::string>> TokenizerFiles(const OpenedModel& model) {
  if (model.format == ModelFormat::kGguf) return FilesOfGguf(model);
  std::map<std::string, std::string> files;
  CALDERA_ASSIGN_OR_RETURN(const std::vector<FileSet::Entry> entries, CopiedFiles(model));
  for (const FileSet::Entry& entry : entries) {
    CALDERA_ASSIGN_OR_RETURN(files[entry.name], ReadText(*model.files, entry.name, kTextLimit));
  }
  return files;
}

absl::StatusOr<std::uint64_t> TokenizerFileBytes(const OpenedModel& model) {
  std::uint64_t bytes = 0;
  if (model.format == ModelFormat::kGguf) {
    CALDERA_ASSIGN_OR_RETURN(const auto files, FilesOfGguf(model));
    for (const auto& [name, text] : files) bytes += text.size();
    return bytes;
  }
  CALDERA_ASSIGN_OR_RETURN(const std::vector<FileSet::Entry> entries, CopiedFiles(model));
  for (const FileSet::Entry& entry : entries) bytes += entry.size;
  return bytes;
}

}  // namespace caldera::model
