// Input: the header of a table of 4 bits, and after a NUL the bytes of its tensors, one after
// another; a table of 8 bits of the same shape is read from the same bytes.
#include <cmath>

#include "common/base/check.h"
#include "common/base/status.h"
#include "common/model/embedding_table.h"
#include "common/model/safetensors.h"
#include "tests/fuzz/inputs.h"
#include "tests/fuzz/targets.h"

namespace caldera::fuzz {
namespace {

constexpr std::int64_t kMostValues = 1 << 12;

std::unique_ptr<model::SafetensorsFile> FileOf(const model::EmbeddingHeader& header,
                                               const std::string& bytes) {
  const auto tensors = TensorsFrom(model::EmbeddingTensors(header, "t"), bytes);
  auto file = model::SafetensorsFile::Open(SourceOf(TextOf(*model::WriteSafetensors({}, tensors))));
  CALDERA_CHECK(file.ok(), "the tensors cannot be read");
  return *std::move(file);
}

Verdict ReadTable(const model::EmbeddingHeader& header, const std::string& bytes) {
  const auto table = model::EmbeddingTable::Read(*FileOf(header, bytes), "t", header);
  if (!table.ok()) return Verdict::kRefused;
  if (header.rows * header.columns == 0) return Verdict::kAccepted;
  std::vector<float> values(static_cast<std::size_t>(header.rows * header.columns));
  const absl::Status decoded = table->DecodeRows(0, values);
  CALDERA_CHECK(decoded.ok(), "all rows: {}", base::MessageOf(decoded));
  for (const float value : values) CALDERA_CHECK(!std::isnan(value), "a value is no number");
  std::vector<float> row(static_cast<std::size_t>(header.columns));
  CALDERA_CHECK(!table->DecodeRows(header.rows, row).ok(), "a row beyond the last");
  CALDERA_CHECK(!table->DecodeRows(-1, row).ok(), "a row before the first");
  return Verdict::kAccepted;
}

Verdict Run(const std::string& input) {
  const std::vector<std::string> parts = Parts(input, '\0', 2);
  auto header = model::ParseEmbeddingHeader(parts[0], "header");
  if (!header.ok() || header->rows > kMostValues || header->columns > kMostValues ||
      header->rows * header->columns > kMostValues) {
    return Verdict::kRefused;
  }
  const Verdict nibbles = ReadTable(*header, parts[1]);
  header->bits = base::Bits(8);
  const Verdict bytes = ReadTable(*header, parts[1]);
  return nibbles == Verdict::kAccepted ? nibbles : bytes;
}

std::string Header(std::int64_t rows, std::int64_t columns) {
  return model::EmbeddingHeaderToJson({rows, columns, base::Bits(4)});
}

std::vector<Seed> Seeds() {
  const std::string nul(1, '\0');
  return {{"zeros", Verdict::kAccepted, Header(3, 40)},
          {"values", Verdict::kAccepted,
           Header(2, 4) + nul + "\x12\x34\x56\x78" +
               std::string("\0\x3C\0\x3C\0\x38\0\x38\0\x38\0\x38", 12)},
          {"odd_columns", Verdict::kAccepted, Header(4, 3)},
          {"empty", Verdict::kAccepted, Header(0, 0)},
          {"no_scales", Verdict::kRefused, Header(2, 2) + nul + std::string(40, '\xFF')},
          {"huge", Verdict::kRefused, Header(std::int64_t{1} << 40, 8)}};
}

}  // namespace

Target EmbeddingTableTarget() { return {"embedding_table", Run, Seeds}; }

}  // namespace caldera::fuzz
