#include "common/model/calibration_text.h"

#include <gtest/gtest.h>

#include <numeric>

#include "common/base/status.h"
#include "common/model/local_files.h"
#include "common/model/tokenizer_json.h"

namespace caldera::model {
namespace {

using Ids = std::vector<std::int32_t>;

std::unique_ptr<Tokenizer> Letters(std::optional<bool> add_bos, std::vector<std::int32_t> eos) {
  TokenizerSettings settings;
  settings.add_bos = add_bos;
  settings.bos_id = 9;
  settings.eos_ids = std::move(eos);
  auto tokenizer = ParseTokenizerJson(
      R"({"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false},
          "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "c": 2, "z": 9}, "merges": []}})",
      "letters", settings);
  return *std::move(tokenizer);
}

absl::StatusOr<Ids> Tokenize(const std::string& name, const std::string& text,
                             const Tokenizer& tokenizer) {
  MemoryFileSet files("set");
  files.Put(name, text);
  return TokenizeFile(**files.Open(name), tokenizer);
}

Ids Counting(int count) {
  Ids ids(static_cast<std::size_t>(count));
  std::iota(ids.begin(), ids.end(), 0);
  return ids;
}

TEST(TokenizeFile, ReadsTextRecordsAndIds) {
  const auto tokenizer = Letters(false, {9});
  EXPECT_EQ(*Tokenize("t.txt", "abc", *tokenizer), (Ids{0, 1, 2}));
  EXPECT_EQ(*Tokenize("t.jsonl", "{\"text\":\"ab\"}\n\n{\"text\":\"c\",\"id\":1}\n", *tokenizer),
            (Ids{0, 1, 9, 2}));
  EXPECT_EQ(*Tokenize("t.ids", " 3 1\n9\t0", *tokenizer), (Ids{3, 1, 9, 0}));
  EXPECT_EQ(*Tokenize("t.txt", "", *tokenizer), Ids{});
  EXPECT_EQ(*Tokenize("t.ids", "", *tokenizer), Ids{});
}

TEST(TokenizeFile, NamesFileAndPlaceOfWhatIsWrong) {
  const auto tokenizer = Letters(false, {9});
  const auto message = [&](const std::string& name, const std::string& text) {
    return base::MessageOf(Tokenize(name, text, *tokenizer).status());
  };
  EXPECT_NE(message("t.txt", "ab\xFF").find("t.txt: invalid UTF-8 at byte 2"), std::string::npos);
  EXPECT_NE(message("t.jsonl", "{\"text\":\"a\"}\n{\"txt\":1}").find("t.jsonl line 2"),
            std::string::npos);
  EXPECT_NE(message("t.ids", "1 10").find("'10' at byte 2"), std::string::npos);
  EXPECT_NE(message("t.ids", "1x").find("'1x' at byte 0"), std::string::npos);
  EXPECT_EQ(Tokenize("t.jsonl", "", *Letters(false, {})).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST(CalibrationWindows, DrawsDistinctWindowsInFileOrderBySeed) {
  const auto tokenizer = Letters(false, {});
  const Ids text = Counting(103);
  const auto first = CalibrationWindows(text, *tokenizer, {4, 10, 1});
  const auto again = CalibrationWindows(text, *tokenizer, {4, 10, 1});
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(first->ids, again->ids);
  EXPECT_EQ(first->count(), 4);
  EXPECT_EQ(first->text_tokens, 103);
  for (std::int64_t i = 0; i < 4; ++i) {
    EXPECT_EQ(first->window(i)[0] % 10, 0);
    if (i > 0) {
      EXPECT_LT(first->window(i - 1)[0], first->window(i)[0]);
    }
  }
}

TEST(CalibrationWindows, KeepsItsDrawForAllTime) {
  const auto windows = CalibrationWindows(Counting(1000), *Letters(false, {}), {4, 10, 42});
  Ids starts;
  for (std::int64_t i = 0; i < windows->count(); ++i) starts.push_back(windows->window(i)[0]);
  EXPECT_EQ(starts, (Ids{160, 290, 360, 740}));
}

TEST(CalibrationWindows, TakesEveryWindowWhenAskedForAll) {
  const auto windows = CalibrationWindows(Counting(25), *Letters(false, {}), {2, 10, 7});
  EXPECT_EQ(windows->ids, Counting(20));
}

TEST(CalibrationWindows, CountsBosInsideTheWindow) {
  const auto windows = CalibrationWindows(Counting(6), *Letters(true, {}), {2, 4, 0});
  ASSERT_TRUE(windows.ok()) << windows.status();
  EXPECT_TRUE(windows->begins_with_bos);
  EXPECT_EQ(windows->ids, (Ids{9, 0, 1, 2, 9, 3, 4, 5}));
}

TEST(CalibrationWindows, SaysHowMuchIsMissing) {
  const auto windows = CalibrationWindows(Counting(25), *Letters(false, {}), {3, 10, 0});
  EXPECT_EQ(windows.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(base::MessageOf(windows.status()),
            "calibration text too short: 25 tokens give 2 windows of 10, asked for 3");
}

TEST(CalibrationWindows, RejectsOptionsOutOfDomain) {
  EXPECT_FALSE(CalibrationWindows(Counting(25), *Letters(false, {}), {0, 10, 0}).ok());
  EXPECT_FALSE(CalibrationWindows(Counting(25), *Letters(false, {}), {1, 1, 0}).ok());
}

TEST(EvaluationWindows, DropsTheRemainderAndRespectsTheLimit) {
  const auto tokenizer = Letters(false, {});
  EXPECT_EQ(EvaluationWindows(Counting(25), *tokenizer, {10, std::nullopt})->ids, Counting(20));
  EXPECT_EQ(EvaluationWindows(Counting(25), *tokenizer, {10, 19})->ids, Counting(10));
  EXPECT_FALSE(EvaluationWindows(Counting(25), *tokenizer, {10, 9}).ok());
  EXPECT_FALSE(EvaluationWindows(Counting(9), *tokenizer, {10, std::nullopt}).ok());
}

}  // namespace
}  // namespace caldera::model
