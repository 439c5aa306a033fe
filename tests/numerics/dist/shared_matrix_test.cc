#include "numerics/dist/shared_matrix.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "numerics/dist/thread_communicator.h"
#include "numerics/linalg/random.h"

namespace caldera::dist {
namespace {

linalg::MatrixF Normal(std::int64_t rows, std::int64_t columns) {
  linalg::MatrixF matrix(rows, columns);
  linalg::Random(1).FillNormal(matrix.view());
  return matrix;
}

void ExpectEqual(linalg::ConstViewF shared, linalg::ConstViewF expected) {
  ASSERT_EQ(shared.rows, expected.rows);
  ASSERT_EQ(shared.columns, expected.columns);
  for (std::int64_t i = 0; i < expected.rows; ++i) {
    for (std::int64_t j = 0; j < expected.columns; ++j) EXPECT_EQ(shared(i, j), expected(i, j));
  }
}

TEST(SharedMatrix, GivesEveryRankTheMatrixOfTheRoot) {
  for (const auto& [rows, columns] : {std::pair{0, 0}, {0, 3}, {1, 1}, {13, 7}}) {
    const linalg::MatrixF whole = Normal(rows, columns);
    RunRanks(3, [&](Communicator& communicator) {
      const bool root = communicator.rank() == 0;
      const SharedMatrix shared =
          SharedMatrix::FromRoot(root ? whole : linalg::MatrixF(), communicator);
      EXPECT_EQ(shared.IsFirst(), root);
      ExpectEqual(shared.view(), whole.view());
      communicator.Barrier();
    });
  }
}

// One longer than the pieces that it travels in.
TEST(SharedMatrix, TravelsInPieces) {
  linalg::MatrixF whole(3, (std::int64_t{16} << 20) / 2);
  for (std::int64_t i = 0; i < whole.rows(); ++i) {
    for (std::int64_t j = 0; j < whole.columns(); j += 1021)
      whole(i, j) = static_cast<float>(i + j);
  }
  SerialCommunicator serial;
  const SharedMatrix shared = SharedMatrix::FromRoot(whole, serial);
  for (std::int64_t i = 0; i < whole.rows(); ++i) {
    EXPECT_TRUE(std::equal(whole.row(i), whole.row(i) + whole.columns(), shared.view().row(i)));
  }
}

TEST(SharedMatrix, SplitsRowsBetweenSharers) {
  for (const std::int64_t rows : {0, 1, 2, 10}) {
    RunRanks(3, [&](Communicator& communicator) {
      SharedMatrix shared(rows, 1, communicator);
      shared.ForOwnRows([&](std::int64_t i) { shared.writable()(i, 0) += 1; });
      shared.Publish();
      for (std::int64_t i = 0; i < rows; ++i) EXPECT_EQ(shared.view()(i, 0), 1);
      communicator.Barrier();
    });
  }
}

TEST(SharedMatrix, IsEmptyAfterItMoved) {
  SerialCommunicator serial;
  SharedMatrix from(2, 3, serial);
  from.writable()(1, 2) = 5;
  const SharedMatrix to = std::move(from);
  EXPECT_EQ(to.view()(1, 2), 5);
  EXPECT_EQ(from.rows(), 0);  // NOLINT(bugprone-use-after-move)
  EXPECT_TRUE(from.view().empty());
}

}  // namespace
}  // namespace caldera::dist
