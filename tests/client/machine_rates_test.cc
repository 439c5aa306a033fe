#include "client/machine_rates.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/status.h"

namespace caldera::client {
namespace {

using testing::AllOf;
using testing::HasSubstr;

const model::MachineRates kRates{1e11, 3e8, 2e8, 1e8, 6e6, 2e6};

std::string ErrorOf(const std::string& text) {
  const auto rates = ParseRates(text, "rates.json");
  EXPECT_EQ(rates.status().code(), absl::StatusCode::kInvalidArgument) << text;
  return base::MessageOf(rates.status());
}

TEST(MachineRates, AreMeasured) {
  const model::MachineRates rates = MeasureRates();
  EXPECT_TRUE(ParseRates(RatesToJson(rates).dump(), "measured").ok());
}

TEST(MachineRates, AreReadAsTheyWereWritten) {
  for (const Json& json :
       {RatesToJson(kRates), Json{{"name", "x"}, {"rates", RatesToJson(kRates)}}}) {
    const auto rates = ParseRates(json.dump(), "rates.json");
    ASSERT_TRUE(rates.ok()) << base::MessageOf(rates.status());
    EXPECT_EQ(RatesToJson(*rates), RatesToJson(kRates));
  }
}

TEST(MachineRates, NameTheFieldThatIsWrong) {
  const std::string whole = RatesToJson(kRates).dump();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_THAT(ErrorOf(whole.substr(0, size)), HasSubstr("rates.json")) << size;
  }
  EXPECT_THAT(ErrorOf("[1]"), HasSubstr("not a JSON object"));
  EXPECT_THAT(ErrorOf("{\"rates\": 3}"), HasSubstr("not a JSON object"));
  for (const Json& bad : {Json(0), Json(-1), Json("fast"), Json(nullptr)}) {
    Json json = RatesToJson(kRates);
    json["e8p_3"] = bad;
    EXPECT_THAT(ErrorOf(json.dump()), AllOf(HasSubstr("e8p_3"), HasSubstr("above 0")));
  }
  Json json = RatesToJson(kRates);
  json.erase("trellis_12");
  EXPECT_THAT(ErrorOf(json.dump()), HasSubstr("trellis_12 is missing"));
  json = RatesToJson(kRates);
  json["gpu"] = 1;
  EXPECT_THAT(ErrorOf(json.dump()), HasSubstr("gpu is unknown"));
}

}  // namespace
}  // namespace caldera::client
