#include "common/model/embedding_table.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

#include "common/base/status.h"
#include "common/model/embedding_code.h"
#include "common/model/embedding_nibbles.h"
#include "common/model/json_object.h"
#include "common/model/model_tensors.h"

namespace caldera::model {
namespace {

// Keeps every product of two dimensions, times the bytes of a float, within int64.
constexpr std::int64_t kMaxDimension = std::int64_t{1} << 30;

std::size_t Size(std::int64_t size) { return static_cast<std::size_t>(size); }

std::uint64_t BytesOf(const SafetensorsDeclaration& tensor) {
  std::int64_t elements = 1;
  for (const std::int64_t dimension : tensor.shape) elements *= dimension;
  return static_cast<std::uint64_t>(elements * BlockBytes(tensor.dtype));
}

absl::StatusOr<std::vector<std::byte>> ReadTensor(const TensorSource& source,
                                                  const SafetensorsDeclaration& expected) {
  const TensorInfo* stored = source.Find(expected.name);
  if (stored == nullptr) return base::NotFound("{}: no tensor {}", source.name(), expected.name);
  if (stored->dtype != expected.dtype || stored->shape != expected.shape) {
    return base::DataLoss("{}: {} is {} {}, expected {} {}", source.name(), expected.name,
                          DtypeName(stored->dtype), ShapeText(stored->shape),
                          DtypeName(expected.dtype), ShapeText(expected.shape));
  }
  return source.ReadRaw(expected.name);
}

absl::StatusOr<std::vector<std::uint16_t>> ReadScales(const TensorSource& source,
                                                      const SafetensorsDeclaration& expected) {
  constexpr unsigned kExponent = 0x7c00;
  constexpr unsigned kSign = 0x8000;
  CALDERA_ASSIGN_OR_RETURN(const std::vector<std::byte> bytes, ReadTensor(source, expected));
  std::vector<std::uint16_t> scales(bytes.size() / sizeof(std::uint16_t));
  if (!scales.empty()) std::memcpy(scales.data(), bytes.data(), bytes.size());
  for (const std::uint16_t scale : scales) {
    if ((scale & kExponent) == kExponent || scale > kSign) {
      return base::DataLoss("{}: {} holds {}, expected a finite value >= 0", source.name(),
                            expected.name, HalfToFloat(scale));
    }
  }
  return scales;
}

// The bits behind the last column of an odd number.
bool PaddingIsZero(const EmbeddingHeader& header, const std::vector<std::byte>& codes) {
  if (header.bits.value() != 4 || header.columns % 2 == 0) return true;
  const std::size_t row_bytes = Size(NibbleBytes(header.columns));
  for (std::size_t last = row_bytes - 1; last < codes.size(); last += row_bytes) {
    if (codes[last] >> 4 != std::byte{0}) return false;
  }
  return true;
}

}  // namespace

std::string EmbeddingHeaderToJson(const EmbeddingHeader& header) {
  const nlohmann::json json = {{"format", kEmbeddingFormat},
                               {"rows", header.rows},
                               {"columns", header.columns},
                               {"bits", header.bits.value()}};
  return json.dump();
}

absl::StatusOr<EmbeddingHeader> ParseEmbeddingHeader(const std::string& json,
                                                     const std::string& name) {
  CALDERA_ASSIGN_OR_RETURN(const JsonObject object, JsonObject::Parse(json, name));
  CALDERA_ASSIGN_OR_RETURN(const std::string format, object.String("format"));
  if (format != kEmbeddingFormat) {
    return base::Unimplemented("{}: format {} is not {}", name, format, kEmbeddingFormat);
  }
  CALDERA_ASSIGN_OR_RETURN(const std::int64_t bits, object.Integer("bits"));
  if (bits != 4) return base::Unimplemented("{}: tables of {} bits are not known", name, bits);
  EmbeddingHeader header;
  header.bits = base::Bits(4);
  for (const auto& [field, value] :
       {std::pair("rows", &header.rows), std::pair("columns", &header.columns)}) {
    CALDERA_ASSIGN_OR_RETURN(*value, object.Integer(field));
    if (*value < 0 || *value > kMaxDimension) {
      return base::InvalidArgument("{}: {} {} is out of range", name, field, *value);
    }
  }
  if (EmbeddingHeaderToJson(header) != json) {
    return base::InvalidArgument("{}: header is not in the form of {}", name, kEmbeddingFormat);
  }
  return header;
}

std::vector<SafetensorsDeclaration> EmbeddingTensors(const EmbeddingHeader& header,
                                                     const std::string& stem) {
  const std::string codes = stem + ".codes";
  const std::string scale = stem + ".scale";
  if (header.bits.value() == 8) {
    return {{codes, Dtype::kI8, {header.rows, header.columns}},
            {scale, Dtype::kF16, {header.rows}}};
  }
  return {{codes, Dtype::kU8, {header.rows, NibbleBytes(header.columns)}},
          {scale, Dtype::kF16, {header.rows, NibbleScales(header.columns)}},
          {stem + ".column_scale", Dtype::kF16, {header.columns}}};
}

std::uint64_t EmbeddingBytes(const ModelConfig& config, base::Bits bits) {
  const EmbeddingHeader header{config.vocab_size, config.hidden_size, bits};
  std::uint64_t bytes = 0;
  if (bits.value() == 16) {
    bytes = BytesOf({"", Dtype::kBF16, {header.rows, header.columns}});
  } else {
    for (const SafetensorsDeclaration& tensor : EmbeddingTensors(header, "")) {
      bytes += BytesOf(tensor);
    }
  }
  return config.tie_word_embeddings ? bytes : 2 * bytes;
}

absl::StatusOr<EmbeddingTable> EmbeddingTable::Read(const TensorSource& source,
                                                    const std::string& stem,
                                                    const EmbeddingHeader& header) {
  const std::vector<SafetensorsDeclaration> tensors = EmbeddingTensors(header, stem);
  EmbeddingTable table;
  table.header_ = header;
  CALDERA_ASSIGN_OR_RETURN(table.codes_, ReadTensor(source, tensors[0]));
  CALDERA_ASSIGN_OR_RETURN(table.scales_, ReadScales(source, tensors[1]));
  if (!PaddingIsZero(header, table.codes_)) {
    return base::DataLoss("{}: {}: bits beyond the last column are set", source.name(),
                          tensors[0].name);
  }
  if (header.bits.value() == 8) return table;
  CALDERA_ASSIGN_OR_RETURN(const auto column_scales, ReadScales(source, tensors[2]));
  table.column_scales_.resize(column_scales.size());
  std::transform(column_scales.begin(), column_scales.end(), table.column_scales_.begin(),
                 HalfToFloat);
  return table;
}

absl::Status EmbeddingTable::DecodeRows(std::int64_t first_row, std::span<float> out) const {
  const std::int64_t columns = std::max<std::int64_t>(header_.columns, 1);
  const auto values = static_cast<std::int64_t>(out.size());
  const std::int64_t count = values / columns;
  if (values % columns != 0 || first_row < 0 || first_row > header_.rows - count) {
    return base::InvalidArgument("{} values from row {} on are not rows of {} x {}", values,
                                 first_row, header_.rows, header_.columns);
  }
  const bool nibbles = header_.bits.value() == 4;
  const std::int64_t row_bytes = nibbles ? NibbleBytes(header_.columns) : header_.columns;
  const std::int64_t row_scales = nibbles ? NibbleScales(header_.columns) : 1;
  const auto codes =
      std::span(codes_).subspan(Size(first_row * row_bytes), Size(count * row_bytes));
  const auto scales =
      std::span(scales_).subspan(Size(first_row * row_scales), Size(count * row_scales));
  if (nibbles) {
    return DecodeNibbles({reinterpret_cast<const std::uint8_t*>(codes.data()), codes.size()},
                         scales, column_scales_, out);
  }
  return DecodeEmbedding({reinterpret_cast<const std::int8_t*>(codes.data()), codes.size()}, scales,
                         header_.columns, out);
}

}  // namespace caldera::model
