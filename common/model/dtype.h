// Element types of stored tensors, and their conversion to float32.
#ifndef CALDERA_COMMON_MODEL_DTYPE_H_
#define CALDERA_COMMON_MODEL_DTYPE_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace caldera::model {

enum class Dtype {
  // Plain types, named as in safetensors.
  kF64,
  kF32,
  kF16,
  kBF16,
  kI64,
  kI32,
  kI16,
  kI8,
  kU64,
  kU32,
  kU16,
  kU8,
  kBool,
  // GGUF block types (ggml layouts): values come in blocks along a row.
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ8_0,
  kQ4_K,
  kQ6_K,
};

// Values per block (1 for plain types) and bytes per block.
std::int64_t BlockElements(Dtype dtype);
std::int64_t BlockBytes(Dtype dtype);
bool IsBlockType(Dtype dtype);
// Whether DecodeToFloat takes it: F64, F32, F16, BF16 and the block types.
bool HasFloatValue(Dtype dtype);

// "F32", "BF16", "Q4_K", ...; Parse accepts the plain safetensors names only.
std::string DtypeName(Dtype dtype);
absl::StatusOr<Dtype> ParseSafetensorsDtype(const std::string& name);

// IEEE half and bfloat16 <-> float32; rounding to nearest even, overflow to infinity, NaN stays
// NaN.
float HalfToFloat(std::uint16_t bits);
std::uint16_t FloatToHalf(float value);
float BFloat16ToFloat(std::uint16_t bits);
std::uint16_t FloatToBFloat16(float value);

// Decodes out.size() values from `in`. Precondition: out.size() is a multiple of BlockElements and
// in.size() matches it, else INVALID_ARGUMENT. Float and block types only, else INVALID_ARGUMENT.
absl::Status DecodeToFloat(Dtype dtype, std::span<const std::byte> in, std::span<float> out);

// The same to float64 for all plain dtypes but BOOL; 64-bit integers beyond 2^53 are rounded.
absl::Status DecodeToDouble(Dtype dtype, std::span<const std::byte> in, std::span<double> out);

}  // namespace caldera::model

#endif  // CALDERA_COMMON_MODEL_DTYPE_H_
