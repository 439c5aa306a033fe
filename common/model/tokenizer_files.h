// The tokenizer and generation files that a published checkpoint has from its source.
#ifndef CALDERA_COMMON_MODEL_TOKENIZER_FILES_H_
#define CALDERA_COMMON_MODEL_TOKENIZER_FILES_H_

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "common/model/model_directory.h"

namespace caldera::model {

// By name: copied as given, or written from the GGUF's vocabulary.
absl::StatusOr<std::map<std::string, std::string>> TokenizerFiles(const OpenedModel& model);

// The sum of their sizes; files that are copied are not read for it.
absl::StatusOr<std::uint64_t> TokenizerFileBytes(const OpenedModel& model);

}  // namespace caldera::model

#endif  // CALDERA_COMMON_MODEL_TOKENIZER_FILES_H_
