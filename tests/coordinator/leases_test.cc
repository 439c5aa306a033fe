#include "coordinator/leases.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

#include "common/base/status.h"
#include "coordinator/error_details.h"

namespace caldera::coordinator {
namespace {

const absl::Time kStart = absl::FromUnixSeconds(1'000'000);

TaskRecord NewTask() {
  TaskRecord task;
  task.job = base::JobId("j");
  task.id = "compress-0";
  task.kind = TaskKind::kCompress;
  return task;
}

LeaseHolder Holder(const std::string& worker, const std::string& lease) {
  return {base::WorkerId(worker), worker + "-incarnation", base::LeaseId(lease)};
}

TaskRecord Leased(const LeasePolicy& policy) {
  return Grant(NewTask(), Holder("w1", "l1"), policy, kStart);
}

TEST(Leases, AGrantMakesAFenceAndADeadline) {
  const LeasePolicy policy;
  const TaskRecord task = Leased(policy);
  EXPECT_EQ(task.state, TaskState::kLeased);
  EXPECT_EQ(task.fence.attempt, 1);
  EXPECT_EQ(task.deadline, kStart + policy.lease);
  EXPECT_TRUE(CheckFence(task, {base::LeaseId("l1"), 1}).ok());
}

TEST(Leases, AStaleFenceIsRefusedWithAReason) {
  const TaskRecord task = Leased({});
  for (const Fence& stale : {Fence{base::LeaseId("l1"), 2}, Fence{base::LeaseId("l0"), 1}}) {
    const absl::Status status = CheckFence(task, stale);
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_EQ(ReasonOf(status), kReasonStaleLease);
  }
}

TEST(Leases, AHeartbeatMovesTheDeadlineButNeverBack) {
  const LeasePolicy policy;
  TaskRecord task = Leased(policy);
  task.deadline = kStart + absl::Hours(1);
  EXPECT_EQ(Renew(task, 1, policy, kStart).deadline, kStart + absl::Hours(1));
  const absl::Time late = kStart + absl::Hours(2);
  EXPECT_EQ(Renew(task, 1, policy, late).deadline, late + policy.lease);
}

TEST(Leases, ALeaseLapsesAtItsDeadlineAndNotBefore) {
  const LeasePolicy policy;
  const TaskRecord task = Leased(policy);
  EXPECT_FALSE(FindLapse(task, policy, task.deadline - absl::Milliseconds(1)).has_value());
  EXPECT_EQ(FindLapse(task, policy, task.deadline), LapseReason::kExpired);
}

TEST(Leases, HeartbeatsWithoutProgressStall) {
  const LeasePolicy policy;
  TaskRecord task = Renew(Leased(policy), 7, policy, kStart);
  for (absl::Time now = kStart; now < kStart + policy.stall_timeout; now += policy.heartbeat) {
    task = Renew(task, 7, policy, now);
    EXPECT_FALSE(FindLapse(task, policy, now).has_value());
  }
  task = Renew(task, 7, policy, kStart + policy.stall_timeout);
  EXPECT_EQ(FindLapse(task, policy, kStart + policy.stall_timeout), LapseReason::kStalled);
  const TaskRecord moved = Renew(task, 8, policy, kStart + policy.stall_timeout);
  EXPECT_FALSE(FindLapse(moved, policy, kStart + policy.stall_timeout).has_value());
}

TEST(Leases, ALateHolderMayStillCompleteUntilAnotherHasTheTask) {
  const LeasePolicy policy;
  const absl::Time late = kStart + absl::Hours(1);
  const TaskRecord lapsed = Lapse(Leased(policy), LapseReason::kExpired, late);
  const Fence first{base::LeaseId("l1"), 1};
  EXPECT_TRUE(CheckFence(lapsed, first).ok());
  EXPECT_EQ(Renew(lapsed, 1, policy, late).state, TaskState::kLeased);

  ASSERT_TRUE(MayGrant(lapsed, base::WorkerId("w2"), policy, late));
  const TaskRecord second = Grant(lapsed, Holder("w2", "l2"), policy, late);
  EXPECT_EQ(second.fence.attempt, 2);
  EXPECT_FALSE(CheckFence(second, first).ok());
}

// Held by w1 under l1 and, later, by w2 under l2.
TaskRecord Contested(const LeasePolicy& policy) {
  return GrantRival(Leased(policy), Holder("w2", "l2"), policy, kStart + absl::Seconds(50));
}
const Fence kFirst{base::LeaseId("l1"), 1};
const Fence kSecond{base::LeaseId("l2"), 2};

TEST(Rivals, BothHoldersPassTheFence) {
  const TaskRecord task = Contested({});
  EXPECT_EQ(task.state, TaskState::kLeased);
  EXPECT_TRUE(CheckFence(task, kFirst).ok());
  EXPECT_TRUE(CheckFence(task, kSecond).ok());
  EXPECT_FALSE(CheckFence(task, {base::LeaseId("l2"), 1}).ok());
  EXPECT_EQ(*FenceOfHolder(task, base::WorkerId("w1")), kFirst);
  EXPECT_EQ(*FenceOfHolder(task, base::WorkerId("w2")), kSecond);
  EXPECT_EQ(FenceOfHolder(task, base::WorkerId("w3")), nullptr);
}

TEST(Rivals, EachHolderSeesItsOwnLeaseFirst) {
  const LeasePolicy policy;
  const TaskRecord task = Contested(policy);
  const TaskRecord seen = SeenBy(task, kSecond);
  EXPECT_EQ(seen.worker, base::WorkerId("w2"));
  EXPECT_EQ(seen.deadline, kStart + absl::Seconds(50) + policy.lease);
  EXPECT_EQ(seen.rival->worker, base::WorkerId("w1"));
  EXPECT_EQ(SeenBy(task, kFirst).worker, base::WorkerId("w1"));
  EXPECT_EQ(SeenBy(seen, kFirst).rival->fence, kSecond);
}

TEST(Rivals, OnlyALeasedTaskOfAnotherWorkerGetsOneAndOnlyOne) {
  const LeasePolicy policy;
  const base::WorkerId other("w2");
  EXPECT_FALSE(MayGrantRival(NewTask(), other, policy));
  TaskRecord task = Leased(policy);
  EXPECT_TRUE(MayGrantRival(task, other, policy));
  EXPECT_FALSE(MayGrantRival(task, base::WorkerId("w1"), policy));
  EXPECT_FALSE(MayGrantRival(Contested(policy), base::WorkerId("w3"), policy));
  EXPECT_FALSE(MayGrantRival(Lapse(task, LapseReason::kExpired, kStart), other, policy));
  task.failures_of_worker["w2"] = 2;
  EXPECT_FALSE(MayGrantRival(task, other, policy));
}

TEST(Rivals, NoRivalIsGivenWhereTheFailureOfBothWouldPoisonTheUnit) {
  const LeasePolicy policy;
  TaskRecord task = Leased(policy);
  task.failures = policy.max_failures - 2;
  ASSERT_TRUE(MayGrantRival(task, base::WorkerId("w2"), policy));
  task = GrantRival(task, Holder("w2", "l2"), policy, kStart);
  task = Fail(task, base::Unavailable("x"), policy, kStart);
  EXPECT_FALSE(IsPoisoned(task, policy));
  EXPECT_FALSE(MayGrantRival(task, base::WorkerId("w3"), policy));
  EXPECT_TRUE(IsPoisoned(Fail(task, base::Unavailable("x"), policy, kStart), policy));
}

TEST(Rivals, WhenOneIsReleasedTheOtherGoesOn) {
  const TaskRecord task = Contested({});
  const TaskRecord second_left = Release(task);
  EXPECT_EQ(second_left.state, TaskState::kLeased);
  EXPECT_EQ(second_left.fence, kSecond);
  EXPECT_FALSE(CheckFence(second_left, kFirst).ok());
  const TaskRecord first_left = Release(SeenBy(task, kSecond));
  EXPECT_EQ(first_left.fence, kFirst);
  EXPECT_FALSE(CheckFence(first_left, kSecond).ok());
  EXPECT_EQ(Release(first_left).state, TaskState::kPending);
  EXPECT_EQ(ReleaseAll(task).state, TaskState::kPending);
}

TEST(Rivals, TheOneThatExpiresIsGoneForGood) {
  const LeasePolicy policy;
  const absl::Time late = kStart + policy.lease;
  const TaskRecord task = Contested(policy);
  EXPECT_EQ(FindLapse(task, policy, late), LapseReason::kExpired);
  EXPECT_FALSE(FindLapse(SeenBy(task, kSecond), policy, late).has_value());
  const TaskRecord left = Lapse(task, LapseReason::kExpired, late);
  EXPECT_EQ(left.state, TaskState::kLeased);
  EXPECT_EQ(left.worker, base::WorkerId("w2"));
  EXPECT_EQ(left.failures, 1);
  EXPECT_FALSE(CheckFence(left, kFirst).ok());
}

TEST(Rivals, AFailureIsThatOfItsWorker) {
  const LeasePolicy policy;
  const TaskRecord left =
      Fail(SeenBy(Contested(policy), kSecond), base::Internal("x"), policy, kStart);
  EXPECT_EQ(left.failures_of_worker, (std::map<std::string, int>{{"w2", 1}}));
  EXPECT_EQ(left.worker, base::WorkerId("w1"));
  EXPECT_EQ(left.state, TaskState::kLeased);
}

TEST(Rivals, TheFirstToCompleteEndsBoth) {
  const TaskRecord done = Complete(SeenBy(Contested({}), kSecond), kStart + absl::Seconds(80));
  EXPECT_EQ(done.state, TaskState::kDone);
  EXPECT_EQ(done.seconds, 30);
  EXPECT_FALSE(done.rival.has_value());
  EXPECT_TRUE(CheckFence(done, kSecond).ok());
  EXPECT_FALSE(CheckFence(done, kFirst).ok());
}

TEST(Rivals, AttemptsGoOnBeyondThatOfALostRival) {
  const LeasePolicy policy;
  TaskRecord task = Release(SeenBy(Contested(policy), kSecond));
  EXPECT_EQ(task.fence.attempt, 1);
  task = Release(task);
  EXPECT_EQ(Grant(task, Holder("w3", "l3"), policy, kStart).fence.attempt, 3);
}

TEST(Rivals, ARestartExtendsBothLeases) {
  const LeasePolicy policy;
  const absl::Time restart = kStart + absl::Hours(3);
  const TaskRecord task = ExtendAfterRestart(Contested(policy), policy, restart);
  for (const Fence& fence : {kFirst, kSecond}) {
    EXPECT_EQ(SeenBy(task, fence).deadline, restart + policy.restart_grace);
    EXPECT_FALSE(FindLapse(SeenBy(task, fence), policy, restart).has_value());
  }
}

TEST(Leases, AReleasedTaskKnowsNoFence) {
  const TaskRecord task = Release(Leased({}));
  EXPECT_EQ(task.state, TaskState::kPending);
  EXPECT_FALSE(CheckFence(task, {base::LeaseId("l1"), 1}).ok());
  EXPECT_FALSE(CheckFence(task, {base::LeaseId(), 1}).ok());
}

TEST(Leases, BackoffDoublesUpToItsLimit) {
  LeasePolicy policy;
  policy.max_failures = 100;
  policy.failures_before_exclusion = 100;
  policy.backoff_jitter = 0;
  TaskRecord task = NewTask();
  for (const int seconds : {30, 60, 120, 240, 480, 600, 600}) {
    task =
        Fail(Grant(task, Holder("w1", "l"), policy, kStart), base::Internal("x"), policy, kStart);
    EXPECT_EQ(task.not_before, kStart + absl::Seconds(seconds));
    EXPECT_FALSE(MayGrant(task, base::WorkerId("w1"), policy, task.not_before - absl::Seconds(1)));
    EXPECT_TRUE(MayGrant(task, base::WorkerId("w1"), policy, task.not_before));
  }
}

TEST(Leases, BackoffsOfUnitsThatFailTogetherDiffer) {
  const LeasePolicy policy;
  std::set<absl::Time> times;
  for (int i = 0; i < 50; ++i) {
    TaskRecord task = NewTask();
    task.id = "compress-" + std::to_string(i);
    task =
        Fail(Grant(task, Holder("w1", "l"), policy, kStart), base::Internal("x"), policy, kStart);
    EXPECT_GE(task.not_before, kStart + absl::Seconds(24));
    EXPECT_LE(task.not_before, kStart + absl::Seconds(36));
    times.insert(task.not_before);
  }
  EXPECT_EQ(times.size(), 50U);
  EXPECT_LT(*times.begin(), kStart + absl::Seconds(26));
  EXPECT_GT(*times.rbegin(), kStart + absl::Seconds(34));
}

TEST(Leases, AWorkerThatFailedAUnitTwiceGetsItNoMore) {
  const LeasePolicy policy;
  TaskRecord task = NewTask();
  for (int i = 0; i < 2; ++i) {
    task =
        Fail(Grant(task, Holder("w1", "l"), policy, kStart), base::Internal("x"), policy, kStart);
  }
  const absl::Time later = kStart + absl::Hours(1);
  EXPECT_FALSE(MayGrant(task, base::WorkerId("w1"), policy, later));
  EXPECT_TRUE(MayGrant(task, base::WorkerId("w2"), policy, later));
}

TEST(Leases, FiveFailuresPoisonAUnitUnlessSomethingBecameDurable) {
  const LeasePolicy policy;
  TaskRecord task = NewTask();
  for (int i = 0; i < 4; ++i) {
    task = Lapse(Grant(task, Holder("w1", "l"), policy, kStart), LapseReason::kExpired, kStart);
  }
  EXPECT_FALSE(IsPoisoned(task, policy));
  EXPECT_TRUE(IsPoisoned(
      Lapse(Grant(task, Holder("w1", "l"), policy, kStart), LapseReason::kExpired, kStart),
      policy));
  const TaskRecord moved = NoteProgressMade(task, kStart);
  EXPECT_FALSE(IsPoisoned(
      Lapse(Grant(moved, Holder("w1", "l"), policy, kStart), LapseReason::kExpired, kStart),
      policy));
}

TEST(Leases, AStalledHolderLosesItsFenceAndAnExpiredOneKeepsIt) {
  const LeasePolicy policy;
  const TaskRecord leased = Grant(NewTask(), Holder("w1", "l"), policy, kStart);
  const TaskRecord stalled = Lapse(leased, LapseReason::kStalled, kStart);
  EXPECT_EQ(stalled.state, TaskState::kPending);
  EXPECT_FALSE(CheckFence(stalled, leased.fence).ok());
  EXPECT_EQ(stalled.failures_of_worker.at("w1"), 1);
  EXPECT_TRUE(MayGrant(stalled, base::WorkerId("w1"), policy, kStart));
  EXPECT_TRUE(CheckFence(Lapse(leased, LapseReason::kExpired, kStart), leased.fence).ok());
}

TEST(Leases, OnlySomeErrorsAreWorthAnotherAttempt) {
  EXPECT_TRUE(IsPermanent(base::InvalidArgument("x")));
  EXPECT_TRUE(IsPermanent(base::DataLoss("x")));
  EXPECT_TRUE(IsPermanent(base::FailedPrecondition("x")));
  EXPECT_FALSE(IsPermanent(base::Unavailable("x")));
  EXPECT_FALSE(IsPermanent(base::Aborted("x")));
  EXPECT_FALSE(IsPermanent(base::ResourceExhausted("x")));
}

TEST(Leases, ARestartExtendsLiveLeasesByTheGrace) {
  const LeasePolicy policy;
  const absl::Time restart = kStart + absl::Hours(3);
  const TaskRecord extended = ExtendAfterRestart(Leased(policy), policy, restart);
  EXPECT_EQ(extended.deadline, restart + policy.restart_grace);
  EXPECT_FALSE(FindLapse(extended, policy, restart).has_value());
  EXPECT_EQ(ExtendAfterRestart(NewTask(), policy, restart).deadline, absl::InfinitePast());
}

TEST(Leases, CompletionIsRecognisedAgain) {
  const TaskRecord done = Complete(Leased({}), kStart + absl::Seconds(12));
  EXPECT_EQ(done.state, TaskState::kDone);
  EXPECT_EQ(done.seconds, 12);
  EXPECT_TRUE(CheckFence(done, {base::LeaseId("l1"), 1}).ok());
  EXPECT_FALSE(MayGrant(done, base::WorkerId("w2"), {}, kStart + absl::Hours(1)));
}

}  // namespace
}  // namespace caldera::coordinator
