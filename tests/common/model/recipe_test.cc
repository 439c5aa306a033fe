#include "common/model/recipe.h"

#include <gtest/gtest.h>

namespace caldera::model {
namespace {

TEST(Recipe, HasAName) {
  for (const RecipeKind recipe : {RecipeKind::kDefault, RecipeKind::kPublished}) {
    const auto parsed = ParseRecipe(RecipeName(recipe));
    ASSERT_TRUE(parsed.ok());
    EXPECT_EQ(*parsed, recipe);
  }
  EXPECT_EQ(ParseRecipe("").value(), RecipeKind::kDefault);
  EXPECT_EQ(ParseRecipe("Default").status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(Recipe, HasACodebookOfItsOwn) {
  EXPECT_EQ(ResolveCodebook("", RecipeKind::kDefault), "trellis-10");
  EXPECT_EQ(ResolveCodebook("", RecipeKind::kPublished), "e8p");
}

TEST(Recipe, LeavesNamedCodebooksAlone) {
  EXPECT_EQ(ResolveCodebook("trellis", RecipeKind::kDefault), "trellis-12");
  EXPECT_EQ(ResolveCodebook("abc", RecipeKind::kDefault), "abc");
  EXPECT_EQ(ResolveCodebook("trellis-10", RecipeKind::kPublished), "trellis-10");
}

}  // namespace
}  // namespace caldera::model
