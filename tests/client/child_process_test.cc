#include "client/child_process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "absl/time/clock.h"
#include "common/base/file.h"
#include "common/base/status.h"

namespace caldera::client {
namespace {

using testing::HasSubstr;

class ChildProcessTest : public testing::Test {
 protected:
  std::string log() const { return directory_.path() + "/log"; }
  std::string ReadLog() const { return base::ReadFile(log()).value(); }
  absl::StatusOr<ChildProcess> Shell(const std::string& script) {
    return ChildProcess::Start({{"sh", "-c", script}, {"CALDERA_TEST_WORD=heard"}, log()});
  }
  static std::string AwaitEnd(ChildProcess& child) {
    while (!child.Poll()) absl::SleepFor(absl::Milliseconds(1));
    return DescribeWaitStatus(*child.Poll());
  }
  void AwaitLog(const std::string& text) const {
    while (ReadLog().find(text) == std::string::npos) absl::SleepFor(absl::Milliseconds(1));
  }

  const base::TempDirectory directory_ = base::TempDirectory::Create().value();
};

TEST_F(ChildProcessTest, TellsTheExitCode) {
  ChildProcess child = Shell("exit 3").value();
  EXPECT_EQ(AwaitEnd(child), "exit code 3");
  EXPECT_EQ(AwaitEnd(child), "exit code 3");
}

TEST_F(ChildProcessTest, TellsTheSignal) {
  ChildProcess child = Shell("kill -9 $$").value();
  EXPECT_EQ(AwaitEnd(child), "signal 9");
}

TEST_F(ChildProcessTest, NamesAProgramThatIsNotThere) {
  const auto child = ChildProcess::Start({{"/nowhere/caldera-worker", "x"}, {}, log()});

  EXPECT_TRUE(absl::IsNotFound(child.status())) << child.status();
  EXPECT_THAT(base::MessageOf(child.status()), HasSubstr("/nowhere/caldera-worker"));
}

TEST_F(ChildProcessTest, NamesALogThatCannotBeOpened) {
  const auto child = ChildProcess::Start({{"true"}, {}, directory_.path() + "/no/log"});

  EXPECT_TRUE(absl::IsNotFound(child.status())) << child.status();
  EXPECT_THAT(base::MessageOf(child.status()), HasSubstr("/no/log"));
}

TEST_F(ChildProcessTest, AppendsBothOutputsToTheLogAndAddsTheEnvironment) {
  for (const std::string script : {"echo $CALDERA_TEST_WORD", "echo again >&2"}) {
    ChildProcess child = Shell(script).value();
    EXPECT_EQ(AwaitEnd(child), "exit code 0");
  }

  EXPECT_EQ(ReadLog(), "heard\nagain\n");
}

TEST_F(ChildProcessTest, StopsAChildThatListensByTerm) {
  ChildProcess child = Shell("echo ready; exec sleep 1000").value();
  AwaitLog("ready");

  child.Stop(absl::Hours(1));

  EXPECT_EQ(DescribeWaitStatus(*child.Poll()), "signal 15");
}

TEST_F(ChildProcessTest, KillsAChildThatIgnoresTerm) {
  ChildProcess child = Shell("trap '' TERM; echo ready; while :; do sleep 0.01; done").value();
  AwaitLog("ready");

  child.Stop(absl::Milliseconds(20));

  EXPECT_EQ(DescribeWaitStatus(*child.Poll()), "signal 9");
}

TEST_F(ChildProcessTest, StopOfAChildThatHasEndedDoesNothing) {
  ChildProcess child = Shell("exit 3").value();
  AwaitEnd(child);

  child.Stop(absl::ZeroDuration());

  EXPECT_EQ(AwaitEnd(child), "exit code 3");
}

TEST_F(ChildProcessTest, StopsItsChildWhenItGoes) {
  pid_t pid = 0;
  {
    const ChildProcess child = Shell("exec sleep 1000").value();
    pid = child.pid();
    EXPECT_EQ(kill(pid, 0), 0);
  }

  EXPECT_EQ(kill(pid, 0), -1);
  EXPECT_EQ(errno, ESRCH);
}

TEST_F(ChildProcessTest, HandsTheChildOnWhenItIsMoved) {
  ChildProcess first = Shell("exec sleep 1000").value();
  const pid_t pid = first.pid();

  ChildProcess second = std::move(first);

  EXPECT_EQ(second.pid(), pid);
  EXPECT_FALSE(second.Poll());
}

// A parent that is killed has no time to stop its children; the kernel does it.
TEST_F(ChildProcessTest, EndsWithItsParent) {
  ASSERT_EQ(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
  const pid_t parent = fork();
  if (parent == 0) {
    const auto child = Shell("echo $$; exec sleep 1000");
    AwaitLog("\n");
    kill(getpid(), SIGKILL);
  }
  ASSERT_EQ(waitpid(parent, nullptr, 0), parent);
  const pid_t child = std::stoi(ReadLog());
  int status = 0;

  ASSERT_EQ(waitpid(child, &status, 0), child);  // it is ours now: we are the nearest reaper

  EXPECT_EQ(DescribeWaitStatus(status), "signal 15");
  prctl(PR_SET_CHILD_SUBREAPER, 0);
}

}  // namespace
}  // namespace caldera::client
