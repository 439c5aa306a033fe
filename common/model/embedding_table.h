// A coded embedding or head as named tensors of a safetensors file (docs/formats/checkpoint.md).
//
// The table E (for example "model.embed_tokens") of 8 bits per value is `E.codes` I8 and `E.scale`
// F16 (embedding_code.h). At 4 bits (embedding_nibbles.h) it is `E.codes` U8, `E.scale` F16 and
// `E.column_scale` F16, and its file's metadata has a header of the table under the key E. Thread
// rule: pure functions and immutable values.
#ifndef CALDERA_COMMON_MODEL_EMBEDDING_TABLE_H_
#define CALDERA_COMMON_MODEL_EMBEDDING_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/types.h"
#include "common/model/model_config.h"
#include "common/model/safetensors_writer.h"
#include "common/model/tensor_source.h"

namespace caldera::model {

// The "format" of a header that this build writes and the only one it reads.
inline constexpr char kEmbeddingFormat[] = "caldera.embedding.v1";

struct EmbeddingHeader {
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  base::Bits bits{8};  // 4 or 8
  friend bool operator==(const EmbeddingHeader&, const EmbeddingHeader&) = default;
};

// The header of a table of 4 bits as compact JSON with sorted keys, and back. Parse: with `name`
// (the table) before it, UNIMPLEMENTED for another format or number of bits, INVALID_ARGUMENT for
// anything else but exactly these keys with values in their domain.
std::string EmbeddingHeaderToJson(const EmbeddingHeader& header);
absl::StatusOr<EmbeddingHeader> ParseEmbeddingHeader(const std::string& json,
                                                     const std::string& name);

// Names, dtypes and shapes of the tensors of the table `stem`, codes first.
std::vector<SafetensorsDeclaration> EmbeddingTensors(const EmbeddingHeader& header,
                                                     const std::string& stem);

// Bytes of all tensors that hold the embedding of a model and its head, when that is not tied, at
// 4, 8 or 16 bits (not the names and headers around them, not the final norm).
std::uint64_t EmbeddingBytes(const ModelConfig& config, base::Bits bits);

// A table in memory as stored.
class EmbeddingTable {
 public:
  // NOT_FOUND for a missing tensor; DATA_LOSS naming source and tensor for another dtype or shape
  // than the header asks, a scale that is negative or not finite, or a set bit beyond the last
  // column.
  static absl::StatusOr<EmbeddingTable> Read(const TensorSource& source, const std::string& stem,
                                             const EmbeddingHeader& header);

  // Rows from `first_row` on into `out`, as many as fit. INVALID_ARGUMENT unless these are whole
  // rows of the table.
  absl::Status DecodeRows(std::int64_t first_row, std::span<float> out) const;

 private:
  EmbeddingHeader header_;
  std::vector<std::byte> codes_;
  std::vector<std::uint16_t> scales_;
  std::vector<float> column_scales_;  // 4 bits
};

}  // namespace caldera::model

#endif  // CALDERA_COMMON_MODEL_EMBEDDING_TABLE_H_
