#include "common/model/compressed_matrix_io.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

#include "common/base/status.h"
#include "common/model/json_object.h"

namespace caldera::model {
namespace {

static_assert(std::endian::native == std::endian::little, "tensors are stored little-endian");

std::string_view AxisName(CodewordAxis axis) {
  return axis == CodewordAxis::kRows ? "rows" : "columns";
}

std::int64_t PackedBytes(std::int64_t bits) { return (bits + 7) / 8; }

Dtype FactorDtype(base::Bits bits) {
  switch (bits.value()) {
    case 4:
      return Dtype::kU32;
    case 8:
      return Dtype::kI8;
    default:
      return Dtype::kF16;
  }
}

// The low bytes of each code, from byte `first`.
struct CodeBytes {
  std::size_t first = 0;
  std::size_t count = 0;
};

std::vector<std::byte> PackCodes(const std::vector<std::uint32_t>& codes, CodeBytes part) {
  std::vector<std::byte> bytes(codes.size() * part.count);
  std::byte* out = bytes.data();
  for (const std::uint32_t code : codes) {
    const std::uint32_t shifted = code >> (8 * part.first);
    std::memcpy(out, &shifted, part.count);
    out += part.count;
  }
  return bytes;
}

// Adds the bytes to codes that are zero there.
void UnpackCodes(const std::vector<std::byte>& bytes, CodeBytes part,
                 std::vector<std::uint32_t>& codes) {
  codes.resize(bytes.size() / part.count);
  const std::byte* in = bytes.data();
  for (std::uint32_t& code : codes) {
    std::uint32_t value = 0;
    std::memcpy(&value, in, part.count);
    code |= value << (8 * part.first);
    in += part.count;
  }
}

std::vector<std::byte> PackFloats(const std::vector<float>& values) {
  std::vector<std::byte> bytes(values.size() * sizeof(float));
  if (!bytes.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

std::vector<float> UnpackFloats(const std::vector<std::byte>& bytes) {
  std::vector<float> values(bytes.size() / sizeof(float));
  if (!values.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

std::vector<std::byte> PackSigns(const std::vector<std::uint8_t>& signs) {
  std::vector<std::byte> bytes((signs.size() + 7) / 8);
  for (std::size_t i = 0; i < signs.size(); ++i) {
    bytes[i / 8] |= static_cast<std::byte>(signs[i] << (i % 8));
  }
  return bytes;
}

// False when a bit beyond the last sign is set.
bool UnpackSigns(const std::vector<std::byte>& bytes, std::int64_t count,
                 std::vector<std::uint8_t>& signs) {
  signs.resize(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < 8 * bytes.size(); ++i) {
    const auto bit =
        static_cast<std::uint8_t>((static_cast<unsigned>(bytes[i / 8]) >> (i % 8)) & 1);
    if (i < signs.size()) {
      signs[i] = bit;
    } else if (bit != 0) {
      return false;
    }
  }
  return true;
}

CodeBytes QBytes(base::Bits bits) { return {0, bits.value() == 4 ? 4U : 2U}; }
constexpr CodeBytes kResidualBytes = {2, 1};
CodeBytes FactorBytes(base::Bits bits) {
  return {0, static_cast<std::size_t>(BlockBytes(FactorDtype(bits)))};
}

// Two bits for each column, its bits less 2, four columns to a byte.
std::vector<std::byte> PackColumnBits(const std::vector<std::uint8_t>& column_bits) {
  std::vector<std::byte> bytes((column_bits.size() + 3) / 4);
  for (std::size_t j = 0; j < column_bits.size(); ++j) {
    bytes[j / 4] |= static_cast<std::byte>((column_bits[j] - 2) << (2 * (j % 4)));
  }
  return bytes;
}

absl::Status UnpackColumnBits(const std::vector<std::byte>& bytes, CompressedMatrix& matrix) {
  std::vector<std::uint8_t>& bits = matrix.q_column_bits;
  bits.resize(static_cast<std::size_t>(matrix.header.columns));
  for (std::size_t j = 0; j < 4 * bytes.size(); ++j) {
    const auto more =
        static_cast<std::uint8_t>((static_cast<unsigned>(bytes[j / 4]) >> (2 * (j % 4))) & 3U);
    if (j < bits.size()) {
      bits[j] = static_cast<std::uint8_t>(2 + more);
    } else if (more != 0) {
      return base::DataLoss("bits beyond the last column are set");
    }
  }
  return CheckColumnBits(matrix.header, bits);
}

// Visits the bytes beyond two of the codes of a mixed matrix in stored order: (code, which byte).
template <typename Visit>
void ForEachExtraByte(const CompressedMatrix& matrix, const Visit& visit) {
  const std::size_t columns = matrix.q_column_bits.size();
  for (std::size_t i = 0; i < matrix.q_codes.size(); ++i) {
    for (unsigned byte = 2; byte < matrix.q_column_bits[i % columns]; ++byte) visit(i, byte);
  }
}

std::vector<std::byte> PackExtraBytes(const CompressedMatrix& matrix) {
  std::vector<std::byte> bytes;
  ForEachExtraByte(matrix, [&](std::size_t i, unsigned byte) {
    bytes.push_back(static_cast<std::byte>(matrix.q_codes[i] >> (8 * byte)));
  });
  return bytes;
}

// For as many bytes as q_codes and q_column_bits ask.
void UnpackExtraBytes(const std::vector<std::byte>& bytes, CompressedMatrix& matrix) {
  const std::byte* in = bytes.data();
  ForEachExtraByte(matrix, [&](std::size_t i, unsigned byte) {
    matrix.q_codes[i] |= static_cast<std::uint32_t>(*in++) << (8 * byte);
  });
}

// The bytes of one field ("q_codes", ...) of the matrix.
std::vector<std::byte> FieldBytes(const CompressedMatrix& matrix, const std::string& field) {
  if (field == "q_codes") return PackCodes(matrix.q_codes, QBytes(matrix.header.q_bits));
  if (field == "q_codes_residual") return PackCodes(matrix.q_codes, kResidualBytes);
  if (field == "q_column_bits") return PackColumnBits(matrix.q_column_bits);
  if (field == "q_codes_extra") return PackExtraBytes(matrix);
  if (field == "q_scale") return PackFloats(matrix.q_scale);
  if (field == "l_codes") return PackCodes(matrix.l_codes, FactorBytes(matrix.header.l_bits));
  if (field == "l_scale") return PackFloats(matrix.l_scale);
  if (field == "r_codes") return PackCodes(matrix.r_codes, FactorBytes(matrix.header.r_bits));
  if (field == "r_scale") return PackFloats(matrix.r_scale);
  return PackSigns(field == "sign_in" ? matrix.sign_in : matrix.sign_out);
}

// The inverse of FieldBytes, for bytes of the right length.
absl::Status SetField(const std::string& field, const std::vector<std::byte>& bytes,
                      CompressedMatrix& matrix) {
  const CompressedMatrixHeader& header = matrix.header;
  if (field == "q_codes") {
    UnpackCodes(bytes, QBytes(header.q_bits), matrix.q_codes);
  } else if (field == "q_codes_residual") {
    UnpackCodes(bytes, kResidualBytes, matrix.q_codes);
  } else if (field == "q_column_bits") {
    return UnpackColumnBits(bytes, matrix);
  } else if (field == "q_codes_extra") {
    UnpackExtraBytes(bytes, matrix);
  } else if (field == "q_scale") {
    matrix.q_scale = UnpackFloats(bytes);
  } else if (field == "l_codes") {
    UnpackCodes(bytes, FactorBytes(header.l_bits), matrix.l_codes);
  } else if (field == "l_scale") {
    matrix.l_scale = UnpackFloats(bytes);
  } else if (field == "r_codes") {
    UnpackCodes(bytes, FactorBytes(header.r_bits), matrix.r_codes);
  } else if (field == "r_scale") {
    matrix.r_scale = UnpackFloats(bytes);
  } else {
    const bool input = field == "sign_in";
    if (!UnpackSigns(bytes, input ? header.columns : header.rows,
                     input ? matrix.sign_in : matrix.sign_out)) {
      return base::DataLoss("bits beyond the last sign are set");
    }
  }
  return absl::OkStatus();
}

void DeclareQ(const CompressedMatrixHeader& header, const std::string& prefix,
              std::vector<SafetensorsDeclaration>& tensors) {
  const std::int64_t code_rows = header.code_rows();
  const std::int64_t code_columns = header.code_columns();
  const Dtype dtype = header.q_bits.value() == 4 ? Dtype::kU32 : Dtype::kU16;
  tensors.push_back({prefix + "q_codes", dtype, {code_rows, code_columns}});
  if (header.q_bits.value() == 3) {
    tensors.push_back({prefix + "q_codes_residual", Dtype::kU8, {code_rows, code_columns}});
  }
  if (header.mixed()) {
    tensors.push_back({prefix + "q_column_bits", Dtype::kU8, {PackedBytes(2 * header.columns)}});
    tensors.push_back({prefix + "q_codes_extra", Dtype::kU8, {code_rows, header.extra_bytes()}});
  }
  tensors.push_back({prefix + "q_scale", Dtype::kF32, {header.scale_count()}});
}

void DeclareFactors(const CompressedMatrixHeader& header, const std::string& prefix,
                    std::vector<SafetensorsDeclaration>& tensors) {
  const std::int64_t rows = header.padded_rows();
  const std::int64_t rank = header.padded_rank();
  const auto divisor = [](base::Bits bits) { return bits.value() == 4 ? 8 : 1; };
  tensors.push_back(
      {prefix + "l_codes", FactorDtype(header.l_bits), {rows / divisor(header.l_bits), rank}});
  tensors.push_back({prefix + "l_scale", Dtype::kF32, {header.rank}});
  tensors.push_back({prefix + "r_codes",
                     FactorDtype(header.r_bits),
                     {rank / divisor(header.r_bits), header.columns}});
  tensors.push_back({prefix + "r_scale", Dtype::kF32, {header.rank}});
}

absl::Status CheckStored(const TensorInfo* stored, const SafetensorsDeclaration& expected,
                         const std::string& source) {
  if (stored == nullptr) return base::NotFound("{}: no tensor {}", source, expected.name);
  if (stored->dtype != expected.dtype || stored->shape != expected.shape) {
    return base::DataLoss("{}: {} is {} [{}], expected {} [{}]", source, expected.name,
                          DtypeName(stored->dtype), fmt::join(stored->shape, ", "),
                          DtypeName(expected.dtype), fmt::join(expected.shape, ", "));
  }
  return absl::OkStatus();
}

absl::Status ReadField(const TensorSource& source, const SafetensorsDeclaration& expected,
                       const std::string& field, CompressedMatrix& matrix) {
  CALDERA_RETURN_IF_ERROR(CheckStored(source.Find(expected.name), expected, source.name()));
  CALDERA_ASSIGN_OR_RETURN(const std::vector<std::byte> bytes, source.ReadRaw(expected.name));
  return base::WithContext(SetField(field, bytes, matrix),
                           fmt::format("{}: {}", source.name(), expected.name));
}

// What the header says besides numbers.
absl::Status CheckHeaderNames(const JsonObject& json) {
  CALDERA_ASSIGN_OR_RETURN(const std::string format, json.String("format"));
  if (format != kMatrixFormat) {
    return base::Unimplemented("{}: format {} is not {}", json.name(), format, kMatrixFormat);
  }
  CALDERA_ASSIGN_OR_RETURN(const std::string codebook, json.String("codebook"));
  CALDERA_RETURN_IF_ERROR(base::WithContext(ParseCodebook(codebook).status(), json.name()));
  CALDERA_ASSIGN_OR_RETURN(const std::string axis, json.String("codeword_axis"));
  if (axis != AxisName(CodewordAxis::kRows) && axis != AxisName(CodewordAxis::kColumns)) {
    return base::Unimplemented("{}: codeword_axis {} is not known", json.name(), axis);
  }
  return absl::OkStatus();
}

absl::StatusOr<base::Bits> BitsField(const JsonObject& json, const std::string& key) {
  CALDERA_ASSIGN_OR_RETURN(const std::int64_t bits, json.Integer(key));
  if (bits < 0 || bits > 32) {
    return base::InvalidArgument("{}: {} {} is out of range", json.name(), key, bits);
  }
  return base::Bits(static_cast<int>(bits));
}

absl::StatusOr<CompressedMatrixHeader> HeaderFields(const JsonObject& json) {
  CompressedMatrixHeader header;
  CALDERA_ASSIGN_OR_RETURN(const std::string codebook, json.String("codebook"));
  CALDERA_ASSIGN_OR_RETURN(header.codebook, ParseCodebook(codebook));
  CALDERA_ASSIGN_OR_RETURN(const std::string axis, json.String("codeword_axis"));
  header.axis =
      axis == AxisName(CodewordAxis::kRows) ? CodewordAxis::kRows : CodewordAxis::kColumns;
  CALDERA_ASSIGN_OR_RETURN(header.rows, json.Integer("rows"));
  CALDERA_ASSIGN_OR_RETURN(header.columns, json.Integer("columns"));
  CALDERA_ASSIGN_OR_RETURN(header.rank, json.Integer("rank"));
  CALDERA_ASSIGN_OR_RETURN(header.input_block, json.Integer("input_block"));
  CALDERA_ASSIGN_OR_RETURN(header.output_block, json.Integer("output_block"));
  CALDERA_ASSIGN_OR_RETURN(header.q_bits, BitsField(json, "q_bits"));
  if (json.Has("q_columns_3")) {
    CALDERA_ASSIGN_OR_RETURN(header.q_columns_3, json.Integer("q_columns_3"));
    CALDERA_ASSIGN_OR_RETURN(header.q_columns_4, json.Integer("q_columns_4"));
  }
  CALDERA_ASSIGN_OR_RETURN(header.l_bits, BitsField(json, "l_bits"));
  CALDERA_ASSIGN_OR_RETURN(header.r_bits, BitsField(json, "r_bits"));
  return header;
}

}  // namespace

std::string MatrixHeaderToJson(const CompressedMatrixHeader& header) {
  nlohmann::json json = {{"format", kMatrixFormat},
                         {"rows", header.rows},
                         {"columns", header.columns},
                         {"rank", header.rank},
                         {"codebook", CodebookName(header.codebook)},
                         {"codeword_axis", AxisName(header.axis)},
                         {"q_bits", header.q_bits.value()},
                         {"l_bits", header.l_bits.value()},
                         {"r_bits", header.r_bits.value()},
                         {"input_block", header.input_block},
                         {"output_block", header.output_block}};
  if (header.mixed()) {
    json["q_columns_3"] = header.q_columns_3;
    json["q_columns_4"] = header.q_columns_4;
  }
  return json.dump();
}

absl::StatusOr<CompressedMatrixHeader> ParseMatrixHeader(const std::string& json,
                                                         const std::string& name) {
  CALDERA_ASSIGN_OR_RETURN(const JsonObject object, JsonObject::Parse(json, name));
  CALDERA_RETURN_IF_ERROR(CheckHeaderNames(object));
  CALDERA_ASSIGN_OR_RETURN(const CompressedMatrixHeader header, HeaderFields(object));
  CALDERA_RETURN_IF_ERROR(base::WithContext(ValidateMatrixHeader(header), name));
  if (MatrixHeaderToJson(header) != json) {
    return base::InvalidArgument("{}: header is not in the form of {}", name, kMatrixFormat);
  }
  return header;
}

std::vector<SafetensorsDeclaration> MatrixTensors(const CompressedMatrixHeader& header,
                                                  const std::string& prefix) {
  const std::string p = prefix + ".";
  std::vector<SafetensorsDeclaration> tensors;
  if (header.has_q()) DeclareQ(header, p, tensors);
  if (header.rank > 0) DeclareFactors(header, p, tensors);
  tensors.push_back({p + "sign_in", Dtype::kU8, {PackedBytes(header.columns)}});
  tensors.push_back({p + "sign_out", Dtype::kU8, {PackedBytes(header.rows)}});
  return tensors;
}

absl::StatusOr<std::vector<SafetensorsTensor>> EncodeMatrix(const CompressedMatrix& matrix,
                                                            const std::string& prefix) {
  CALDERA_RETURN_IF_ERROR(ValidateCompressedMatrix(matrix, prefix));
  std::vector<SafetensorsTensor> tensors;
  for (SafetensorsDeclaration& declaration : MatrixTensors(matrix.header, prefix)) {
    std::vector<std::byte> bytes = FieldBytes(matrix, declaration.name.substr(prefix.size() + 1));
    tensors.push_back({std::move(declaration), std::move(bytes)});
  }
  return tensors;
}

absl::StatusOr<std::vector<std::byte>> EncodeMatrixObject(const std::string& prefix,
                                                          const CompressedMatrix& matrix) {
  CALDERA_ASSIGN_OR_RETURN(const auto tensors, EncodeMatrix(matrix, prefix));
  return WriteSafetensors({{prefix, MatrixHeaderToJson(matrix.header)}}, tensors);
}

absl::StatusOr<CompressedMatrix> ReadMatrix(const TensorSource& source, const std::string& prefix,
                                            const std::string& header_json) {
  CompressedMatrix matrix;
  CALDERA_ASSIGN_OR_RETURN(
      matrix.header,
      ParseMatrixHeader(header_json, fmt::format("{}: header of {}", source.name(), prefix)));
  for (const SafetensorsDeclaration& expected : MatrixTensors(matrix.header, prefix)) {
    const std::string field = expected.name.substr(prefix.size() + 1);
    CALDERA_RETURN_IF_ERROR(ReadField(source, expected, field, matrix));
  }
  const absl::Status valid = ValidateCompressedMatrix(matrix, source.name() + ": " + prefix);
  if (!valid.ok()) return base::DataLoss("{}", base::MessageOf(valid));
  return matrix;
}

std::vector<std::string> MatrixPrefixes(const std::map<std::string, std::string>& metadata) {
  std::vector<std::string> prefixes;
  for (const auto& [key, value] : metadata) {
    const bool is_matrix = value.find("\"format\":\"caldera.matrix.") != std::string::npos;
    if (is_matrix) prefixes.push_back(key);
  }
  return prefixes;
}

}  // namespace caldera::model
