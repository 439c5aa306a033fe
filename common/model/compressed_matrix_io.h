// A compressed matrix as named tensors of a safetensors file: docs/formats/checkpoint.md.
//
// For the matrix P (for example "model.layers.0.self_attn.q_proj"), m8 and r8 rounded up to 8:
//   P.q_codes     U16 [m8/8, n] (2 and 3 bits) or U32 [m8/8, n] (4 bits)
//   P.q_codes_residual   U8 [m8/8, n]   3 bits only: bits 16-23 of the codes
//   P.q_scale     F32 [ceil(m / 64)]
//   P.l_codes     U32 [m8/8, r8] (4 bits), I8 [m8, r8] (8), F16 [m8, r8] (16)
//   P.r_codes     U32 [r8/8, n]  (4 bits), I8 [r8, n]  (8), F16 [r8, n]  (16)
//   P.l_scale, P.r_scale   F32 [r]
//   P.sign_in U8 [ceil(n/8)], P.sign_out U8 [ceil(m/8)]: bit i%8 of byte i/8, 1 = -1
// l_* and r_* are absent when the rank is 0, q_* when q_bits is 0. Shape and coding are one JSON
// text, the value of the key P in the file's __metadata__. Everything is deterministic: one matrix
// has one encoding. Thread rule: pure functions.
#ifndef CALDERA_COMMON_MODEL_COMPRESSED_MATRIX_IO_H_
#define CALDERA_COMMON_MODEL_COMPRESSED_MATRIX_IO_H_

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/model/compressed_matrix.h"
#include "common/model/safetensors_writer.h"
#include "common/model/tensor_source.h"

namespace caldera::model {

// The "format" of a header that this build writes and the only one it reads.
inline constexpr char kMatrixFormat[] = "caldera.matrix.v1";

// The header as compact JSON with sorted keys, and back. Parse: INVALID_ARGUMENT naming `name` (the
// matrix) and the field for anything but exactly these keys with values in their domain;
// UNIMPLEMENTED for another format version, codebook or codeword axis.
std::string MatrixHeaderToJson(const CompressedMatrixHeader& header);
absl::StatusOr<CompressedMatrixHeader> ParseMatrixHeader(const std::string& json,
                                                         const std::string& name);

// Names, dtypes and shapes of the tensors of matrix `prefix`, from the header alone.
std::vector<SafetensorsDeclaration> MatrixTensors(const CompressedMatrixHeader& header,
                                                  const std::string& prefix);

// The matrix as tensors, in the order of MatrixTensors. The caller puts MatrixHeaderToJson(header)
// into the metadata under `prefix`. INVALID_ARGUMENT as ValidateCompressedMatrix.
absl::StatusOr<std::vector<SafetensorsTensor>> EncodeMatrix(const CompressedMatrix& matrix,
                                                            const std::string& prefix);

// The same as one complete safetensors file: the object that a worker commits.
absl::StatusOr<std::vector<std::byte>> EncodeMatrixObject(const std::string& prefix,
                                                          const CompressedMatrix& matrix);

// Reads matrix `prefix` whose header is `header_json` from the tensors of `source` (any file that
// holds them; other tensors are ignored). NOT_FOUND for a missing tensor; DATA_LOSS naming source
// and tensor for a wrong dtype or shape, a scale that is not finite or negative, or a set bit
// beyond the last sign; errors of ParseMatrixHeader.
absl::StatusOr<CompressedMatrix> ReadMatrix(const TensorSource& source, const std::string& prefix,
                                            const std::string& header_json);

// The keys of a file's metadata that name matrices (their values start a matrix header), sorted.
std::vector<std::string> MatrixPrefixes(const std::map<std::string, std::string>& metadata);

}  // namespace caldera::model

#endif  // CALDERA_COMMON_MODEL_COMPRESSED_MATRIX_IO_H_
