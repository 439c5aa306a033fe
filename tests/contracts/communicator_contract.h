// What every Communicator promises, as one suite: each rank calls CheckCommunicator with its own.
#ifndef CALDERA_TESTS_CONTRACTS_COMMUNICATOR_CONTRACT_H_
#define CALDERA_TESTS_CONTRACTS_COMMUNICATOR_CONTRACT_H_

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

#include "numerics/dist/communicator.h"

namespace caldera::contracts {

// `count` bytes that tell ranks apart.
inline std::vector<std::byte> BytesOf(int rank, std::size_t count) {
  std::vector<std::byte> bytes(count);
  for (std::size_t i = 0; i < count; ++i) {
    bytes[i] = static_cast<std::byte>((static_cast<std::size_t>(rank) * 37 + i * 11 + 5) & 255U);
  }
  return bytes;
}

inline void CheckRanks(dist::Communicator& communicator) {
  EXPECT_GE(communicator.size(), 1);
  EXPECT_GE(communicator.rank(), 0);
  EXPECT_LT(communicator.rank(), communicator.size());
  communicator.Barrier();
}

inline void CheckBroadcasts(dist::Communicator& communicator) {
  for (int root = 0; root < communicator.size(); ++root) {
    for (const std::size_t count : {0U, 1U, 1000U}) {
      std::vector<std::byte> bytes = BytesOf(communicator.rank(), count);
      communicator.Broadcast(bytes, root);
      EXPECT_EQ(bytes, BytesOf(root, count));
    }
  }
}

// Only root knows the length; what the others hold before does not matter.
inline void CheckBroadcastWhenReady(dist::Communicator& communicator) {
  for (int root = 0; root < communicator.size(); ++root) {
    for (const std::size_t count : {0U, 1U, 70000U}) {
      const bool sends = communicator.rank() == root;
      std::vector<std::byte> message = BytesOf(communicator.rank(), sends ? count : 3);
      communicator.BroadcastWhenReady(message, root);
      EXPECT_EQ(message, BytesOf(root, count));
    }
  }
}

// Integers add exactly, so the order of addition cannot show.
inline void CheckReductions(dist::Communicator& communicator) {
  const int size = communicator.size();
  for (const std::size_t count : {0U, 1U, 501U}) {
    std::vector<double> sums(count);
    std::vector<double> largest(count);
    for (std::size_t i = 0; i < count; ++i) {
      sums[i] = static_cast<double>(i) + communicator.rank();
      largest[i] = i % 2 == 0 ? communicator.rank() : -communicator.rank();
    }
    communicator.AllReduceSum(sums);
    communicator.AllReduceMax(largest);
    for (std::size_t i = 0; i < count; ++i) {
      EXPECT_EQ(sums[i], static_cast<double>(i) * size + size * (size - 1) / 2.0);
      EXPECT_EQ(largest[i], i % 2 == 0 ? size - 1 : 0);
    }
  }
}

// Rank r contributes `scale * r` bytes, so the first one contributes none.
inline void CheckGathers(dist::Communicator& communicator) {
  constexpr std::size_t kScale = 13;
  std::vector<std::byte> expected;
  for (int rank = 0; rank < communicator.size(); ++rank) {
    const auto part = BytesOf(rank, kScale * static_cast<std::size_t>(rank));
    expected.insert(expected.end(), part.begin(), part.end());
  }
  const auto mine =
      BytesOf(communicator.rank(), kScale * static_cast<std::size_t>(communicator.rank()));
  EXPECT_EQ(communicator.AllGather(mine), expected);
  for (int root = 0; root < communicator.size(); ++root) {
    const auto gathered = communicator.Gather(mine, root);
    EXPECT_EQ(gathered, communicator.rank() == root ? expected : std::vector<std::byte>());
  }
}

// Each sharer writes its places, all read the whole.
inline void CheckSharing(dist::Communicator& communicator) {
  for (const std::size_t count : {0U, 1U, 70000U}) {
    const auto shared = communicator.Share(count);
    EXPECT_TRUE(shared->place() == 0 || communicator.rank() != 0);
    ASSERT_LT(shared->place(), shared->sharers());
    ASSERT_LE(shared->sharers(), communicator.size());
    const auto bytes = shared->bytes();
    ASSERT_EQ(bytes.size(), count);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(bytes.data()) % alignof(std::max_align_t), 0U);
    EXPECT_EQ(std::vector<std::byte>(bytes.begin(), bytes.end()), std::vector<std::byte>(count));
    for (int round = 0; round < 2; ++round) {
      communicator.Barrier();
      const std::vector<std::byte> expected = BytesOf(round, count);
      for (auto i = static_cast<std::size_t>(shared->place()); i < count;
           i += static_cast<std::size_t>(shared->sharers())) {
        bytes[i] = expected[i];
      }
      shared->Publish();
      EXPECT_EQ(std::vector<std::byte>(bytes.begin(), bytes.end()), expected);
    }
  }
}

// Followers see the signal while rank 0 is in no call, and after it has been cleared no more, also
// those that never looked.
inline void CheckSignals(dist::Communicator& communicator) {
  EXPECT_FALSE(communicator.Signalled());
  communicator.ClearSignal();
  for (int round = 0; round < 3; ++round) {
    EXPECT_FALSE(communicator.Signalled());
    communicator.Barrier();
    if (communicator.rank() == 0) {
      communicator.Signal();
      communicator.Signal();
    }
    const bool looks = communicator.rank() == 0 || (communicator.rank() + round) % 2 == 0;
    while (looks && !communicator.Signalled()) std::this_thread::yield();
    communicator.ClearSignal();
    EXPECT_FALSE(communicator.Signalled());
  }
}

inline void CheckCommunicator(dist::Communicator& communicator) {
  CheckRanks(communicator);
  CheckBroadcasts(communicator);
  CheckBroadcastWhenReady(communicator);
  CheckReductions(communicator);
  CheckGathers(communicator);
  CheckSharing(communicator);
  CheckSignals(communicator);
}

}  // namespace caldera::contracts

#endif  // CALDERA_TESTS_CONTRACTS_COMMUNICATOR_CONTRACT_H_
