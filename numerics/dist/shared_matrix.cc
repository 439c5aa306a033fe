#include "numerics/dist/shared_matrix.h"

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

#include "numerics/kernels/parallel.h"

namespace caldera::dist {
namespace {

constexpr std::int64_t kPieceFloats = std::int64_t{16} << 20;

}  // namespace

SharedMatrix::SharedMatrix(std::int64_t rows, std::int64_t columns, Communicator& communicator)
    : memory_(communicator.Share(static_cast<std::size_t>(rows * columns) * sizeof(float))),
      view_{reinterpret_cast<float*>(memory_->bytes().data()), rows, columns, columns} {}

SharedMatrix& SharedMatrix::operator=(SharedMatrix&& other) noexcept {
  memory_ = std::move(other.memory_);
  view_ = std::exchange(other.view_, {});
  return *this;
}

SharedMatrix SharedMatrix::FromRoot(const linalg::MatrixF& whole, Communicator& communicator) {
  const bool root = communicator.rank() == 0;
  std::int64_t shape[2] = {whole.rows(), whole.columns()};
  communicator.Broadcast(std::as_writable_bytes(std::span(shape)), 0);
  SharedMatrix shared(shape[0], shape[1], communicator);
  const std::int64_t size = shape[0] * shape[1];
  std::vector<float> piece(static_cast<std::size_t>(std::min(kPieceFloats, size)));
  for (std::int64_t first = 0; first < size; first += kPieceFloats) {
    const std::int64_t count = std::min(kPieceFloats, size - first);
    if (root) std::copy_n(whole.data() + first, count, piece.begin());
    communicator.Broadcast(
        std::as_writable_bytes(std::span(piece).first(static_cast<std::size_t>(count))), 0);
    if (shared.IsFirst()) std::copy_n(piece.begin(), count, shared.view_.data + first);
  }
  shared.Publish();
  return shared;
}

void SharedMatrix::Publish() {
  if (memory_ != nullptr) memory_->Publish();
}

linalg::Share SharedMatrix::share() const {
  return memory_ == nullptr ? linalg::Share{} : linalg::Share{memory_->place(), memory_->sharers()};
}

void SharedMatrix::ForOwnRows(const std::function<void(std::int64_t)>& body) const {
  const linalg::Share own = share();
  kernels::ParallelFor(own.CountOf(rows()), [&](std::int64_t i) { body(own.Block(i)); });
}

}  // namespace caldera::dist
