// Dense matrices in row-major order: an owner and two views.
#ifndef CALDERA_NUMERICS_LINALG_MATRIX_H_
#define CALDERA_NUMERICS_LINALG_MATRIX_H_

#include <cassert>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "numerics/kernels/large_pages.h"

namespace caldera::linalg {

// rows x columns window on memory it does not own; element (i, j) is data[i * stride + j].
// MatrixView<const float> reads, MatrixView<float> writes. Passed by value.
template <typename T>
struct MatrixView {
  T* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t stride = 0;  // elements from one row to the next, >= columns

  T& operator()(std::int64_t i, std::int64_t j) const {
    assert(i >= 0 && i < rows && j >= 0 && j < columns);
    return data[i * stride + j];
  }
  T* row(std::int64_t i) const { return data + i * stride; }
  bool empty() const { return rows == 0 || columns == 0; }

  // The row_count x column_count block whose first element is (row, column).
  MatrixView Block(std::int64_t row, std::int64_t column, std::int64_t row_count,
                   std::int64_t column_count) const {
    assert(row + row_count <= rows && column + column_count <= columns);
    return {data + row * stride + column, row_count, column_count, stride};
  }
  MatrixView Rows(std::int64_t first, std::int64_t count) const {
    return Block(first, 0, count, columns);
  }
  MatrixView Columns(std::int64_t first, std::int64_t count) const {
    return Block(0, first, rows, count);
  }
  // A writable view reads as well.
  operator MatrixView<const T>() const requires(!std::is_const_v<T>) {
    return {data, rows, columns, stride};
  }
};

// Owns rows x columns values, zero at first; stride == columns.
template <typename T>
class Matrix {
 public:
  Matrix() = default;
  Matrix(std::int64_t rows, std::int64_t columns)
      : values_(static_cast<std::size_t>(rows * columns)), rows_(rows), columns_(columns) {}

  std::int64_t rows() const { return rows_; }
  std::int64_t columns() const { return columns_; }
  bool empty() const { return values_.empty(); }
  T* data() { return values_.data(); }
  const T* data() const { return values_.data(); }
  T* row(std::int64_t i) { return data() + i * columns_; }
  const T* row(std::int64_t i) const { return data() + i * columns_; }
  T& operator()(std::int64_t i, std::int64_t j) { return view()(i, j); }
  const T& operator()(std::int64_t i, std::int64_t j) const { return view()(i, j); }
  MatrixView<T> view() { return {data(), rows_, columns_, columns_}; }
  MatrixView<const T> view() const { return {data(), rows_, columns_, columns_}; }

 private:
  std::vector<T, kernels::LargePageAllocator<T>> values_;
  std::int64_t rows_ = 0;
  std::int64_t columns_ = 0;
};

using MatrixF = Matrix<float>;
using ViewF = MatrixView<float>;
using ConstViewF = MatrixView<const float>;

}  // namespace caldera::linalg

#endif  // CALDERA_NUMERICS_LINALG_MATRIX_H_
