#include "common/store/s3_settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "common/base/file.h"
#include "common/base/status.h"

namespace caldera::store {
namespace {

using testing::HasSubstr;
using testing::Not;

using Variables = std::map<std::string, std::string>;

class S3SettingsTest : public testing::Test {
 protected:
  std::string Write(const std::string& file, const std::string& text) {
    const std::string path = home_.path() + "/" + file;
    EXPECT_TRUE(base::MakeDirectories(home_.path() + "/.aws").ok());
    EXPECT_TRUE(base::WriteFile(path, text).ok());
    return path;
  }
  absl::StatusOr<S3Settings> Read(Variables variables) {
    variables.emplace("HOME", home_.path());
    return ReadS3Settings([variables](const std::string& name) {
      const auto found = variables.find(name);
      return found == variables.end() ? std::string() : found->second;
    });
  }

  base::TempDirectory home_ = base::TempDirectory::Create().value();
};

const Variables kKeys = {{"AWS_ACCESS_KEY_ID", "AKID"}, {"AWS_SECRET_ACCESS_KEY", "hush"}};

Variables With(Variables more) {
  more.insert(kKeys.begin(), kKeys.end());
  return more;
}

TEST_F(S3SettingsTest, TakesKeysFromTheEnvironmentAndAmazonByDefault) {
  const auto settings = Read(With({{"AWS_SESSION_TOKEN", "token"}}));
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_EQ(settings->credentials, (S3Credentials{"AKID", "hush", "token"}));
  EXPECT_EQ(settings->region, "us-east-1");
  EXPECT_EQ(settings->endpoint, "https://s3.us-east-1.amazonaws.com");
  EXPECT_EQ(settings->addressing, S3Addressing::kVirtualHost);
}

TEST_F(S3SettingsTest, TakesAnEndpointAndItsRegion) {
  const auto settings = Read(With({{"AWS_ENDPOINT_URL", "https://elsewhere"},
                                   {"AWS_ENDPOINT_URL_S3", "http://127.0.0.1:7480/"},
                                   {"AWS_DEFAULT_REGION", "unused"},
                                   {"AWS_REGION", "eu-west-1"}}));
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_EQ(settings->endpoint, "http://127.0.0.1:7480");
  EXPECT_EQ(settings->region, "eu-west-1");
  EXPECT_EQ(settings->addressing, S3Addressing::kPath);
  EXPECT_EQ(Read(With({{"CALDERA_S3_ADDRESSING", "path"}}))->addressing, S3Addressing::kPath);
}

TEST_F(S3SettingsTest, ReadsTheDefaultProfileOfTheHomeDirectory) {
  Write(".aws/credentials",
        "# mine\n[default]\naws_access_key_id = A\naws_secret_access_key=S=/+\n"
        "[other]\naws_access_key_id = B\n");
  Write(".aws/config",
        "[default]\nregion = eu-north-1\ns3 =\n  addressing_style = path\n"
        "[profile other]\nregion = nowhere\n");
  const auto settings = Read({});
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_EQ(settings->credentials, (S3Credentials{"A", "S=/+", ""}));
  EXPECT_EQ(settings->region, "eu-north-1");
}

TEST_F(S3SettingsTest, ReadsANamedProfileOfNamedFiles) {
  const std::string keys =
      Write("keys",
            "[default]\naws_access_key_id=A\naws_secret_access_key=S\n"
            "[work]\naws_access_key_id=W\naws_secret_access_key=X\naws_session_token=T\n");
  const std::string config = Write("config", "[profile work]\nendpoint_url = http://127.0.0.1:9\n");
  const auto settings = Read({{"AWS_SHARED_CREDENTIALS_FILE", keys},
                              {"AWS_CONFIG_FILE", config},
                              {"AWS_PROFILE", "work"}});
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_EQ(settings->credentials, (S3Credentials{"W", "X", "T"}));
  EXPECT_EQ(settings->endpoint, "http://127.0.0.1:9");
}

TEST_F(S3SettingsTest, TheEnvironmentWinsOverFiles) {
  Write(".aws/credentials",
        "[default]\naws_access_key_id=A\naws_secret_access_key=S\naws_session_token=T\n");
  EXPECT_EQ(Read(kKeys)->credentials, (S3Credentials{"AKID", "hush", ""}));
}

TEST_F(S3SettingsTest, SaysWhereKeysWereLookedFor) {
  for (const Variables& variables :
       {Variables{}, Variables{{"AWS_ACCESS_KEY_ID", "AKID"}}, Variables{{"AWS_PROFILE", "x"}}}) {
    const absl::Status status = Read(variables).status();
    EXPECT_TRUE(absl::IsUnauthenticated(status)) << status;
    EXPECT_THAT(base::MessageOf(status), HasSubstr("AWS_SHARED_CREDENTIALS_FILE"));
  }
}

TEST_F(S3SettingsTest, NamesTheLineOfABrokenFileButNotWhatItSays) {
  Write(".aws/credentials", "[default]\nhush\n");
  const absl::Status status = Read({}).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(base::MessageOf(status), HasSubstr(".aws/credentials: line 2"));
  EXPECT_THAT(base::MessageOf(status), Not(HasSubstr("hush")));
}

TEST_F(S3SettingsTest, ANamedFileMustBeThere) {
  EXPECT_TRUE(absl::IsNotFound(Read({{"AWS_SHARED_CREDENTIALS_FILE", "/no/such"}}).status()));
}

TEST_F(S3SettingsTest, RefusesBadEndpointsAndAddressing) {
  for (const std::string endpoint :
       {"127.0.0.1:7480", "ftp://x", "http://", "http://host/path", "http://u:p@host"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(Read(With({{"AWS_ENDPOINT_URL", endpoint}})).status()))
        << endpoint;
  }
  EXPECT_TRUE(absl::IsInvalidArgument(Read(With({{"CALDERA_S3_ADDRESSING", "maybe"}})).status()));
}

TEST(S3Uri, HasABucketAndAKey) {
  EXPECT_EQ(ParseS3Uri("s3://bucket/a/b/").value(), (S3Location{"bucket", "a/b"}));
  EXPECT_EQ(ParseS3Uri("s3://my.bucket-1").value(), (S3Location{"my.bucket-1", ""}));
  EXPECT_EQ(ParseS3Uri("s3://bucket/a b").value().Below("c").Uri(), "s3://bucket/a b/c");
  EXPECT_EQ((S3Location{"bucket", ""}).Below("x"), (S3Location{"bucket", "x"}));
}

TEST(S3Uri, RefusesWhatIsNone) {
  for (const std::string uri :
       {"", "s3:/bucket", "s3://", "s3://ab", "s3://Bucket/x", "s3://bu..cket/x", "s3://.bucket",
        "s3://user@bucket/x", "s3://bucket/a//b", "s3://bucket/../x", "s3://bucket/a/./b",
        "s3://bucket/a\nb", "http://bucket/x"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseS3Uri(uri).status())) << uri;
  }
}

}  // namespace
}  // namespace caldera::store
