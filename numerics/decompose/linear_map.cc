#include "numerics/decompose/linear_map.h"

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

#include "common/base/status.h"
#include "numerics/decompose/q_words.h"
#include "numerics/kernels/hadamard.h"
#include "numerics/kernels/parallel.h"
#include "numerics/lattice/codebook.h"
#include "numerics/lattice/factor_code.h"
#include "numerics/linalg/blas.h"

namespace caldera::decompose {
namespace {

constexpr std::int64_t kDecodeRows = 128;

std::vector<float> SignsOf(const std::vector<std::uint8_t>& bits) {
  std::vector<float> signs(bits.size());
  for (std::size_t i = 0; i < bits.size(); ++i) signs[i] = bits[i] != 0 ? -1.0F : 1.0F;
  return signs;
}

// The codes of rows first_row .. first_row + row_count - 1 of L; first_row is a multiple of 8.
std::span<const std::uint32_t> LCodesOf(const model::CompressedMatrix& matrix,
                                        std::int64_t first_row, std::int64_t row_count) {
  const std::int64_t rank = matrix.header.rank;
  const base::Bits bits = matrix.header.l_bits;
  const auto first = static_cast<std::size_t>(lattice::LCodeCount(first_row, rank, bits));
  const auto count = static_cast<std::size_t>(lattice::LCodeCount(row_count, rank, bits));
  return std::span(matrix.l_codes).subspan(first, count);
}

// Decodes blocks of rows of one matrix. R and the signs are decoded once, by Create.
class BlockDecoder {
 public:
  static absl::StatusOr<BlockDecoder> Create(const model::CompressedMatrix& matrix) {
    CALDERA_ASSIGN_OR_RETURN(const lattice::CodebookFamily family,
                             lattice::CodebookFamily::Find(matrix.header.codebook));
    BlockDecoder decoder(matrix, family);
    if (matrix.header.rank == 0) return decoder;
    CALDERA_RETURN_IF_ERROR(lattice::DequantiseR(matrix.r_codes, matrix.header.r_bits,
                                                 matrix.r_scale, decoder.r_.view()));
    return decoder;
  }

  // A whole number of codewords and of output transform blocks.
  std::int64_t block_rows() const { return std::max(kDecodeRows, header().output_block); }

  // Rows of block `block` in the original basis, in the first rows of a buffer padded to 8.
  absl::StatusOr<linalg::MatrixF> Decode(std::int64_t block) const {
    const std::int64_t first = block * block_rows();
    const std::int64_t rows = std::min(block_rows(), header().rows - first);
    linalg::MatrixF out((rows + 7) / 8 * 8, header().columns);
    if (header().has_q()) DecodeQ(first, out);
    CALDERA_RETURN_IF_ERROR(AddLowRank(first, out.view().Rows(0, rows)));
    Rotate(first, out.view().Rows(0, rows));
    return out;
  }

 private:
  BlockDecoder(const model::CompressedMatrix& matrix, const lattice::CodebookFamily& family)
      : matrix_(matrix),
        family_(family),
        r_(matrix.header.rank, matrix.header.columns),
        sign_in_(SignsOf(matrix.sign_in)),
        sign_out_(SignsOf(matrix.sign_out)) {}

  const model::CompressedMatrixHeader& header() const { return matrix_.header; }

  void DecodeQ(std::int64_t first, linalg::MatrixF& out) const {
    DecodeWords({header(), family_, matrix_.q_codes, matrix_.q_column_bits},
                {first, std::min(out.rows(), header().rows - first)}, out.view());
    for (std::int64_t row = 0; row < out.rows(); ++row) {
      const float scale =
          matrix_.q_scale[static_cast<std::size_t>((first + row) / model::kScaleRows)];
      for (std::int64_t j = 0; j < out.columns(); ++j) out.row(row)[j] *= scale;
    }
  }

