#include "common/base/allowed_roots.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "common/base/file.h"
#include "common/base/status.h"

namespace caldera::base {
namespace {

using testing::HasSubstr;

class AllowedRootsTest : public testing::Test {
 protected:
  AllowedRootsTest() {
    std::filesystem::create_directories(inside("deep"));
    std::filesystem::create_directories(path("rootless"));
    EXPECT_TRUE(WriteFile(inside("file"), "x").ok());
    EXPECT_TRUE(WriteFile(path("secret"), "x").ok());
    roots_ = AllowedRoots::Make({path("root")}).value();
  }
  std::string path(const std::string& name) const { return directory_.path() + "/" + name; }
  std::string inside(const std::string& name) const { return path("root/" + name); }
  bool Allows(const std::string& place) const {
    const absl::Status status = roots_.CheckUri(place);
    if (!status.ok()) {
      EXPECT_TRUE(absl::IsPermissionDenied(status));
      EXPECT_THAT(MessageOf(status), HasSubstr(place.substr(place.rfind('/'))));
    }
    return status.ok();
  }

  const TempDirectory directory_ = TempDirectory::Create().value();
  AllowedRoots roots_;
};

TEST_F(AllowedRootsTest, WithoutRootsEverythingIsAllowed) {
  const AllowedRoots none;
  EXPECT_TRUE(none.empty());
  EXPECT_TRUE(none.CheckUri("/etc/passwd").ok());
  EXPECT_TRUE(none.CheckUri("s3://bucket/x").ok());
  EXPECT_TRUE(none.CheckOpenFile(-1, "/etc/passwd").ok());
}

TEST_F(AllowedRootsTest, AllowsTheRootAndWhatIsOrWillBeBelow) {
  for (const std::string& place :
       {path("root"), path("root/"), inside("file"), "file://" + inside("deep"),
        inside("deep/new/out"), directory_.path() + "/./root//file"}) {
    EXPECT_TRUE(Allows(place)) << place;
  }
}

TEST_F(AllowedRootsTest, RefusesWhatLiesElsewhere) {
  for (const std::string& place :
       {path("secret"), path("rootless"), path("roo"), directory_.path(), std::string("/"),
        std::string("/etc/passwd"), std::string("file:///etc/passwd"), inside("../secret"),
        inside("deep/../../secret"), inside(".."), inside("new/../file"),
        std::string("s3://bucket/x"), "https://host" + inside("file")}) {
    EXPECT_FALSE(Allows(place)) << place;
  }
  EXPECT_FALSE(roots_.CheckPath("root/file").ok());
  EXPECT_FALSE(roots_.CheckPath("").ok());
}

TEST_F(AllowedRootsTest, RefusesASymbolicLinkThatLeadsOut) {
  std::filesystem::create_symlink(path("secret"), inside("link"));
  std::filesystem::create_directory_symlink(directory_.path(), inside("up"));
  std::filesystem::create_symlink(path("absent"), inside("dangling"));
  for (const char* name : {"link", "up", "up/secret", "up/new", "dangling"}) {
    EXPECT_FALSE(Allows(inside(name))) << name;
  }
  std::filesystem::create_symlink(inside("file"), inside("good"));
  EXPECT_TRUE(Allows(inside("good")));
  EXPECT_TRUE(Allows(inside("up/root/file")));
}

TEST_F(AllowedRootsTest, ARootMayBeASymbolicLink) {
  std::filesystem::create_directory_symlink(path("root"), path("alias"));
  roots_ = AllowedRoots::Make({path("alias")}).value();
  EXPECT_TRUE(Allows(inside("file")));
  EXPECT_TRUE(Allows(path("alias/file")));
}

TEST_F(AllowedRootsTest, AnOpenFileIsWhereItLiesNotWhereItsNameLeads) {
  const std::string name = inside("swapped");
  std::filesystem::create_symlink(path("secret"), name);
  const UniqueFd out(open(name.c_str(), O_RDONLY | O_CLOEXEC));
  const UniqueFd in(open(inside("file").c_str(), O_RDONLY | O_CLOEXEC));
  std::filesystem::remove(name);
  std::filesystem::create_symlink(inside("file"), name);
  EXPECT_TRUE(roots_.CheckPath(name).ok());
  EXPECT_TRUE(absl::IsPermissionDenied(roots_.CheckOpenFile(out.get(), name)));
  EXPECT_TRUE(roots_.CheckOpenFile(in.get(), name).ok());
}

TEST_F(AllowedRootsTest, OtherUrisGoByTheirBeginning) {
  roots_ = AllowedRoots::Make({"s3://bucket/models/"}).value();
  EXPECT_TRUE(Allows("s3://bucket/models"));
  EXPECT_TRUE(Allows("s3://bucket/models/a"));
  for (const char* uri : {"s3://bucket/models2", "s3://bucket", "s3://bucket/models/../x",
                          "https://bucket/models/a", "/models"}) {
    EXPECT_FALSE(Allows(uri)) << uri;
  }
}

TEST_F(AllowedRootsTest, ARootMustBeADirectoryOrAUri) {
  EXPECT_TRUE(absl::IsNotFound(AllowedRoots::Make({path("absent")}).status()));
  for (const std::string& bad :
       {path("secret"), std::string("relative"), std::string(), std::string("file://relative")}) {
    EXPECT_TRUE(absl::IsInvalidArgument(AllowedRoots::Make({bad}).status())) << bad;
  }
}

}  // namespace
}  // namespace caldera::base
