#include "client/secret_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "common/base/file.h"

namespace caldera::client {
namespace {

TEST(SecretFile, IsReadableByItsOwnerOnly) {
  const auto directory = base::TempDirectory::Create().value();
  const std::string path = directory.path() + "/secret";
  ASSERT_TRUE(WriteSecretFile(path, "x").ok());
  struct stat facts = {};
  ASSERT_EQ(stat(path.c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777, 0600U);
  EXPECT_EQ(base::ReadFile(path).value(), "x");
}

TEST(SecretFile, ReplacesNothing) {
  const auto directory = base::TempDirectory::Create().value();
  const std::string path = directory.path() + "/secret";
  ASSERT_TRUE(base::WriteFile(path, "old").ok());
  EXPECT_TRUE(absl::IsAlreadyExists(WriteSecretFile(path, "new")));
  EXPECT_EQ(base::ReadFile(path).value(), "old");
}

}  // namespace
}  // namespace caldera::client
