#include "common/model/dtype.h"

#include <array>
#include <bit>
#include <cstring>
#include <string>

#include "common/base/status.h"
#include "common/model/gguf_blocks.h"

namespace caldera::model {
namespace {

static_assert(std::endian::native == std::endian::little, "stored tensors are little-endian");

struct DtypeFacts {
  Dtype dtype;
  const char* name;
  std::int64_t block_elements;
  std::int64_t block_bytes;
};

// In the order of the enumeration.
constexpr std::array<DtypeFacts, 20> kFacts = {{
    {Dtype::kF64, "F64", 1, 8},       {Dtype::kF32, "F32", 1, 4},
    {Dtype::kF16, "F16", 1, 2},       {Dtype::kBF16, "BF16", 1, 2},
    {Dtype::kI64, "I64", 1, 8},       {Dtype::kI32, "I32", 1, 4},
    {Dtype::kI16, "I16", 1, 2},       {Dtype::kI8, "I8", 1, 1},
    {Dtype::kU64, "U64", 1, 8},       {Dtype::kU32, "U32", 1, 4},
    {Dtype::kU16, "U16", 1, 2},       {Dtype::kU8, "U8", 1, 1},
    {Dtype::kBool, "BOOL", 1, 1},     {Dtype::kQ4_0, "Q4_0", 32, 18},
    {Dtype::kQ4_1, "Q4_1", 32, 20},   {Dtype::kQ5_0, "Q5_0", 32, 22},
    {Dtype::kQ5_1, "Q5_1", 32, 24},   {Dtype::kQ8_0, "Q8_0", 32, 34},
    {Dtype::kQ4_K, "Q4_K", 256, 144}, {Dtype::kQ6_K, "Q6_K", 256, 210},
}};

const DtypeFacts& FactsOf(Dtype dtype) { return kFacts[static_cast<std::size_t>(dtype)]; }

template <typename Stored, typename Out, typename Convert>
void DecodePlain(std::span<const std::byte> in, std::span<Out> out, Convert convert) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    Stored value;
    std::memcpy(&value, in.data() + i * sizeof(Stored), sizeof(Stored));
    out[i] = convert(value);
  }
}

template <typename Stored>
absl::Status Widen(std::span<const std::byte> in, std::span<double> out) {
  DecodePlain<Stored>(in, out, [](Stored value) { return static_cast<double>(value); });
  return absl::OkStatus();
}

// INVALID_ARGUMENT unless `in` holds exactly `count` values.
absl::Status CheckSize(Dtype dtype, std::span<const std::byte> in, std::size_t count) {
  const auto elements = static_cast<std::size_t>(BlockElements(dtype));
  const auto bytes = static_cast<std::size_t>(BlockBytes(dtype));
  if (count % elements == 0 && in.size() / bytes == count / elements && in.size() % bytes == 0) {
    return absl::OkStatus();
  }
  return base::InvalidArgument("{} bytes do not hold {} values of {}", in.size(), count,
                               DtypeName(dtype));
}

}  // namespace

std::int64_t BlockElements(Dtype dtype) { return FactsOf(dtype).block_elements; }
std::int64_t BlockBytes(Dtype dtype) { return FactsOf(dtype).block_bytes; }
bool IsBlockType(Dtype dtype) { return BlockElements(dtype) > 1; }
std::string DtypeName(Dtype dtype) { return FactsOf(dtype).name; }

bool HasFloatValue(Dtype dtype) {
  return IsBlockType(dtype) || dtype == Dtype::kF64 || dtype == Dtype::kF32 ||
         dtype == Dtype::kF16 || dtype == Dtype::kBF16;
}

absl::StatusOr<Dtype> ParseSafetensorsDtype(const std::string& name) {
  for (const DtypeFacts& facts : kFacts) {
    if (facts.block_elements == 1 && name == facts.name) return facts.dtype;
  }
  return base::InvalidArgument("unknown dtype \"{}\"", name);
}

