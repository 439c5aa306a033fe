#include "common/model/recipe.h"

#include "common/base/status.h"
#include "common/model/compressed_matrix.h"

namespace caldera::model {

std::string_view RecipeName(RecipeKind recipe) {
  return recipe == RecipeKind::kPublished ? "published" : "default";
}

absl::StatusOr<RecipeKind> ParseRecipe(std::string_view name) {
  if (name.empty() || name == RecipeName(RecipeKind::kDefault)) return RecipeKind::kDefault;
  if (name == RecipeName(RecipeKind::kPublished)) return RecipeKind::kPublished;
  return base::InvalidArgument("recipe \"{}\" is unknown; use \"default\" or \"published\"", name);
}

std::string ResolveCodebook(const std::string& name, RecipeKind recipe) {
  if (name == "trellis") return "trellis-12";
  if (!name.empty()) return name;
  const bool published = recipe == RecipeKind::kPublished;
  return std::string(CodebookName(published ? CodebookKind::kE8P : CodebookKind::kTrellis10));
}

}  // namespace caldera::model
