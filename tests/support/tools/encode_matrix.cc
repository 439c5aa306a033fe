// test-encode-matrix OUT.safetensors ROWS COLUMNS RANK Q_BITS L_BITS R_BITS SEED CODEBOOK AXIS
//
// Writes one random compressed matrix "matrix" as its object, with the dense W that the library
// decodes from it as a further tensor "weight": what the Python reader of
// docs/formats/checkpoint.md is held to.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <span>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/model/compressed_matrix.h"
#include "common/model/compressed_matrix_io.h"
#include "numerics/decompose/linear_map.h"
#include "tests/support/random_compressed_matrix.h"

namespace {

using namespace caldera;

absl::Status WriteFile(const std::string& path, std::span<const std::byte> bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  return file.good() ? absl::OkStatus() : base::Internal("{}: cannot write", path);
}

model::SafetensorsTensor DenseTensor(const linalg::MatrixF& dense) {
  model::SafetensorsTensor tensor;
  tensor.declaration = {"weight", model::Dtype::kF32, {dense.rows(), dense.columns()}};
  tensor.bytes.resize(static_cast<std::size_t>(dense.rows() * dense.columns()) * sizeof(float));
  if (!tensor.bytes.empty()) std::memcpy(tensor.bytes.data(), dense.data(), tensor.bytes.size());
  return tensor;
}

absl::Status Run(const std::vector<std::string>& arguments) {
  if (arguments.size() != 10) return base::InvalidArgument("expected 10 arguments");
  const auto number = [&arguments](std::size_t i) { return std::stoll(arguments[i]); };
  model::CompressedMatrixHeader header;
  CALDERA_ASSIGN_OR_RETURN(header.codebook, model::ParseCodebook(arguments[8]));
  header.axis = arguments[9] == "rows" ? model::CodewordAxis::kRows : model::CodewordAxis::kColumns;
  header.rows = number(1);
  header.columns = number(2);
  header.rank = number(3);
  model::SetQBits(std::stod(arguments[4]), &header);
  header.l_bits = base::Bits(static_cast<int>(number(5)));
  header.r_bits = base::Bits(static_cast<int>(number(6)));
  const auto matrix =
      test_support::RandomCompressedMatrix(header, static_cast<unsigned>(number(7)));
  CALDERA_ASSIGN_OR_RETURN(auto tensors, model::EncodeMatrix(matrix, "matrix"));
  CALDERA_ASSIGN_OR_RETURN(const linalg::MatrixF dense, decompose::DecodeMatrix(matrix));
  tensors.push_back(DenseTensor(dense));
  CALDERA_ASSIGN_OR_RETURN(
      const auto bytes,
      model::WriteSafetensors({{"matrix", model::MatrixHeaderToJson(matrix.header)}}, tensors));
  return WriteFile(arguments[0], bytes);
}

}  // namespace

int main(int argc, char** argv) {
  const absl::Status status = Run({argv + 1, argv + argc});
  if (status.ok()) return EXIT_SUCCESS;
  std::cerr << "test-encode-matrix: " << base::MessageOf(status) << '\n';
  return EXIT_FAILURE;
}
