// How a job asks for its decomposition: names that users write and programs share. What a recipe
// does is the business of numerics/decompose.
#ifndef CALDERA_COMMON_MODEL_RECIPE_H_
#define CALDERA_COMMON_MODEL_RECIPE_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace caldera::model {

// kDefault: what measures best (docs/algorithms.md, "Recipes"). kPublished: CALDERA as its paper
// has it, the yardstick; E8P with whole q_bits only, codewords along rows.
enum class RecipeKind { kDefault, kPublished };

// "default", "published".
std::string_view RecipeName(RecipeKind recipe);
// "" is the default one. INVALID_ARGUMENT, naming the known ones, for another name.
absl::StatusOr<RecipeKind> ParseRecipe(std::string_view name);

// The name that a user's choice of codebook stands for: "trellis" is "trellis-12"; "" is what
// measures best (docs/decisions/0006-codes-of-q.md), "trellis-10", and "e8p" in the published
// recipe. Other names are returned as they are.
std::string ResolveCodebook(const std::string& name, RecipeKind recipe);

}  // namespace caldera::model

#endif  // CALDERA_COMMON_MODEL_RECIPE_H_
