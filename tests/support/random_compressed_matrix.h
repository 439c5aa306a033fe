// A compressed matrix with random codes, for tests of its storage and of its decoding.
#ifndef CALDERA_TESTS_SUPPORT_RANDOM_COMPRESSED_MATRIX_H_
#define CALDERA_TESTS_SUPPORT_RANDOM_COMPRESSED_MATRIX_H_

#include <algorithm>
#include <cstdint>
#include <random>
#include <utility>
#include <vector>

#include "common/model/compressed_matrix.h"

namespace caldera::test_support {

// The largest power of two up to 128 that divides `size`.
inline std::int64_t TransformBlock(std::int64_t size) {
  std::int64_t block = 128;
  while (size % block != 0) block /= 2;
  return block;
}

// Codes of a factor of `values` padded values: finite halves, int8 without -128, any lattice code.
inline std::vector<std::uint32_t> RandomFactorCodes(std::int64_t values, base::Bits bits,
                                                    std::mt19937& generator) {
  std::vector<std::uint32_t> codes(
      static_cast<std::size_t>(bits.value() == 4 ? values / 8 : values));
  std::uniform_int_distribution<int> bytes(-127, 127);
  std::uniform_int_distribution<std::uint32_t> halves(0x2000, 0x4200);  // 2^-7 .. 3
  for (std::uint32_t& code : codes) {
    if (bits.value() == 4) code = static_cast<std::uint32_t>(generator());
    if (bits.value() == 8) code = static_cast<std::uint8_t>(bytes(generator));
    if (bits.value() == 16) code = halves(generator) | (generator() % 2 == 0 ? 0x8000U : 0U);
  }
  return codes;
}

inline std::vector<float> RandomScales(std::int64_t count, std::mt19937& generator) {
  std::uniform_real_distribution<float> uniform(0.1F, 1.0F);
  std::vector<float> scales(static_cast<std::size_t>(count));
  for (float& scale : scales) scale = uniform(generator);
  return scales;
}

inline std::vector<std::uint8_t> RandomSigns(std::int64_t count, std::mt19937& generator) {
  std::vector<std::uint8_t> signs(static_cast<std::size_t>(count));
  for (std::uint8_t& sign : signs) sign = static_cast<std::uint8_t>(generator() % 2);
  return signs;
}

// Bits of each column: the header's, or as many of 3 and 4 as it says in random places.
inline std::vector<std::uint8_t> RandomColumnBits(const model::CompressedMatrixHeader& header,
                                                  std::mt19937& generator) {
  std::vector<std::uint8_t> bits(static_cast<std::size_t>(header.columns),
                                 static_cast<std::uint8_t>(header.q_bits.value()));
  if (!header.mixed()) return bits;
  std::fill_n(bits.begin(), header.q_columns_3, std::uint8_t{3});
  std::fill_n(bits.rbegin(), header.q_columns_4, std::uint8_t{4});
  std::shuffle(bits.begin(), bits.end(), generator);
  return bits;
}

// Fills a matrix of this shape and coding; the transform blocks of `header` are replaced by
// TransformBlock of its dimensions. The same seed gives the same matrix.
inline model::CompressedMatrix RandomCompressedMatrix(const model::CompressedMatrixHeader& header,
                                                      unsigned seed) {
  std::mt19937 generator(seed);
  model::CompressedMatrix matrix;
  matrix.header = header;
  matrix.header.input_block = TransformBlock(header.columns);
  matrix.header.output_block = TransformBlock(header.rows);
  matrix.q_scale = RandomScales(header.scale_count(), generator);
  std::vector<std::uint8_t> bits = RandomColumnBits(header, generator);
  matrix.q_codes.resize(static_cast<std::size_t>(header.q_code_count()));
  for (std::size_t i = 0; i < matrix.q_codes.size(); ++i) {
    const auto unused = static_cast<unsigned>(32 - 8 * bits[i % bits.size()]);
    matrix.q_codes[i] = static_cast<std::uint32_t>(generator()) >> unused;
  }
  if (header.mixed()) matrix.q_column_bits = std::move(bits);
  matrix.l_codes =
      RandomFactorCodes(header.padded_rows() * header.padded_rank(), header.l_bits, generator);
  matrix.r_codes =
      RandomFactorCodes(header.padded_rank() * header.columns, header.r_bits, generator);
  matrix.l_scale = RandomScales(header.rank, generator);
  matrix.r_scale = RandomScales(header.rank, generator);
  matrix.sign_in = RandomSigns(header.columns, generator);
  matrix.sign_out = RandomSigns(header.rows, generator);
  return matrix;
}

}  // namespace caldera::test_support

#endif  // CALDERA_TESTS_SUPPORT_RANDOM_COMPRESSED_MATRIX_H_
