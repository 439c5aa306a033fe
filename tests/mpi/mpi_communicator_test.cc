// Run under mpirun with several ranks: the contracts of the communicator over real processes.
#include "numerics/dist/mpi_communicator.h"

#include <gtest/gtest.h>

#include <iostream>

#include "common/base/status.h"
#include "numerics/kernels/parallel.h"
#include "tests/contracts/communicator_contract.h"
#include "tests/contracts/row_coupling_contract.h"

namespace caldera::dist {
namespace {

// Set by main() before the tests run: MPI starts and ends once per process.
MpiSession* session = nullptr;

TEST(MpiCommunicator, KeepsTheContract) { contracts::CheckCommunicator(session->world()); }

TEST(MpiCommunicator, GivesTheBitsOfOneRank) {
  SerialCommunicator serial;
  for (const int threads : {1, 2}) {
    kernels::SetThreads(threads);
    for (const contracts::RowCase& size :
         {contracts::RowCase{1, 1, 1, 64}, contracts::RowCase{1000, 300, 70, 64}}) {
      EXPECT_EQ(contracts::RowCoupling(size, session->world()),
                contracts::RowCoupling(size, serial));
    }
  }
  kernels::SetThreads(1);
}

// All ranks of the test run on one host.
TEST(MpiCommunicator, RanksOfAHostShareOneCopy) {
  Communicator& world = session->world();
  const auto shared = world.Share(1 << 20);
  EXPECT_EQ(shared->sharers(), world.size());
  EXPECT_EQ(shared->place(), world.rank());
}

TEST(MpiSession, StartsOnlyOncePerProcess) {
  EXPECT_EQ(MpiSession::Start(nullptr, nullptr).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

}  // namespace

int RunUnderMpi(int argc, char** argv) {
  auto started = MpiSession::Start(&argc, &argv);
  if (!started.ok()) {
    std::cerr << base::MessageOf(started.status()) << "\n";
    return 1;
  }
  session = started->get();
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}

}  // namespace caldera::dist

int main(int argc, char** argv) { return caldera::dist::RunUnderMpi(argc, argv); }
