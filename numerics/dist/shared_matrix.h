// A matrix that the ranks of one host hold once (shared_bytes.h).
#ifndef CALDERA_NUMERICS_DIST_SHARED_MATRIX_H_
#define CALDERA_NUMERICS_DIST_SHARED_MATRIX_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "numerics/dist/communicator.h"
#include "numerics/dist/shared_bytes.h"
#include "numerics/linalg/matrix.h"
#include "numerics/linalg/parallel_blas.h"

namespace caldera::dist {

// rows x columns floats, zero at first. Making, publishing, assigning and destroying one are
// collectives. Movable; a moved-from matrix and a default one are 0 x 0. Must not outlive its
// communicator.
class SharedMatrix {
 public:
  SharedMatrix() = default;
  SharedMatrix(std::int64_t rows, std::int64_t columns, Communicator& communicator);
  SharedMatrix(SharedMatrix&& other) noexcept { *this = std::move(other); }
  SharedMatrix& operator=(SharedMatrix&& other) noexcept;
  // Rank 0's `whole` on every rank; the others' argument is not looked at. 4 rows columns bytes are
  // broadcast in pieces of 64 MiB.
  static SharedMatrix FromRoot(const linalg::MatrixF& whole, Communicator& communicator);

  std::int64_t rows() const { return view_.rows; }
  std::int64_t columns() const { return view_.columns; }
  // Reads what was published.
  linalg::ConstViewF view() const { return view_; }

  // Writes: an element by one of the sharers between two Publish, and nobody else reads it.
  linalg::ViewF writable() { return view_; }
  void Publish();
  // What falls to this rank of a loop that the sharers of this copy split.
  linalg::Share share() const;
  // True on the sharer that does what is not split; always on rank 0.
  bool IsFirst() const { return share().place == 0; }
  // Calls body(i) for this rank's share of the rows, in parallel.
  void ForOwnRows(const std::function<void(std::int64_t)>& body) const;

 private:
  std::unique_ptr<SharedBytes> memory_;
  linalg::ViewF view_;
};

}  // namespace caldera::dist

#endif  // CALDERA_NUMERICS_DIST_SHARED_MATRIX_H_
