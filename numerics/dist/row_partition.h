// How the rows of an m x n matrix are shared out: fixed blocks, contiguous runs of them per rank.
//
// Blocks do not depend on the number of ranks or threads: every sum over rows is taken block by
// block, so the same job gives the same bytes however it is spread.
#ifndef CALDERA_NUMERICS_DIST_ROW_PARTITION_H_
#define CALDERA_NUMERICS_DIST_ROW_PARTITION_H_

#include <algorithm>
#include <cstdint>

namespace caldera::dist {

class RowPartition {
 public:
  // `rows` in blocks of `block` rows (the last one shorter), over `ranks` ranks. When the blocks do
  // not divide evenly, the ranks from `first_extra` on (cyclically) get one more.
  RowPartition(std::int64_t rows, std::int64_t block, int ranks, int first_extra = 0)
      : rows_(rows), block_(block), ranks_(ranks), first_extra_(first_extra % ranks) {}

  std::int64_t rows() const { return rows_; }
  std::int64_t block_rows() const { return block_; }
  std::int64_t blocks() const { return (rows_ + block_ - 1) / block_; }

  // Blocks and rows of one rank.
  std::int64_t FirstBlock(int rank) const {
    std::int64_t first = 0;
    for (int before = 0; before < rank; ++before) first += BlockCount(before);
    return first;
  }
  std::int64_t BlockCount(int rank) const {
    const std::int64_t extra = blocks() % ranks_;
    const int place = (rank - first_extra_ + ranks_) % ranks_;
    return blocks() / ranks_ + (place < extra ? 1 : 0);
  }
  std::int64_t FirstRow(int rank) const { return std::min(rows_, FirstBlock(rank) * block_); }
  std::int64_t RowCount(int rank) const {
    return std::min(rows_, (FirstBlock(rank) + BlockCount(rank)) * block_) - FirstRow(rank);
  }

 private:
  std::int64_t rows_;
  std::int64_t block_;
  int ranks_;
  int first_extra_;
};

}  // namespace caldera::dist

#endif  // CALDERA_NUMERICS_DIST_ROW_PARTITION_H_
