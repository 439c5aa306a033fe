#include "coordinator/commit_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "coordinator/memory_state_store.h"
#include "tests/coordinator/gated_store.h"

namespace caldera::coordinator {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Transition WorkerNamed(const std::string& id) {
  WorkerRecord worker;
  worker.id = base::WorkerId(id);
  Transition transition;
  transition.workers.push_back(worker);
  return transition;
}

// What an Await was told, if anything.
class Answer {
 public:
  CommitQueue::Done Done() {
    return [this](const absl::Status& status) {
      base::MutexLock lock(mutex_);
      status_ = status;
      changed_.NotifyAll();
    };
  }
  absl::Status Wait() {
    base::MutexLock lock(mutex_);
    while (!status_.has_value()) changed_.Wait(mutex_);
    return *status_;
  }
  bool given() {
    base::MutexLock lock(mutex_);
    return status_.has_value();
  }

 private:
  base::Mutex mutex_;
  base::ConditionVariable changed_;
  std::optional<absl::Status> status_ ABSL_GUARDED_BY(mutex_);
};

class CommitQueueTest : public testing::Test {
 protected:
  std::size_t StoredWorkers() { return memory_.Load()->workers.size(); }

  MemoryStateStore memory_;
  GatedStore gate_{&memory_};
};

TEST_F(CommitQueueTest, AnswersWhenTheTransitionIsDurableAndNotBefore) {
  CommitQueue queue(&gate_);
  gate_.Close();
  const CommitQueue::Position since = queue.position();
  ASSERT_TRUE(queue.Apply(WorkerNamed("a")).ok());
  Answer answer;
  queue.Await(since, answer.Done());
  gate_.AwaitWriter();
  EXPECT_FALSE(answer.given());
  gate_.Open();
  EXPECT_TRUE(answer.Wait().ok());
  EXPECT_EQ(StoredWorkers(), 1U);
}

TEST_F(CommitQueueTest, AnswersAtOnceWhenNothingWaits) {
  CommitQueue queue(&gate_);
  Answer answer;
  queue.Await(queue.position(), answer.Done());
  EXPECT_TRUE(answer.given());
}

TEST_F(CommitQueueTest, WritesTogetherWhatCameWhileItWrote) {
  CommitQueue queue(&gate_);
  gate_.Close();
  ASSERT_TRUE(queue.Apply(WorkerNamed("a")).ok());
  gate_.AwaitWriter();
  for (const char* id : {"b", "c", "d"}) ASSERT_TRUE(queue.Apply(WorkerNamed(id)).ok());
  gate_.Open();
  queue.Drain();
  EXPECT_THAT(gate_.batches(), ElementsAre(1U, 3U));
  EXPECT_EQ(StoredWorkers(), 4U);
}

TEST_F(CommitQueueTest, ALossIsToldToAllWhoWaitAndToThoseBehindThem) {
  CommitQueue queue(&gate_);
  gate_.Close();
  ASSERT_TRUE(queue.Apply(WorkerNamed("a")).ok());
  Answer first;
  queue.Await(0, first.Done());
  gate_.AwaitWriter();
  ASSERT_TRUE(queue.Apply(WorkerNamed("b")).ok());
  Answer second;
  queue.Await(1, second.Done());
  gate_.SetError(absl::ResourceExhaustedError("the disk is full"));
  gate_.Open();
  EXPECT_EQ(first.Wait().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(second.Wait().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(first.Wait().message()), HasSubstr("the disk is full"));
  EXPECT_EQ(StoredWorkers(), 0U);
}

TEST_F(CommitQueueTest, WhateverBrokeABatchItsCallersMayTryAgain) {
  CommitQueue queue(&gate_);
  gate_.SetError(absl::FailedPreconditionError("a fence of somebody else"));
  ASSERT_TRUE(queue.Apply(WorkerNamed("a")).ok());
  Answer answer;
  queue.Await(0, answer.Done());
  EXPECT_EQ(answer.Wait().code(), absl::StatusCode::kUnavailable);
}

TEST_F(CommitQueueTest, RefusesAfterALossUntilTheStateIsLoadedAgain) {
  CommitQueue queue(&gate_);
  Answer loss;
  queue.SetOnLoss(loss.Done());
  gate_.SetError(absl::UnavailableError("an I/O error"));
  ASSERT_TRUE(queue.Apply(WorkerNamed("a")).ok());
  EXPECT_EQ(loss.Wait().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(queue.Apply(WorkerNamed("b")).code(), absl::StatusCode::kUnavailable);
  // Who only reads must not be told what is lost, either.
  Answer reader;
  queue.Await(queue.position(), reader.Done());
  EXPECT_EQ(reader.Wait().code(), absl::StatusCode::kUnavailable);

  gate_.SetError(absl::OkStatus());
  ASSERT_TRUE(queue.Load().ok());
  const CommitQueue::Position since = queue.position();
  EXPECT_TRUE(queue.Apply(WorkerNamed("c")).ok());
  Answer answer;
  queue.Await(since, answer.Done());
  EXPECT_TRUE(answer.Wait().ok());
  EXPECT_EQ(StoredWorkers(), 1U);
}

TEST_F(CommitQueueTest, WritesWhatIsQueuedBeforeItGoes) {
  {
    CommitQueue queue(&gate_);
    for (int i = 0; i < 50; ++i) {
      ASSERT_TRUE(queue.Apply(WorkerNamed(std::to_string(i))).ok());
    }
  }
  EXPECT_EQ(StoredWorkers(), 50U);
}

}  // namespace
}  // namespace caldera::coordinator