float HalfToFloat(std::uint16_t bits) {
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000U) << 16;
  const std::uint32_t exponent = (bits >> 10) & 0x1FU;
  const std::uint32_t mantissa = bits & 0x3FFU;
  if (exponent == 0) {
    // Zero and subnormals: mantissa x 2^-24 is exact in float32.
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24F;
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(magnitude) | sign);
  }
  const std::uint32_t wide = exponent == 0x1F ? 0xFFU : exponent + (127 - 15);
  return std::bit_cast<float>(sign | (wide << 23) | (mantissa << 13));
}

std::uint16_t FloatToHalf(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 16) & 0x8000U;
  const std::uint32_t magnitude = bits & 0x7FFFFFFFU;
  std::uint32_t result = 0;
  if (magnitude > 0x7F800000U) {
    result = 0x7E00U | ((magnitude >> 13) & 0x3FFU);  // a quiet NaN with the payload that fits
  } else if (magnitude >= 0x477FF000U) {
    result = 0x7C00U;  // 65520 and up round to infinity
  } else if (magnitude < 0x38800000U) {
    // Below 2^-14 adding 0.5 aligns the half's subnormal unit 2^-24 with float32's last bit, so the
    // addition itself rounds to nearest even.
    const float aligned = std::bit_cast<float>(magnitude) + 0.5F;
    result = std::bit_cast<std::uint32_t>(aligned) - std::bit_cast<std::uint32_t>(0.5F);
  } else {
    const std::uint32_t round = 0xFFFU + ((magnitude >> 13) & 1U);
    result = (magnitude - ((127U - 15U) << 23) + round) >> 13;
  }
  return static_cast<std::uint16_t>(sign | result);
}

float BFloat16ToFloat(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

std::uint16_t FloatToBFloat16(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7FFFFFFFU) > 0x7F800000U) {
    return static_cast<std::uint16_t>((bits >> 16) | 0x40U);  // quiet, or it might become infinity
  }
  return static_cast<std::uint16_t>((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16);
}

absl::Status DecodeToFloat(Dtype dtype, std::span<const std::byte> in, std::span<float> out) {
  CALDERA_RETURN_IF_ERROR(CheckSize(dtype, in, out.size()));
  switch (dtype) {
    case Dtype::kF64:
      DecodePlain<double>(in, out, [](double value) { return static_cast<float>(value); });
      return absl::OkStatus();
    case Dtype::kF32:
      if (!out.empty()) std::memcpy(out.data(), in.data(), in.size());
      return absl::OkStatus();
    case Dtype::kF16:
      DecodePlain<std::uint16_t>(in, out, HalfToFloat);
      return absl::OkStatus();
    case Dtype::kBF16:
      DecodePlain<std::uint16_t>(in, out, BFloat16ToFloat);
      return absl::OkStatus();
    default:
      if (IsBlockType(dtype)) return DecodeBlocks(dtype, in, out);
      return base::InvalidArgument("dtype {} has no float value", DtypeName(dtype));
  }
}

absl::Status DecodeToDouble(Dtype dtype, std::span<const std::byte> in, std::span<double> out) {
  CALDERA_RETURN_IF_ERROR(CheckSize(dtype, in, out.size()));
  switch (dtype) {
    case Dtype::kF64:
      return Widen<double>(in, out);
    case Dtype::kF32:
      return Widen<float>(in, out);
    case Dtype::kF16:
      DecodePlain<std::uint16_t>(in, out, HalfToFloat);
      return absl::OkStatus();
    case Dtype::kBF16:
      DecodePlain<std::uint16_t>(in, out, BFloat16ToFloat);
      return absl::OkStatus();
    case Dtype::kI64:
      return Widen<std::int64_t>(in, out);
    case Dtype::kI32:
      return Widen<std::int32_t>(in, out);
    case Dtype::kI16:
      return Widen<std::int16_t>(in, out);
    case Dtype::kI8:
      return Widen<std::int8_t>(in, out);
    case Dtype::kU64:
      return Widen<std::uint64_t>(in, out);
    case Dtype::kU32:
      return Widen<std::uint32_t>(in, out);
    case Dtype::kU16:
      return Widen<std::uint16_t>(in, out);
    case Dtype::kU8:
      return Widen<std::uint8_t>(in, out);
    default:
      return base::InvalidArgument("dtype {} is no number", DtypeName(dtype));
  }
}

}  // namespace caldera::model
