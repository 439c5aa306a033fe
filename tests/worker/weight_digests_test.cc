#include "worker/weight_digests.h"

#include <gtest/gtest.h>

#include <numeric>

#include "common/base/crc32c.h"
#include "common/base/status.h"

namespace caldera::worker {
namespace {

// One 4 x 3 tensor "w" of 0, 1, ... 11, and a place to spoil it.
class SmallSource final : public model::TensorSource {
 public:
  explicit SmallSource(std::vector<float>* values) : values_(values) {
    infos_.push_back({"w", model::Dtype::kF32, {4, 3}, 48});
  }
  const std::string& name() const override { return name_; }
  const std::vector<model::TensorInfo>& tensors() const override { return infos_; }
  absl::Status ReadRows(const std::string& tensor, std::int64_t first_row, std::int64_t row_count,
                        std::span<float> out) const override {
    if (tensor != "w") return base::NotFound("{}", tensor);
    std::copy_n(values_->begin() + 3 * first_row, 3 * row_count, out.begin());
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<std::byte>> ReadRaw(const std::string&) const override {
    return base::Unimplemented("not asked for");
  }

 private:
  std::vector<float>* const values_;
  const std::string name_ = "small";
  std::vector<model::TensorInfo> infos_;
};

class DigestingSourceTest : public testing::Test {
 protected:
  DigestingSourceTest() { std::iota(values_.begin(), values_.end(), 0.0F); }
  void Read(std::int64_t first, std::int64_t count) {
    std::vector<float> out(static_cast<std::size_t>(3 * count));
    ASSERT_TRUE(source_.ReadRows("w", first, count, out).ok());
  }
  std::uint32_t Whole() const { return base::Crc32c(std::as_bytes(std::span(values_))); }

  std::vector<float> values_ = std::vector<float>(12);
  DigestingSource source_{std::make_unique<SmallSource>(&values_)};
};

TEST_F(DigestingSourceTest, IsTheSameInAnyPieces) {
  Read(0, 4);
  EXPECT_EQ(source_.DigestOf("w"), Whole());
  Read(0, 1);
  Read(1, 3);
  EXPECT_EQ(source_.DigestOf("w"), Whole());
}

TEST_F(DigestingSourceTest, ThereIsNoneBeforeAPassIsWhole) {
  EXPECT_EQ(source_.DigestOf("w"), std::nullopt);
  Read(0, 3);
  EXPECT_EQ(source_.DigestOf("w"), std::nullopt);
  Read(1, 1);  // by another reader: no part of the pass
  Read(3, 1);
  EXPECT_EQ(source_.DigestOf("w"), Whole());
  EXPECT_EQ(source_.DigestOf("other"), std::nullopt);
}

TEST_F(DigestingSourceTest, AnotherPassSeesWhatHasChanged) {
  Read(0, 4);
  values_[7] += 1;
  const auto before = source_.DigestOf("w");
  Read(0, 4);
  EXPECT_NE(source_.DigestOf("w"), before);
  EXPECT_EQ(source_.DigestOf("w"), Whole());
}

TEST_F(DigestingSourceTest, PassesErrorsOn) {
  std::vector<float> out(3);
  EXPECT_TRUE(absl::IsNotFound(source_.ReadRows("other", 0, 1, out)));
  EXPECT_TRUE(absl::IsUnimplemented(source_.ReadRaw("w").status()));
  EXPECT_EQ(source_.name(), "small");
}

}  // namespace
}  // namespace caldera::worker
