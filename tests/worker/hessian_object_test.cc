#include "worker/hessian_object.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "common/base/status.h"
#include "common/model/safetensors_writer.h"

namespace caldera::worker {
namespace {

using testing::AllOf;
using testing::HasSubstr;

decompose::HessianSum Sample(std::int64_t size) {
  decompose::HessianSum sum;
  sum.size = size;
  sum.tokens = 1000 + size;
  for (std::int64_t i = 0; i < size * (size + 1) / 2; ++i) {
    sum.packed_lower.push_back(0.375F * static_cast<float>(i) - 2);
  }
  return sum;
}

std::vector<std::byte> Encoded(std::int64_t size) { return EncodeHessian(Sample(size)).value(); }

// An object of this metadata with `values` float32 zeros.
std::vector<std::byte> Object(const std::map<std::string, std::string>& metadata,
                              const std::string& tensor, std::int64_t values) {
  model::SafetensorsTensor zeros;
  zeros.declaration = {tensor, model::Dtype::kF32, {values}};
  zeros.bytes.resize(static_cast<std::size_t>(values) * sizeof(float));
  return model::WriteSafetensors(metadata, {zeros}).value();
}

TEST(HessianObject, ReadsBackWhatWasWritten) {
  for (const std::int64_t size : {0, 1, 7}) {
    const auto decoded = DecodeHessian(Encoded(size), "sample");

    ASSERT_TRUE(decoded.ok()) << decoded.status();
    EXPECT_EQ(decoded->size, size);
    EXPECT_EQ(decoded->tokens, 1000 + size);
    EXPECT_EQ(decoded->packed_lower, Sample(size).packed_lower);
  }
}

TEST(HessianObject, HasOneEncoding) { EXPECT_EQ(Encoded(7), Encoded(7)); }

TEST(HessianObject, RejectsEveryTruncation) {
  const std::vector<std::byte> whole = Encoded(3);
  for (std::size_t length = 0; length < whole.size(); ++length) {
    const auto decoded = DecodeHessian({whole.begin(), whole.begin() + static_cast<long>(length)},
                                       "Hessian attn_in");
    ASSERT_TRUE(absl::IsDataLoss(decoded.status())) << length << ": " << decoded.status();
    EXPECT_THAT(base::MessageOf(decoded.status()), HasSubstr("Hessian attn_in"));
  }
}

TEST(HessianObject, DecodesOrNamesTheObjectWhateverBitIsFlipped) {
  const std::vector<std::byte> whole = Encoded(3);
  for (std::size_t bit = 0; bit < 8 * whole.size(); ++bit) {
    std::vector<std::byte> flipped = whole;
    flipped[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);

    const auto decoded = DecodeHessian(std::move(flipped), "Hessian attn_in");

    if (decoded.ok()) {
      EXPECT_EQ(decoded->size, 3) << bit;
      EXPECT_EQ(decoded->packed_lower.size(), 6) << bit;
    } else {
      EXPECT_TRUE(absl::IsDataLoss(decoded.status())) << bit << ": " << decoded.status();
      EXPECT_THAT(base::MessageOf(decoded.status()), HasSubstr("Hessian attn_in"));
    }
  }
}

TEST(HessianObject, NamesTheFormatItExpects) {
  for (const auto& metadata : std::vector<std::map<std::string, std::string>>{
           {}, {{"format", "caldera.hessian.v2"}, {"size", "1"}, {"tokens", "1"}}}) {
    const auto decoded = DecodeHessian(Object(metadata, "hessian", 1), "sample");
    EXPECT_TRUE(absl::IsDataLoss(decoded.status())) << decoded.status();
    EXPECT_THAT(base::MessageOf(decoded.status()),
                AllOf(HasSubstr("sample"), HasSubstr("caldera.hessian.v1")));
  }
}

TEST(HessianObject, NamesTheMetadataFieldThatIsNoNumber) {
  for (const std::string field : {"size", "tokens"}) {
    for (const std::string value : {"", "-1", "1x", " 1", "9999999999999999"}) {
      std::map<std::string, std::string> metadata = {
          {"format", "caldera.hessian.v1"}, {"size", "1"}, {"tokens", "1"}};
      metadata[field] = value;
      const auto decoded = DecodeHessian(Object(metadata, "hessian", 1), "sample");
      EXPECT_TRUE(absl::IsDataLoss(decoded.status())) << field << "=" << value;
      EXPECT_THAT(base::MessageOf(decoded.status()), HasSubstr("field " + field));
    }
  }
}

TEST(HessianObject, RejectsATensorThatDoesNotFitTheSize) {
  const std::map<std::string, std::string> metadata = {
      {"format", "caldera.hessian.v1"}, {"size", "3"}, {"tokens", "1"}};
  for (const auto& bytes : {Object(metadata, "hessian", 5), Object(metadata, "hessian", 9),
                            Object(metadata, "other", 6)}) {
    const auto decoded = DecodeHessian(bytes, "sample");
    EXPECT_TRUE(absl::IsDataLoss(decoded.status())) << decoded.status();
    EXPECT_THAT(base::MessageOf(decoded.status()), HasSubstr("does not fit size 3"));
  }
}

TEST(HessianObject, RejectsASizeWhoseTriangleWouldOverflow) {
  const auto bytes =
      Object({{"format", "caldera.hessian.v1"}, {"size", "999999999999999"}, {"tokens", "1"}},
             "hessian", 1);

  EXPECT_TRUE(absl::IsDataLoss(DecodeHessian(bytes, "sample").status()));
}

}  // namespace
}  // namespace caldera::worker
