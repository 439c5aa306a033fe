#include "numerics/dist/row_partition.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace caldera::dist {
namespace {

TEST(RowPartition, GivesEachRowToOneRankInOrder) {
  for (const std::int64_t rows : {0, 1, 63, 64, 65, 1000}) {
    for (int ranks = 1; ranks <= 5; ++ranks) {
      for (int first_extra = 0; first_extra < 6; ++first_extra) {
        const RowPartition partition(rows, 64, ranks, first_extra);
        std::int64_t next = 0;
        for (int rank = 0; rank < ranks; ++rank) {
          EXPECT_EQ(partition.FirstRow(rank), next);
          next += partition.RowCount(rank);
        }
        EXPECT_EQ(next, rows);
      }
    }
  }
}

TEST(RowPartition, StartsEachRankAtABlockAndBalancesBlocks) {
  const RowPartition partition(1000, 64, 3, 2);
  EXPECT_EQ(partition.blocks(), 16);
  EXPECT_EQ(partition.BlockCount(2), 6);
  for (int rank = 0; rank < 3; ++rank) {
    EXPECT_EQ(partition.FirstRow(rank) % 64, 0);
    EXPECT_GE(partition.BlockCount(rank), 5);
  }
}

}  // namespace
}  // namespace caldera::dist
