#include "common/rpc/token.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/time/clock.h"
#include "common/base/file.h"
#include "common/base/sha256.h"
#include "common/base/status.h"

namespace caldera::rpc {
namespace {

using testing::HasSubstr;
using testing::Not;

TokenRecord RecordOf(const std::string& id, Role role, const std::string& token) {
  TokenRecord record;
  record.id = id;
  record.role = role;
  record.sha256 = base::Sha256Hex(token);
  return record;
}

TEST(Token, IsThePrefixAnd64HexDigits) {
  const std::string token = NewToken(base::SeededEntropy(1));
  EXPECT_TRUE(IsToken(token));
  EXPECT_EQ(token.size(), 72U);
  EXPECT_NE(token, NewToken(base::SeededEntropy(2)));
  for (const std::string& bad :
       {std::string(), std::string("caldera_"), token + "0", token.substr(0, 71),
        "Caldera_" + token.substr(8), "caldera_" + std::string(64, 'A'), token.substr(8)}) {
    EXPECT_FALSE(IsToken(bad)) << bad;
  }
}

TEST(Token, ALineSaysAgainWhatItWasMadeFrom) {
  const std::string token = NewToken(base::SeededEntropy(1));
  TokenRecord record = RecordOf("alice@example.org", Role::kAdmin, token);
  record.expires = absl::FromUnixSeconds(1'900'000'000);
  const std::string line = FormatTokenLine(record);
  EXPECT_EQ(line, "alice@example.org admin sha256:" + record.sha256 + " 2030-03-17T17:46:40Z");
  const TokenTable table = TokenTable::Parse(line, "tokens").value();
  const TokenRecord* found = table.Find(token);
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->id, record.id);
  EXPECT_EQ(found->role, record.role);
  EXPECT_EQ(found->expires, record.expires);
}

TEST(Token, ALineWithoutATimeNeverExpires) {
  const std::string token = NewToken(base::SeededEntropy(1));
  const std::string line = FormatTokenLine(RecordOf("a", Role::kWorker, token));
  EXPECT_EQ(TokenTable::Parse(line, "tokens").value().Find(token)->expires, absl::InfiniteFuture());
}

TEST(TokenTable, KnowsItsTokensAndNoOthers) {
  const std::string first = NewToken(base::SeededEntropy(1));
  const std::string second = NewToken(base::SeededEntropy(2));
  const std::string text = "# people\n\n" + FormatTokenLine(RecordOf("a", Role::kUser, first)) +
                           "\r\n  " + FormatTokenLine(RecordOf("a", Role::kUser, second)) + "  \n";
  const TokenTable table = TokenTable::Parse(text, "tokens").value();
  EXPECT_EQ(table.size(), 2U);
  EXPECT_NE(table.Find(first), nullptr);
  EXPECT_NE(table.Find(second), nullptr);
  EXPECT_EQ(table.Find(NewToken(base::SeededEntropy(3))), nullptr);
  EXPECT_EQ(table.Find(""), nullptr);
  EXPECT_EQ(table.Find(base::Sha256Hex(first)), nullptr);
}

TEST(TokenTable, APasswordDoesNotBecomeATokenByItsHash) {
  const std::string line = FormatTokenLine(RecordOf("a", Role::kUser, "swordfish"));
  EXPECT_EQ(TokenTable::Parse(line, "tokens").value().Find("swordfish"), nullptr);
}

TEST(TokenTable, ABadLineIsNamedByItsNumberAndNotRepeated) {
  const std::string token = NewToken(base::SeededEntropy(1));
  const std::string hash = "sha256:" + base::Sha256Hex(token);
  const std::string too_long(65, 'a');
  for (const std::string& bad :
       {"alice user " + token, "alice root " + hash, token + " user " + hash, token,
        "alice user " + hash + " tomorrow", "alice user " + hash + " 2030-01-01T00:00:00Z more",
        "al/ice user " + hash, too_long + " user " + hash,
        "alice user sha256:" + std::string(64, 'F')}) {
    const absl::Status status = TokenTable::Parse("# one\n" + bad, "the file").status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << bad;
    EXPECT_THAT(base::MessageOf(status), HasSubstr("the file: line 2")) << bad;
    EXPECT_THAT(base::MessageOf(status), Not(HasSubstr(token.substr(8)))) << bad;
  }
}

class TokenFileTest : public testing::Test {
 protected:
  void Write(const std::string& text) { ASSERT_TRUE(base::WriteFile(path_, text).ok()); }
  std::string Line(const std::string& token) {
    return FormatTokenLine(RecordOf("a", Role::kUser, token)) + "\n";
  }

  const base::TempDirectory directory_ = base::TempDirectory::Create().value();
  const std::string path_ = directory_.path() + "/tokens";
  const std::string first_ = NewToken(base::SeededEntropy(1));
  const std::string second_ = NewToken(base::SeededEntropy(2));
};

TEST_F(TokenFileTest, FollowsItsFile) {
  Write(Line(first_));
  const auto file = TokenFile::Open(path_).value();
  EXPECT_EQ(file->Refresh().value(), TokenFile::Change::kNone);
  EXPECT_NE(file->table()->Find(first_), nullptr);
  Write(Line(second_));  // same length, perhaps within one tick of the file system's clock
  EXPECT_EQ(file->Refresh().value(), TokenFile::Change::kReloaded);
  EXPECT_EQ(file->table()->Find(first_), nullptr);
  EXPECT_NE(file->table()->Find(second_), nullptr);
  Write("");
  EXPECT_EQ(file->Refresh().value(), TokenFile::Change::kReloaded);
  EXPECT_EQ(file->table()->size(), 0U);
}

TEST_F(TokenFileTest, KeepsItsTokensWhileTheFileIsBadOrGone) {
  EXPECT_EQ(TokenFile::Open(path_).status().code(), absl::StatusCode::kNotFound);
  Write(Line(first_));
  const auto file = TokenFile::Open(path_).value();
  Write("nonsense");
  EXPECT_EQ(file->Refresh().status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(file->table()->Find(first_), nullptr);
  ASSERT_TRUE(base::RemoveTree(path_).ok());
  EXPECT_EQ(file->Refresh().status().code(), absl::StatusCode::kNotFound);
  EXPECT_NE(file->table()->Find(first_), nullptr);
  Write(Line(second_));
  EXPECT_EQ(file->Refresh().value(), TokenFile::Change::kReloaded);
}

TEST_F(TokenFileTest, AHolderOfTheOldTableMayGoOnReadingIt) {
  Write(Line(first_));
  const auto file = TokenFile::Open(path_).value();
  const auto table = file->table();
  const TokenRecord* record = table->Find(first_);
  Write("");
  ASSERT_TRUE(file->Refresh().ok());
  EXPECT_EQ(record->id, "a");
}

}  // namespace
}  // namespace caldera::rpc
