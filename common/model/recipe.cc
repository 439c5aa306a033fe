#include "common/model/recipe.h"

#include <algorithm>

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

std::string ResolveCodebook(const std::string& name, RecipeKind recipe, std::int64_t rank,
                            base::Bits l_bits, base::Bits r_bits) {
  if (name == "trellis") return "trellis-12";
  if (!name.empty()) return name;
  const bool coarse = rank == 0 || std::min(l_bits, r_bits) == base::Bits(4);
  const bool trellis = coarse && recipe == RecipeKind::kDefault;
  return std::string(CodebookName(trellis ? CodebookKind::kTrellis10 : CodebookKind::kE8P));
}

}  // namespace caldera::model
