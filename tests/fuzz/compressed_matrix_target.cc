// Input: the header of a compressed matrix and a NUL, or (without '{' at its start) bytes that
// choose one, and then the bytes of its tensors, one after another. The tensors' own headers are
// made from it, so mutants have a sound frame.
#include "common/base/check.h"
#include "common/base/status.h"
#include "common/model/compressed_matrix_io.h"
#include "common/model/safetensors.h"
#include "tests/fuzz/inputs.h"
#include "tests/fuzz/targets.h"
#include "tests/support/random_compressed_matrix.h"

namespace caldera::fuzz {
namespace {

using model::CompressedMatrixHeader;
using model::SafetensorsFile;
using model::SafetensorsTensor;

constexpr std::uint64_t kMostBytes = 1 << 14;
constexpr char kPrefix[] = "m";

// Bytes that choose the header, and how many of them.
constexpr std::size_t kChoices = 10;
CompressedMatrixHeader HeaderFrom(const std::string& choices) {
  const auto choice = [&choices](std::size_t i, int count) {
    return static_cast<unsigned char>(choices[i]) % count;
  };
  CompressedMatrixHeader header;
  header.rows = choice(0, 24);
  header.columns = choice(1, 24);
  header.rank = choice(2, 4);
  header.q_bits = base::Bits(choice(3, 5));
  header.l_bits = base::Bits(4 << choice(4, 3));
  header.r_bits = base::Bits(4 << choice(5, 3));
  header.q_columns_3 = choice(6, 8);
  header.q_columns_4 = choice(7, 8);
  header.axis = static_cast<model::CodewordAxis>(choice(8, 2));
  header.codebook = static_cast<model::CodebookKind>(choice(9, 3));
  return header;
}

Verdict ReadMatrix(const std::string& header_json, const std::string& data) {
  const auto header = model::ParseMatrixHeader(header_json, "header");
  if (!header.ok() || model::StoredBytes(*header) > kMostBytes) return Verdict::kRefused;
  const std::vector<SafetensorsTensor> tensors =
      TensorsFrom(model::MatrixTensors(*header, kPrefix), data);
  const auto file = model::WriteSafetensors({{kPrefix, header_json}}, tensors);
  CALDERA_CHECK(file.ok(), "the tensors cannot be written");
  const auto opened = SafetensorsFile::Open(SourceOf(TextOf(*file)));
  CALDERA_CHECK(opened.ok(), "the tensors cannot be read");
  const auto matrix = model::ReadMatrix(**opened, kPrefix, header_json);
  if (!matrix.ok()) return Verdict::kRefused;
  const auto encoded = model::EncodeMatrixObject(kPrefix, *matrix);
  CALDERA_CHECK(encoded.ok(), "what was read: {}", base::MessageOf(encoded.status()));
  CALDERA_CHECK(*encoded == *file, "one matrix has two encodings");
  return Verdict::kAccepted;
}

Verdict Run(const std::string& input) {
  if (input.starts_with('{')) {
    const std::vector<std::string> parts = Parts(input, '\0', 2);
    return ReadMatrix(parts[0], parts[1]);
  }
  if (input.size() < kChoices) return Verdict::kRefused;
  return ReadMatrix(model::MatrixHeaderToJson(HeaderFrom(input)), input.substr(kChoices));
}

std::string InputOf(const CompressedMatrixHeader& header) {
  const model::CompressedMatrix matrix = test_support::RandomCompressedMatrix(header, 1);
  std::string input = model::MatrixHeaderToJson(matrix.header) + std::string(1, '\0');
  const std::vector<SafetensorsTensor> tensors = *model::EncodeMatrix(matrix, kPrefix);
  for (const SafetensorsTensor& tensor : tensors) {
    input += TextOf(tensor.bytes);
  }
  return input;
}

// The tensors of a random matrix of this header.
std::string ChosenBytes(const CompressedMatrixHeader& header) {
  return Parts(InputOf(header), '\0', 2)[1];
}

CompressedMatrixHeader HeaderOf(int q_bits, int factor_bits) {
  CompressedMatrixHeader header;
  header.rows = 9;
  header.columns = 6;
  header.rank = 2;
  header.q_bits = base::Bits(q_bits);
  header.l_bits = header.r_bits = base::Bits(factor_bits);
  return header;
}

std::vector<Seed> Seeds() {
  CompressedMatrixHeader mixed = HeaderOf(2, 8);
  mixed.q_columns_3 = 2;
  mixed.q_columns_4 = 1;
  CompressedMatrixHeader along_rows = HeaderOf(4, 4);
  along_rows.axis = model::CodewordAxis::kColumns;
  CompressedMatrixHeader plain = HeaderOf(0, 16);
  plain.input_block = 2;
  std::string overflowing = model::MatrixHeaderToJson(along_rows);
  overflowing.insert(1, R"("q_columns_3":4611686018427387904,"q_columns_4":4611686018427387904,)");
  CompressedMatrixHeader huge = HeaderOf(2, 4);
  huge.rows = std::int64_t{1} << 40;
  const std::string bits = InputOf(mixed);
  return {{"two_bits", Verdict::kAccepted, InputOf(HeaderOf(2, 4))},
          {"three_bits", Verdict::kAccepted, InputOf(HeaderOf(3, 16))},
          {"mixed", Verdict::kAccepted, bits},
          {"along_rows", Verdict::kAccepted, InputOf(along_rows)},
          {"factors_only", Verdict::kAccepted, InputOf(plain)},
          {"chosen", Verdict::kAccepted,
           std::string("\x09\x06\x02\x02\x01\x01\x02\x01\0\0", 10) + ChosenBytes(mixed)},
          {"no_data", Verdict::kRefused, model::MatrixHeaderToJson(mixed)},
          {"overflowing_columns", Verdict::kRefused, overflowing},
          {"huge", Verdict::kRefused, model::MatrixHeaderToJson(huge)}};
}

}  // namespace

Target CompressedMatrixTarget() { return {"compressed_matrix", Run, Seeds}; }

}  // namespace caldera::fuzz
