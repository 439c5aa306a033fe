#include "common/base/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "common/base/status.h"

namespace caldera::base {
namespace {

using Json = nlohmann::json;

class LogTest : public testing::Test {
 protected:
  Logger Make(LogFormat format, LogLevel minimum = LogLevel::kInfo) {
    return Logger::ToStream(stream_, {.format = format, .minimum = minimum, .clock = &clock_});
  }
  ManualClock clock_{absl::FromUnixMicros(1714564800123456)};
  std::ostringstream stream_;
};

TEST_F(LogTest, WritesOneJsonObjectPerLine) {
  const Logger log = Make(LogFormat::kJson).With({{"job", "j1"}, {"layer", 3}, {"rank", 0}});
  log.Info("done in {:.1f} s", 1.25);
  EXPECT_EQ(stream_.str(),
            "{\"time\":\"2024-05-01T12:00:00.123456Z\",\"level\":\"info\","
            "\"message\":\"done in 1.2 s\",\"job\":\"j1\",\"layer\":3,\"rank\":0}\n");
}

TEST_F(LogTest, WritesTextForPeople) {
  Make(LogFormat::kText).With({{"layer", 3}}).Warning("slow");
  EXPECT_EQ(stream_.str(), "12:00:00.123 warning slow layer=3\n");
}

TEST_F(LogTest, NoMessageCanForgeALine) {
  const std::string evil = "a\"}\n{\"level\":\"error\" \xFF";
  Make(LogFormat::kJson).With({{"job", evil}}).Error("{}", evil);
  Make(LogFormat::kText).With({{"job", evil}}).Error("{}", evil);
  const std::string lines = stream_.str();
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 2);
  const Json json = Json::parse(lines.substr(0, lines.find('\n')));
  EXPECT_EQ(json["message"], "a\"}\n{\"level\":\"error\" \xEF\xBF\xBD");
}

TEST_F(LogTest, LevelsBelowTheMinimumAreDropped) {
  const Logger log = Make(LogFormat::kText, LogLevel::kWarning);
  log.Debug("no");
  log.Info("no");
  log.Warning("yes");
  log.Error("yes");
  const std::string lines = stream_.str();
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 2);
  EXPECT_FALSE(log.Enabled(LogLevel::kInfo));
}

TEST_F(LogTest, LaterFieldsReplaceEarlierOnesInTheCopyOnly) {
  const Logger first = Make(LogFormat::kText).With({{"layer", 1}});
  const Logger second = first.With({{"layer", 2}, {"attempt", 1}});
  first.Info("x");
  second.Info("x");
  EXPECT_EQ(stream_.str(),
            "12:00:00.123 info    x layer=1\n12:00:00.123 info    x layer=2 attempt=1\n");
}

TEST_F(LogTest, HidesSecrets) {
  const Logger log =
      Make(LogFormat::kJson)
          .With({{"auth_token", "s3cret"}, {"Password", 1234}, {"header", "Bearer s3cret"}});
  log.Info("authorization: Bearer s3cret, again Bearer s3cret");
  EXPECT_THAT(stream_.str(), testing::Not(testing::HasSubstr("s3cret")));
  EXPECT_THAT(stream_.str(), testing::Not(testing::HasSubstr("1234,")));
  EXPECT_EQ(Json::parse(stream_.str())["message"], "authorization: Bearer ***, again Bearer ***");
}

TEST_F(LogTest, TheDefaultLoggerDiscards) {
  const Logger log;
  log.Error("nobody hears this");
  EXPECT_FALSE(log.With({{"a", 1}}).Enabled(LogLevel::kError));
}

TEST_F(LogTest, ThreadsDoNotMixTheirLines) {
  const Logger log = Make(LogFormat::kJson);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < 4; ++rank) {
    threads.emplace_back([mine = log.With({{"rank", rank}})] {
      for (int i = 0; i < 100; ++i) mine.Info("line {}", i);
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::istringstream lines(stream_.str());
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count)
    EXPECT_TRUE(Json::accept(line)) << line;
  EXPECT_EQ(count, 400);
}

TEST_F(LogTest, ParsesLevelNames) {
  EXPECT_EQ(ParseLogLevel("debug").value(), LogLevel::kDebug);
  EXPECT_EQ(ParseLogLevel("error").value(), LogLevel::kError);
  EXPECT_THAT(MessageOf(ParseLogLevel("loud").status()), testing::HasSubstr("loud"));
}

}  // namespace
}  // namespace caldera::base
