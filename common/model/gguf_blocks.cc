#include "common/model/gguf_blocks.h"

#include <array>
#include <cstdint>
#include <cstring>

#include "common/base/status.h"

namespace caldera::model {
namespace {

using Bytes = const std::uint8_t*;

float LoadHalf(Bytes at) {
  std::uint16_t bits;
  std::memcpy(&bits, at, sizeof(bits));
  return HalfToFloat(bits);
}

std::uint32_t LoadU32(Bytes at) {
  std::uint32_t bits;
  std::memcpy(&bits, at, sizeof(bits));
  return bits;
}

int Low(std::uint8_t byte) { return byte & 0x0F; }
int High(std::uint8_t byte) { return byte >> 4; }

void DecodeQ4_0(Bytes block, float* out) {
  const float d = LoadHalf(block);
  for (int j = 0; j < 16; ++j) {
    out[j] = d * static_cast<float>(Low(block[2 + j]) - 8);
    out[j + 16] = d * static_cast<float>(High(block[2 + j]) - 8);
  }
}

void DecodeQ4_1(Bytes block, float* out) {
  const float d = LoadHalf(block);
  const float m = LoadHalf(block + 2);
  for (int j = 0; j < 16; ++j) {
    out[j] = d * static_cast<float>(Low(block[4 + j])) + m;
    out[j + 16] = d * static_cast<float>(High(block[4 + j])) + m;
  }
}

// The 32 five-bit values of a block: nibbles, with bit j of `fifth` above value j.
std::array<int, 32> FiveBitValues(Bytes nibbles, std::uint32_t fifth) {
  std::array<int, 32> values;
  for (std::size_t j = 0; j < 16; ++j) {
    values[j] = Low(nibbles[j]) | static_cast<int>((fifth >> j) & 1U) << 4;
    values[j + 16] = High(nibbles[j]) | static_cast<int>((fifth >> (j + 16)) & 1U) << 4;
  }
  return values;
}

void DecodeQ5_0(Bytes block, float* out) {
  const float d = LoadHalf(block);
  const std::array<int, 32> values = FiveBitValues(block + 6, LoadU32(block + 2));
  for (std::size_t j = 0; j < 32; ++j) out[j] = d * static_cast<float>(values[j] - 16);
}

void DecodeQ5_1(Bytes block, float* out) {
  const float d = LoadHalf(block);
  const float m = LoadHalf(block + 2);
  const std::array<int, 32> values = FiveBitValues(block + 8, LoadU32(block + 4));
  for (std::size_t j = 0; j < 32; ++j) out[j] = d * static_cast<float>(values[j]) + m;
}

void DecodeQ8_0(Bytes block, float* out) {
  const float d = LoadHalf(block);
  for (int j = 0; j < 32; ++j) {
    out[j] = d * static_cast<float>(static_cast<std::int8_t>(block[2 + j]));
  }
}

// Six-bit scale and minimum of sub-block g of 8: the first four lie in the low six bits of bytes g
// and g + 4; the last four have their low nibbles in byte g + 4 and their high pairs in the top
// bits of bytes g - 4 (scale) and g (minimum).
struct ScaleAndMinimum {
  int scale;
  int minimum;
};
ScaleAndMinimum UnpackQ4_KScale(Bytes scales, int g) {
  if (g < 4) return {scales[g] & 63, scales[g + 4] & 63};
  return {Low(scales[g + 4]) | (scales[g - 4] >> 6) << 4, High(scales[g + 4]) | (scales[g] >> 6)
                                                                                    << 4};
}

void DecodeQ4_K(Bytes block, float* out) {
  const float d = LoadHalf(block);
  const float dmin = LoadHalf(block + 2);
  // Sub-blocks 2k and 2k + 1 are the low and the high nibbles of the same 32 bytes.
  for (int g = 0; g < 8; ++g) {
    const ScaleAndMinimum unpacked = UnpackQ4_KScale(block + 4, g);
    const float scale = d * static_cast<float>(unpacked.scale);
    const float minimum = dmin * static_cast<float>(unpacked.minimum);
    Bytes nibbles = block + 16 + 32 * (g / 2);
    for (int j = 0; j < 32; ++j) {
      const int q = g % 2 == 0 ? Low(nibbles[j]) : High(nibbles[j]);
      out[32 * g + j] = scale * static_cast<float>(q) - minimum;
    }
  }
}

void DecodeQ6_K(Bytes block, float* out) {
  const float d = LoadHalf(block + 208);
  // Each half of 128 values is four groups of 32: groups 0, 1 are low nibbles of 64 bytes, groups
  // 2, 3 their high nibbles; bits 2g, 2g + 1 of the same 32 bytes are the high pairs of group g.
  for (int half = 0; half < 2; ++half) {
    Bytes low = block + 64 * half;
    Bytes high = block + 128 + 32 * half;
    Bytes scales = block + 192 + 8 * half;
    for (int i = 0; i < 128; ++i) {
      const int group = i / 32;
      const std::uint8_t byte = low[i % 64];
      const int nibble = group < 2 ? Low(byte) : High(byte);
      const int q = (nibble | ((high[i % 32] >> (2 * group)) & 3) << 4) - 32;
      const float scale = d * static_cast<float>(static_cast<std::int8_t>(scales[i / 16]));
      out[128 * half + i] = scale * static_cast<float>(q);
    }
  }
}

using BlockDecoder = void (*)(Bytes, float*);

BlockDecoder DecoderOf(Dtype dtype) {
  switch (dtype) {
    case Dtype::kQ4_0:
      return DecodeQ4_0;
    case Dtype::kQ4_1:
      return DecodeQ4_1;
    case Dtype::kQ5_0:
      return DecodeQ5_0;
    case Dtype::kQ5_1:
      return DecodeQ5_1;
    case Dtype::kQ8_0:
      return DecodeQ8_0;
    case Dtype::kQ4_K:
      return DecodeQ4_K;
    case Dtype::kQ6_K:
      return DecodeQ6_K;
    default:
      return nullptr;
  }
}

}  // namespace

absl::Status DecodeBlocks(Dtype dtype, std::span<const std::byte> in, std::span<float> out) {
  const BlockDecoder decode = DecoderOf(dtype);
  if (decode == nullptr) {
    return base::InvalidArgument("dtype {} is no block type", DtypeName(dtype));
  }
  const auto elements = static_cast<std::size_t>(BlockElements(dtype));
  const auto bytes = static_cast<std::size_t>(BlockBytes(dtype));
  const auto* data = reinterpret_cast<Bytes>(in.data());
  for (std::size_t block = 0; block < out.size() / elements; ++block) {
    decode(data + block * bytes, out.data() + block * elements);
  }
  return absl::OkStatus();
}

}  // namespace caldera::model
