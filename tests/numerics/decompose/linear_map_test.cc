#include "numerics/decompose/linear_map.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "common/model/dtype.h"
#include "numerics/kernels/e8p_reference.h"
#include "numerics/kernels/parallel.h"
#include "tests/support/random_compressed_matrix.h"

namespace caldera::decompose {
namespace {

using kernels::E8pResidual;

using Dense = std::vector<std::vector<double>>;

model::CompressedMatrix Matrix(std::int64_t rows, std::int64_t columns, std::int64_t rank,
                               int q_bits, int factor_bits) {
  model::CompressedMatrixHeader header;
  header.rows = rows;
  header.columns = columns;
  header.rank = rank;
  header.q_bits = base::Bits(q_bits);
  header.l_bits = base::Bits(factor_bits);
  header.r_bits = base::Bits(factor_bits);
  return test_support::RandomCompressedMatrix(header, 5);
}

Dense Zeros(std::int64_t rows, std::int64_t columns) {
  return Dense(static_cast<std::size_t>(rows),
               std::vector<double>(static_cast<std::size_t>(columns)));
}

// rows x columns values of lattice codes [rows / 8][columns].
Dense DecodeLattice(const std::vector<std::uint32_t>& codes, std::int64_t rows,
                    std::int64_t columns, E8pResidual residual) {
  Dense out = Zeros(rows, columns);
  const auto width = static_cast<std::size_t>(columns);
  for (std::size_t k = 0; k < codes.size(); ++k) {
    const kernels::reference::Word8 word = kernels::reference::DecodeVector(residual, codes[k]);
    for (std::size_t i = 0; i < 8; ++i) out[8 * (k / width) + i][k % width] = word[i];
  }
  return out;
}

Dense DecodeFactor(const std::vector<std::uint32_t>& codes, std::int64_t rows, std::int64_t columns,
                   int bits) {
  if (bits == 4) return DecodeLattice(codes, rows, columns, E8pResidual::kE8p);
  Dense out = Zeros(rows, columns);
  const auto width = static_cast<std::size_t>(columns);
  for (std::size_t k = 0; k < codes.size(); ++k) {
    out[k / width][k % width] = bits == 8
                                    ? static_cast<std::int8_t>(codes[k])
                                    : model::HalfToFloat(static_cast<std::uint16_t>(codes[k]));
  }
  return out;
}

// Entry (i, j) of the block-diagonal Hadamard matrix.
double Hadamard(std::size_t i, std::size_t j, std::int64_t block) {
  const auto b = static_cast<std::size_t>(block);
  if (i / b != j / b) return 0;
  const double sign = std::popcount((i % b) & (j % b)) % 2 == 0 ? 1 : -1;
  return sign / std::sqrt(static_cast<double>(block));
}

// diag(s) Q + L R, straight from the format.
Dense ExpectedRotated(const model::CompressedMatrix& m) {
  const model::CompressedMatrixHeader& h = m.header;
  constexpr E8pResidual kResiduals[] = {E8pResidual::kNone, E8pResidual::kBall, E8pResidual::kE8p};
  Dense w = Zeros(h.padded_rows(), h.columns);
  if (h.has_q()) {
    w = DecodeLattice(m.q_codes, h.padded_rows(), h.columns, kResiduals[h.q_bits.value() - 2]);
  }
  const Dense l = DecodeFactor(m.l_codes, h.padded_rows(), h.padded_rank(), h.l_bits.value());
  const Dense r = DecodeFactor(m.r_codes, h.padded_rank(), h.columns, h.r_bits.value());
  for (std::size_t i = 0; i < w.size(); ++i) {
    for (std::size_t j = 0; j < w[i].size(); ++j) {
      if (h.has_q()) w[i][j] *= m.q_scale[i / 64];
      for (std::size_t k = 0; k < m.l_scale.size(); ++k) {
        w[i][j] += double{m.l_scale[k]} * l[i][k] * double{m.r_scale[k]} * r[k][j];
      }
    }
  }
  return w;
}

// D_out B_out W~ B_in D_in by dense products.
Dense Expected(const model::CompressedMatrix& m) {
  const Dense rotated = ExpectedRotated(m);
  const auto rows = static_cast<std::size_t>(m.header.rows);
  const auto columns = static_cast<std::size_t>(m.header.columns);
  Dense half = Zeros(m.header.rows, m.header.columns);
  Dense w = half;
  for (std::size_t i = 0; i < rows; ++i) {
    for (std::size_t j = 0; j < columns; ++j) {
      for (std::size_t k = 0; k < columns; ++k) {
        half[i][j] += rotated[i][k] * Hadamard(k, j, m.header.input_block);
      }
    }
  }
  for (std::size_t i = 0; i < rows; ++i) {
    for (std::size_t j = 0; j < columns; ++j) {
      for (std::size_t k = 0; k < rows; ++k) {
        w[i][j] += Hadamard(i, k, m.header.output_block) * half[k][j];
      }
      if (m.sign_out[i] != m.sign_in[j]) w[i][j] = -w[i][j];
    }
  }
  return w;
}

// float32 sums of rank + 2 log2(block) terms whose size grows with the rank: a generous multiple of
// epsilon times the largest sum.
double Tolerance(const model::CompressedMatrix& matrix) {
  double largest = 4;
  const Dense rotated = ExpectedRotated(matrix);
  for (const auto& row : rotated) {
    for (const double value : row) largest = std::max(largest, std::abs(value));
  }
  const double terms = static_cast<double>(matrix.header.rank) + 16;
  return terms * std::numeric_limits<float>::epsilon() * 16 * largest;
}

void ExpectDecodes(const model::CompressedMatrix& matrix) {
  const Dense expected = Expected(matrix);
  const auto decoded = DecodeMatrix(matrix);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  ASSERT_EQ(decoded->rows(), matrix.header.rows);
  ASSERT_EQ(decoded->columns(), matrix.header.columns);
  const double tolerance = Tolerance(matrix);
  for (std::int64_t i = 0; i < decoded->rows(); ++i) {
    for (std::int64_t j = 0; j < decoded->columns(); ++j) {
      ASSERT_NEAR((*decoded)(i, j),
                  expected[static_cast<std::size_t>(i)][static_cast<std::size_t>(j)], tolerance);
    }
  }
}

TEST(LinearMap, DecodesEveryShapeLikeTheDenseFormula) {
  for (const auto& [rows, columns] : {std::pair(0, 0), std::pair(0, 5), std::pair(1, 1),
                                      std::pair(7, 13), std::pair(72, 40), std::pair(136, 9)}) {
    for (const int rank : {0, std::min({rows, columns, 5})}) {
      ExpectDecodes(Matrix(rows, columns, rank, 2, 4));
    }
  }
}

TEST(LinearMap, DecodesEveryMixOfWidths) {
  for (const int q_bits : {0, 2, 3, 4}) {
    for (const int factor_bits : {4, 8, 16}) ExpectDecodes(Matrix(24, 20, 3, q_bits, factor_bits));
  }
}

TEST(LinearMap, DecodesAnyRangeOfRowsToTheSameBits) {
  const model::CompressedMatrix matrix = Matrix(392, 24, 6, 2, 4);
  const auto whole = DecodeMatrix(matrix);
  ASSERT_TRUE(whole.ok());
  for (const auto& [first, count] :
       {std::pair(0, 0), std::pair(0, 1), std::pair(5, 7), std::pair(127, 2), std::pair(120, 200),
        std::pair(391, 1), std::pair(392, 0), std::pair(0, 392)}) {
    linalg::MatrixF part(count, 24);
    ASSERT_TRUE(DecodeRows(matrix, first, count, part.view()).ok());
    for (std::int64_t i = 0; i < count; ++i) {
      for (std::int64_t j = 0; j < 24; ++j) ASSERT_EQ(part(i, j), (*whole)(first + i, j));
    }
  }
}

TEST(LinearMap, DecodesTheSameBitsWithAnyNumberOfThreads) {
  const model::CompressedMatrix matrix = Matrix(300, 64, 8, 2, 16);
  const int threads = kernels::Threads();
  kernels::SetThreads(1);
  const auto serial = DecodeMatrix(matrix);
  kernels::SetThreads(2);
  const auto parallel = DecodeMatrix(matrix);
  kernels::SetThreads(threads);
  ASSERT_TRUE(serial.ok() && parallel.ok());
  for (std::int64_t i = 0; i < 300; ++i) {
    for (std::int64_t j = 0; j < 64; ++j) ASSERT_EQ((*serial)(i, j), (*parallel)(i, j));
  }
}

TEST(LinearMap, RejectsRowsBeyondTheMatrixAndOtherShapes) {
  const model::CompressedMatrix matrix = Matrix(16, 8, 0, 2, 4);
  linalg::MatrixF out(4, 8);
  EXPECT_EQ(DecodeRows(matrix, 13, 4, out.view()).code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(DecodeRows(matrix, -1, 4, out.view()).code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(DecodeRows(matrix, 0, 5, out.view()).code(), absl::StatusCode::kInvalidArgument);
  model::CompressedMatrix broken = matrix;
  broken.q_codes.pop_back();
  EXPECT_EQ(DecodeRows(broken, 0, 4, out.view()).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(DecodeMatrix(broken).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace caldera::decompose
