// A code for 8-vectors: what Q and the 4-bit factors are rounded with.
//
// Vectors come component-major, so that SIMD lanes are vectors: component i of vector v is
// x[i * stride + v]. Thread rule: a codebook is immutable; all methods are safe from any thread.
#ifndef CALDERA_NUMERICS_LATTICE_CODEBOOK_H_
#define CALDERA_NUMERICS_LATTICE_CODEBOOK_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "absl/status/statusor.h"
#include "common/base/types.h"
#include "common/model/compressed_matrix.h"

namespace caldera::lattice {

inline constexpr int kCodeDimension = 8;

// Rows of codes, not owned: the code of 8-vector v in column j is data[v * stride + j].
struct CodeRows {
  const std::uint32_t* data = nullptr;
  std::size_t rows = 0;
  std::size_t columns = 0;
  std::size_t stride = 0;
};

class Codebook {
 public:
  virtual ~Codebook() = default;

  virtual base::Bits bits() const = 0;  // per value: a code has 8 * bits() bits
  virtual float input_rms() const = 0;  // rms of the input at which the Gaussian MSE is smallest
  // Mean squared error for independent normal inputs of that rms, relative to their square.
  virtual double gaussian_error() const = 0;
  virtual bool exact() const = 0;  // Encode finds the nearest codeword (sweeps need no guard)
  // Vectors that are coded together: vectors s k .. s k + s - 1 of a call, s = sequence(), are one
  // codeword; the last may be shorter. 1 or a divisor of the vectors in a block of rows.
  virtual std::size_t sequence() const { return 1; }

  // Codes of `count` vectors and, where `decoded` is not null, their codewords in the layout of x.
  // Every float input has a code; NaN gives some code. `decoded` may be x itself.
  virtual void Encode(const float* x, std::size_t stride, std::size_t count, std::uint32_t* codes,
                      float* decoded) const = 0;
  // Component i of the codeword of vector v in column j goes to out[(8 v + i) * stride + j].
  virtual void Decode(const CodeRows& codes, float* out, std::size_t stride) const = 0;
};

// The codebook of a kind and width, owned by the library and alive for the whole program (its
// tables are built on first use). UNIMPLEMENTED for a pair that does not exist.
absl::StatusOr<const Codebook*> FindCodebook(model::CodebookKind kind, base::Bits bits);

// The codebooks of one kind at 2, 3 and 4 bits, for matrices whose columns differ in bits.
class CodebookFamily {
 public:
  // UNIMPLEMENTED for an unknown kind.
  static absl::StatusOr<CodebookFamily> Find(model::CodebookKind kind);

  // bits: 2, 3 or 4.
  const Codebook& Of(int bits) const { return *codebooks_[static_cast<std::size_t>(bits - 2)]; }
  // What codewords of `bits` are multiplied by so that one scale serves columns of `base` bits too.
  float RelativeScale(int bits, int base) const {
    return Of(base).input_rms() / Of(bits).input_rms();
  }
  // Like Codebook::Decode with column_bits[j] bits in column j and codewords times
  // RelativeScale(column_bits[j], base).
  void DecodeColumns(const CodeRows& codes, std::span<const std::uint8_t> column_bits, int base,
                     float* out, std::size_t stride) const;

 private:
  std::array<const Codebook*, 3> codebooks_ = {};
};

}  // namespace caldera::lattice

#endif  // CALDERA_NUMERICS_LATTICE_CODEBOOK_H_
