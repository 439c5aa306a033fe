// Decoding of ggml's block types (public layouts, ggml/src/ggml-common.h), values in row order.
//
//   type   bytes of a block                                      value
//   Q4_0   d f16, 16 x u8 nibbles                                d (q - 8)
//   Q4_1   d f16, m f16, 16 x u8 nibbles                         d q + m
//   Q5_0   d f16, u32 fifth bits, 16 x u8 nibbles                d (q - 16)
//   Q5_1   d f16, m f16, u32 fifth bits, 16 x u8 nibbles         d q + m
//   Q8_0   d f16, 32 x i8                                        d q
//   Q4_K   d f16, dmin f16, 12 x u8 scales, 128 x u8 nibbles     (d s_g) q - (dmin m_g)
//   Q6_K   128 x u8 low nibbles, 64 x u8 high pairs, 16 x i8 s,  (d s_g) (q - 32)
//          d f16
//
// In the 32-value types byte j holds value j (low nibble) and value j + 16 (high nibble).
// Arithmetic is float32 in the order written above, as the ggml reference does it.
#ifndef CALDERA_COMMON_MODEL_GGUF_BLOCKS_H_
#define CALDERA_COMMON_MODEL_GGUF_BLOCKS_H_

#include <cstddef>
#include <span>

#include "absl/status/status.h"
#include "common/model/dtype.h"

namespace caldera::model {

// Decodes whole blocks. Precondition (checked by DecodeToFloat, the public entry): the sizes of
// `in` and `out` belong to the same number of blocks. INVALID_ARGUMENT for a plain dtype.
absl::Status DecodeBlocks(Dtype dtype, std::span<const std::byte> in, std::span<float> out);

}  // namespace caldera::model

#endif  // CALDERA_COMMON_MODEL_GGUF_BLOCKS_H_
