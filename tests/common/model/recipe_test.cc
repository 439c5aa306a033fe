#include "common/model/recipe.h"

#include <gtest/gtest.h>

namespace caldera::model {
namespace {

constexpr base::Bits kFour(4);
constexpr base::Bits kEight(8);
constexpr base::Bits kSixteen(16);

std::string Default(const std::string& name, std::int64_t rank, base::Bits l, base::Bits r) {
  return ResolveCodebook(name, RecipeKind::kDefault, rank, l, r);
}

TEST(Recipe, HasAName) {
  for (const RecipeKind recipe : {RecipeKind::kDefault, RecipeKind::kPublished}) {
    const auto parsed = ParseRecipe(RecipeName(recipe));
    ASSERT_TRUE(parsed.ok());
    EXPECT_EQ(*parsed, recipe);
  }
  EXPECT_EQ(ParseRecipe("").value(), RecipeKind::kDefault);
  EXPECT_EQ(ParseRecipe("Default").status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(Recipe, ChoosesACodebookByTheFactors) {
  EXPECT_EQ(Default("", 64, kFour, kFour), "trellis-10");
  EXPECT_EQ(Default("", 64, kSixteen, kFour), "trellis-10");
  EXPECT_EQ(Default("", 64, kSixteen, kEight), "e8p");
  EXPECT_EQ(Default("", 0, kSixteen, kSixteen), "trellis-10");
  EXPECT_EQ(Default("trellis", 64, kSixteen, kSixteen), "trellis-12");
  EXPECT_EQ(Default("abc", 64, kFour, kFour), "abc");
}

TEST(Recipe, ThePublishedOneIsE8p) {
  EXPECT_EQ(ResolveCodebook("", RecipeKind::kPublished, 64, kFour, kFour), "e8p");
  EXPECT_EQ(ResolveCodebook("trellis-10", RecipeKind::kPublished, 64, kFour, kFour), "trellis-10");
}

}  // namespace
}  // namespace caldera::model