  absl::Status AddLowRank(std::int64_t first, linalg::ViewF out) const {
    if (header().rank == 0) return absl::OkStatus();
    linalg::MatrixF l(out.rows, header().rank);
    CALDERA_RETURN_IF_ERROR(lattice::DequantiseL(LCodesOf(matrix_, first, out.rows),
                                                 header().l_bits, matrix_.l_scale, l.view()));
    linalg::Gemm(l, r_, out, linalg::kAddTo);
    return absl::OkStatus();
  }

  void Rotate(std::int64_t first, linalg::ViewF rows) const {
    const kernels::RowWindow window = {rows.data, static_cast<std::size_t>(rows.rows),
                                       static_cast<std::size_t>(rows.columns),
                                       static_cast<std::size_t>(rows.stride)};
    kernels::HadamardAlongRows(window, static_cast<std::size_t>(header().input_block),
                               sign_in_.data(), kernels::Direction::kInverse);
    kernels::HadamardAcrossRows(window, static_cast<std::size_t>(header().output_block),
                                sign_out_.data() + first, kernels::Direction::kInverse);
  }

  const model::CompressedMatrix& matrix_;
  lattice::CodebookFamily family_;
  linalg::MatrixF r_;
  std::vector<float> sign_in_;
  std::vector<float> sign_out_;
};

absl::Status CheckRange(const model::CompressedMatrixHeader& header, std::int64_t first_row,
                        std::int64_t row_count, linalg::ViewF out) {
  if (first_row < 0 || row_count < 0 || first_row > header.rows - row_count) {
    return base::OutOfRange("rows {} + {} of a matrix of {} rows", first_row, row_count,
                            header.rows);
  }
  if (out.rows != row_count || out.columns != header.columns) {
    return base::InvalidArgument("output is {} x {}, expected {} x {}", out.rows, out.columns,
                                 row_count, header.columns);
  }
  return absl::OkStatus();
}

// Copies what block rows [block_first, block_first + block.rows()) and the wanted rows share.
void CopyOverlap(const linalg::MatrixF& block, std::int64_t block_first, std::int64_t first_row,
                 linalg::ViewF out) {
  const std::int64_t begin = std::max(block_first, first_row);
  const std::int64_t end = std::min(block_first + block.rows(), first_row + out.rows);
  for (std::int64_t row = begin; row < end; ++row) {
    std::copy_n(block.row(row - block_first), out.columns, out.row(row - first_row));
  }
}

}  // namespace

absl::Status DecodeRows(const model::CompressedMatrix& matrix, std::int64_t first_row,
                        std::int64_t row_count, linalg::ViewF out) {
  CALDERA_RETURN_IF_ERROR(model::ValidateCompressedMatrix(matrix, "matrix"));
  CALDERA_RETURN_IF_ERROR(CheckRange(matrix.header, first_row, row_count, out));
  if (out.empty()) return absl::OkStatus();
  CALDERA_ASSIGN_OR_RETURN(const BlockDecoder decoder, BlockDecoder::Create(matrix));
  const std::int64_t block_rows = decoder.block_rows();
  const std::int64_t first_block = first_row / block_rows;
  const std::int64_t blocks = (first_row + row_count - 1) / block_rows - first_block + 1;
  std::vector<absl::Status> results(static_cast<std::size_t>(blocks));
  kernels::ParallelFor(blocks, [&](std::int64_t i) {
    const auto block = decoder.Decode(first_block + i);
    results[static_cast<std::size_t>(i)] = block.status();
    if (block.ok()) CopyOverlap(*block, (first_block + i) * block_rows, first_row, out);
  });
  for (const absl::Status& result : results) CALDERA_RETURN_IF_ERROR(result);
  return absl::OkStatus();
}

absl::StatusOr<linalg::MatrixF> DecodeMatrix(const model::CompressedMatrix& matrix) {
  CALDERA_RETURN_IF_ERROR(model::ValidateMatrixHeader(matrix.header));
  linalg::MatrixF out(matrix.header.rows, matrix.header.columns);
  CALDERA_RETURN_IF_ERROR(DecodeRows(matrix, 0, matrix.header.rows, out.view()));
  return out;
}

}  // namespace caldera::decompose
