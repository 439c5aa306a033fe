// Reader and writer of .npy files, NumPy's format of one array.
//
// Layout: the 6 bytes "\x93NUMPY", one byte each for the major and the minor version (1.0, 2.0 or
// 3.0), the length of the header (u16 in version 1, u32 after that), the header, the data. The
// header is a Python dictionary with the keys 'descr', 'fortran_order' and 'shape', then spaces and
// a line feed. Read are little-endian float16, float32, float64 and integers of 1 to 8 bytes in C
// or Fortran order, two-dimensional. See docs/formats/data.md.
#ifndef CALDERA_COMMON_MODEL_NPY_H_
#define CALDERA_COMMON_MODEL_NPY_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/model/byte_source.h"
#include "common/model/data_matrix.h"
#include "common/model/dtype.h"

namespace caldera::model {

inline constexpr std::uint64_t kMaxNpyHeaderBytes = 1 << 20;

enum class ArrayOrder { kRowMajor, kColumnMajor };  // "C" and "Fortran"

struct NpyHeader {
  Dtype dtype = Dtype::kF64;
  ArrayOrder order = ArrayOrder::kRowMajor;
  std::vector<std::int64_t> shape;
};

// Parses the text of a header. INVALID_ARGUMENT naming `name` and the key for anything but exactly
// the three keys with values of the kinds above; UNIMPLEMENTED for a dtype that is not read
// (big-endian, complex, text, records, Python objects).
absl::StatusOr<NpyHeader> ParseNpyHeader(const std::string& text, const std::string& name);

// The array of a whole file. INVALID_ARGUMENT naming the file when it is no .npy file, has another
// number of dimensions than two, or does not end with its data; UNIMPLEMENTED for another version;
// errors of ParseNpyHeader. Values may be NaN or infinite.
absl::StatusOr<DataMatrix> ReadNpy(const ByteSource& source);

// A float32 matrix as a .npy file, version 1.0, C order. Precondition: `values` has rows x columns
// elements.
std::vector<std::byte> EncodeNpy(std::int64_t rows, std::int64_t columns,
                                 std::span<const float> values);

}  // namespace caldera::model

#endif  // CALDERA_COMMON_MODEL_NPY_H_
