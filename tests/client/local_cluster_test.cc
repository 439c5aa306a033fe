#include "client/local_cluster.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "absl/time/clock.h"
#include "common/base/file.h"
#include "common/base/status.h"

namespace caldera::client {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::filesystem::path Self() { return std::filesystem::read_symlink("/proc/self/exe"); }

bool IsAlone() {
  const auto files = std::filesystem::directory_iterator(Self().parent_path());
  return std::distance(begin(files), end(files)) == 1;
}

// Runs this test again from a directory that holds nothing but this program, and tells how it
// ended.
std::string RunAlone(const std::string& test) {
  const auto directory = base::TempDirectory::Create(Self().parent_path().string()).value();
  const auto logs = base::TempDirectory::Create().value();
  const std::string program = directory.path() + "/client_test";
  std::filesystem::create_hard_link(Self(), program);
  ChildProcess child =
      ChildProcess::Start({{program, "--gtest_filter=" + test}, {}, logs.path() + "/log"}).value();
  while (!child.Poll()) absl::SleepFor(absl::Milliseconds(10));
  return DescribeWaitStatus(*child.Poll()) + "\n" + base::ReadFile(logs.path() + "/log").value();
}

TEST(LocalCluster, NamesTheProgramThatIsNotBesideThisOne) {
  if (!IsAlone()) {
    const std::string end = RunAlone("LocalCluster.NamesTheProgramThatIsNotBesideThisOne");
    EXPECT_THAT(end, AllOf(HasSubstr("exit code 0"), HasSubstr("PASSED  ] 1 test"))) << end;
    return;
  }
  const auto directory = base::TempDirectory::Create().value();
  LocalClusterOptions options;
  options.directory = directory.path() + "/cluster";

  const auto cluster = LocalCluster::Start(options);

  EXPECT_TRUE(absl::IsNotFound(cluster.status())) << cluster.status();
  EXPECT_THAT(base::MessageOf(cluster.status()),
              HasSubstr((Self().parent_path() / "caldera-coordinator").string()));
}

TEST(LocalCluster, NamesADirectoryThatCannotBeMade) {
  const auto directory = base::TempDirectory::Create().value();
  ASSERT_TRUE(base::WriteFile(directory.path() + "/file", "x").ok());
  LocalClusterOptions options;
  options.directory = directory.path() + "/file";

  const auto cluster = LocalCluster::Start(options);

  EXPECT_FALSE(cluster.ok());
  EXPECT_THAT(base::MessageOf(cluster.status()), HasSubstr(options.directory));
}

}  // namespace
}  // namespace caldera::client
