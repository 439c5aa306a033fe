// Distributed products on any Communicator: one case whose result must have the bits of the serial
// one.
#ifndef CALDERA_TESTS_CONTRACTS_ROW_COUPLING_CONTRACT_H_
#define CALDERA_TESTS_CONTRACTS_ROW_COUPLING_CONTRACT_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "numerics/dist/communicator.h"
#include "numerics/dist/row_partition.h"
#include "numerics/dist/tall_matrix.h"
#include "numerics/linalg/random.h"

namespace caldera::contracts {

struct RowCase {
  std::int64_t m;
  std::int64_t n;
  std::int64_t r;
  std::int64_t block;
};

// Everything that tall_matrix.h computes for a random case, as one list of doubles.
inline std::vector<double> RowCoupling(const RowCase& size, dist::Communicator& communicator) {
  const dist::RowPartition partition(size.m, size.block, communicator.size(), 1);
  const std::int64_t first = partition.FirstRow(communicator.rank());
  const std::int64_t count = partition.RowCount(communicator.rank());
  linalg::MatrixF l(count, size.r);
  linalg::MatrixF a(count, size.n);
  linalg::Random(1).FillNormal(l.view(), first);
  linalg::Random(2).FillNormal(a.view(), first);
  std::vector<double> results;
  const auto keep = [&](const linalg::MatrixD& matrix) {
    results.insert(results.end(), matrix.data(), matrix.data() + matrix.rows() * matrix.columns());
  };
  keep(dist::TransposeTimes(l.view(), a.view(), partition, communicator));
  keep(dist::Gram(l.view(), partition, communicator));
  results.push_back(dist::Dot(l.view(), l.view(), partition, communicator));
  results.push_back(dist::MaxAbs(a.view(), communicator));
  EXPECT_TRUE(dist::OrthonormalizeColumns(l.view(), partition, communicator).ok());
  keep(dist::Gram(l.view(), partition, communicator));
  keep(dist::TransposeTimes(l.view(), a.view(), partition, communicator));
  return results;
}

}  // namespace caldera::contracts

#endif  // CALDERA_TESTS_CONTRACTS_ROW_COUPLING_CONTRACT_H_
