#include "common/model/compressed_matrix.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "common/base/status.h"
#include "common/model/compressed_matrix_io.h"

namespace caldera::model {
namespace {

// Keeps every product of two dimensions, times the bytes of an element, within int64.
constexpr std::int64_t kMaxDimension = std::int64_t{1} << 30;
constexpr std::int64_t kMaxTransformBlock = 1024;

absl::Status CheckSize(const std::string& field, std::size_t actual, std::int64_t expected) {
  if (std::cmp_equal(actual, expected)) return absl::OkStatus();
  return base::InvalidArgument("{} has {} elements, expected {}", field, actual, expected);
}

absl::Status CheckBlock(const std::string& field, std::int64_t block, std::int64_t dimension) {
  const bool in_range = block > 0 && block <= kMaxTransformBlock;
  if (in_range && std::has_single_bit(static_cast<std::uint64_t>(block)) &&
      dimension % block == 0) {
    return absl::OkStatus();
  }
  return base::InvalidArgument("{} {} is not a power of two up to {} that divides {}", field, block,
                               kMaxTransformBlock, dimension);
}

absl::Status CheckFactorBits(const std::string& field, base::Bits bits) {
  if (bits.value() == 4 || bits.value() == 8 || bits.value() == 16) return absl::OkStatus();
  return base::InvalidArgument("{} is {}, expected 4, 8 or 16", field, bits.value());
}

absl::Status CheckDimensions(const CompressedMatrixHeader& header) {
  for (const auto& [field, value] :
       {std::pair("rows", header.rows), std::pair("columns", header.columns),
        std::pair("rank", header.rank)}) {
    if (value < 0 || value > kMaxDimension) {
      return base::InvalidArgument("{} {} is out of range", field, value);
    }
  }
  if (header.rank > std::min(header.rows, header.columns)) {
    return base::InvalidArgument("rank {} exceeds a dimension of {} x {}", header.rank, header.rows,
                                 header.columns);
  }
  if (header.q_columns_3 < 0 || header.q_columns_4 < 0 ||
      header.q_columns_3 > header.columns - header.q_columns_4) {
    return base::InvalidArgument("q_columns_3 {} and q_columns_4 {} of {} columns",
                                 header.q_columns_3, header.q_columns_4, header.columns);
  }
  return absl::OkStatus();
}

// Elements of a factor's codes: 8 values share one code at 4 bits.
std::int64_t FactorCodeCount(std::int64_t values, base::Bits bits) {
  return bits.value() == 4 ? values / 8 : values;
}

absl::Status CheckVectorSizes(const CompressedMatrix& matrix) {
  const CompressedMatrixHeader& h = matrix.header;
  CALDERA_RETURN_IF_ERROR(CheckSize("q_codes", matrix.q_codes.size(), h.q_code_count()));
  CALDERA_RETURN_IF_ERROR(
      CheckSize("q_column_bits", matrix.q_column_bits.size(), h.mixed() ? h.columns : 0));
  CALDERA_RETURN_IF_ERROR(CheckSize("q_scale", matrix.q_scale.size(), h.scale_count()));
  const std::int64_t l_values = h.padded_rows() * h.padded_rank();
  const std::int64_t r_values = h.padded_rank() * h.columns;
  CALDERA_RETURN_IF_ERROR(
      CheckSize("l_codes", matrix.l_codes.size(), FactorCodeCount(l_values, h.l_bits)));
  CALDERA_RETURN_IF_ERROR(
      CheckSize("r_codes", matrix.r_codes.size(), FactorCodeCount(r_values, h.r_bits)));
  CALDERA_RETURN_IF_ERROR(CheckSize("l_scale", matrix.l_scale.size(), h.rank));
  CALDERA_RETURN_IF_ERROR(CheckSize("r_scale", matrix.r_scale.size(), h.rank));
  CALDERA_RETURN_IF_ERROR(CheckSize("sign_in", matrix.sign_in.size(), h.columns));
  return CheckSize("sign_out", matrix.sign_out.size(), h.rows);
}

absl::Status CheckCodes(const std::string& field, const std::vector<std::uint32_t>& codes,
                        int bits) {
  if (bits >= 32) return absl::OkStatus();
  for (const std::uint32_t code : codes) {
    if (code >> static_cast<unsigned>(bits) != 0) {
      return base::InvalidArgument("{}: code {} has more than {} bits", field, code, bits);
    }
  }
  return absl::OkStatus();
}

absl::Status CheckMixedCodes(const CompressedMatrix& matrix) {
  CALDERA_RETURN_IF_ERROR(CheckColumnBits(matrix.header, matrix.q_column_bits));
  const std::size_t columns = matrix.q_column_bits.size();
  for (std::size_t i = 0; i < matrix.q_codes.size(); ++i) {
    const auto bits = static_cast<unsigned>(8 * matrix.q_column_bits[i % columns]);
    if (bits < 32 && matrix.q_codes[i] >> bits != 0) {
      return base::InvalidArgument("q_codes: code {} of column {} has more than {} bits",
                                   matrix.q_codes[i], i % columns, bits);
    }
  }
  return absl::OkStatus();
}

absl::Status CheckFactorCodes(const std::string& field, const std::vector<std::uint32_t>& codes,
                              base::Bits bits) {
  constexpr std::uint32_t kHalfExponent = 0x7C00;
  if (bits.value() == 4) return absl::OkStatus();
  CALDERA_RETURN_IF_ERROR(CheckCodes(field, codes, bits.value()));
  for (const std::uint32_t code : codes) {
    if (bits.value() == 16 && (code & kHalfExponent) == kHalfExponent) {
      return base::InvalidArgument("{}: half {:#06x} is not finite", field, code);
    }
  }
  return absl::OkStatus();
}

absl::Status CheckScales(const std::string& field, const std::vector<float>& scales) {
  for (const float scale : scales) {
    if (!std::isfinite(scale) || scale < 0) {
      return base::InvalidArgument("{} holds {}, expected a finite value >= 0", field, scale);
    }
  }
  return absl::OkStatus();
}

absl::Status CheckSigns(const std::string& field, const std::vector<std::uint8_t>& signs) {
  for (const std::uint8_t sign : signs) {
    if (sign > 1) return base::InvalidArgument("{} holds {}, expected 0 or 1", field, sign);
  }
  return absl::OkStatus();
}

absl::Status CheckValues(const CompressedMatrix& matrix) {
  CALDERA_RETURN_IF_ERROR(CheckScales("q_scale", matrix.q_scale));
  CALDERA_RETURN_IF_ERROR(CheckScales("l_scale", matrix.l_scale));
  CALDERA_RETURN_IF_ERROR(CheckScales("r_scale", matrix.r_scale));
  CALDERA_RETURN_IF_ERROR(matrix.header.mixed() ? CheckMixedCodes(matrix)
                                                : CheckCodes("q_codes", matrix.q_codes,
                                                             8 * matrix.header.q_bits.value()));
  CALDERA_RETURN_IF_ERROR(CheckFactorCodes("l_codes", matrix.l_codes, matrix.header.l_bits));
  CALDERA_RETURN_IF_ERROR(CheckFactorCodes("r_codes", matrix.r_codes, matrix.header.r_bits));
  CALDERA_RETURN_IF_ERROR(CheckSigns("sign_in", matrix.sign_in));
  return CheckSigns("sign_out", matrix.sign_out);
}

absl::Status Validate(const CompressedMatrix& matrix) {
  CALDERA_RETURN_IF_ERROR(ValidateMatrixHeader(matrix.header));
  CALDERA_RETURN_IF_ERROR(CheckVectorSizes(matrix));
  return CheckValues(matrix);
}

}  // namespace

std::string_view CodebookName(CodebookKind kind) {
  switch (kind) {
    case CodebookKind::kE8P:
      return "e8p";
    case CodebookKind::kTrellis10:
      return "trellis-10";
    case CodebookKind::kTrellis12:
      return "trellis-12";
  }
  return "unknown";
}

absl::StatusOr<CodebookKind> ParseCodebook(std::string_view name) {
  for (const CodebookKind kind :
       {CodebookKind::kE8P, CodebookKind::kTrellis10, CodebookKind::kTrellis12}) {
    if (name == CodebookName(kind)) return kind;
  }
  return base::Unimplemented(
      "codebook \"{}\" is unknown; use \"e8p\", \"trellis-10\" or \"trellis-12\"", name);
}

absl::Status ValidateMatrixHeader(const CompressedMatrixHeader& header) {
  CALDERA_RETURN_IF_ERROR(CheckDimensions(header));
  if (header.axis == CodewordAxis::kColumns &&
      (header.codebook != CodebookKind::kE8P || header.mixed())) {
    return base::Unimplemented("codeword_axis columns is for e8p with one width");
  }
  if (header.has_q() && (header.q_bits.value() < 2 || header.q_bits.value() > 4)) {
    return base::InvalidArgument("q_bits is {}, expected 0, 2, 3 or 4", header.q_bits.value());
  }
  if (header.mixed() && header.q_bits.value() != 2) {
    return base::InvalidArgument("q_bits is {} in a mixed matrix, expected 2",
                                 header.q_bits.value());
  }
  if (header.rank > 0) {
    CALDERA_RETURN_IF_ERROR(CheckFactorBits("l_bits", header.l_bits));
    CALDERA_RETURN_IF_ERROR(CheckFactorBits("r_bits", header.r_bits));
  }
  CALDERA_RETURN_IF_ERROR(CheckBlock("input_block", header.input_block, header.columns));
  return CheckBlock("output_block", header.output_block, header.rows);
}

void SetQBits(double q_bits, CompressedMatrixHeader* header) {
  constexpr double kRounding = 1e-9;  // of decimals that are not exact in binary
  header->q_columns_3 = header->q_columns_4 = 0;
  header->q_bits = base::Bits(static_cast<int>(q_bits));
  if (q_bits == std::floor(q_bits)) return;
  header->q_bits = base::Bits(2);
  const auto extra = static_cast<std::int64_t>(
      std::floor((q_bits - 2) * static_cast<double>(header->columns) + kRounding));
  header->q_columns_4 = std::max<std::int64_t>(0, extra - header->columns);
  header->q_columns_3 = extra - 2 * header->q_columns_4;
}

absl::Status CheckColumnBits(const CompressedMatrixHeader& header,
                             const std::vector<std::uint8_t>& column_bits) {
  CALDERA_RETURN_IF_ERROR(CheckSize("q_column_bits", column_bits.size(), header.columns));
  const auto three = std::count(column_bits.begin(), column_bits.end(), 3);
  const auto four = std::count(column_bits.begin(), column_bits.end(), 4);
  const auto two = std::count(column_bits.begin(), column_bits.end(), 2);
  if (three != header.q_columns_3 || four != header.q_columns_4 ||
      two + three + four != header.columns) {
    return base::InvalidArgument(
        "q_column_bits: {} columns of 3 and {} of 4 bits, the header says {} and {}", three, four,
        header.q_columns_3, header.q_columns_4);
  }
  return absl::OkStatus();
}

absl::Status ValidateCompressedMatrix(const CompressedMatrix& matrix, const std::string& name) {
  return base::WithContext(Validate(matrix), name);
}

std::uint64_t StoredBytes(const CompressedMatrixHeader& header) {
  std::uint64_t bytes = 0;
  for (const SafetensorsDeclaration& tensor : MatrixTensors(header, "")) {
    std::uint64_t elements = 1;
    for (const std::int64_t size : tensor.shape) elements *= static_cast<std::uint64_t>(size);
    bytes += elements * static_cast<std::uint64_t>(BlockBytes(tensor.dtype));
  }
  return bytes;
}

double BitsPerWeight(const CompressedMatrixHeader& header) {
  const double weights = static_cast<double>(header.rows) * static_cast<double>(header.columns);
  return weights == 0 ? 0 : 8 * static_cast<double>(StoredBytes(header)) / weights;
}

}  // namespace caldera::model
