// CALDERA as published (arXiv 2405.18886): the yardstick that the default recipe is measured
// against, not a good way to compress. Internal to numerics/decompose.
#ifndef CALDERA_NUMERICS_DECOMPOSE_PUBLISHED_RECIPE_H_
#define CALDERA_NUMERICS_DECOMPOSE_PUBLISHED_RECIPE_H_

#include "absl/status/status.h"
#include "numerics/decompose/context.h"
#include "numerics/decompose/recipe.h"

namespace caldera::decompose {

// 15 times (or problem.iterations) L R on W - Q by 10 inner alternations with plainly rounded
// factors, then Q on W - L R by block LDLQ with codewords of 8 columns, one scale for the whole
// matrix and 10 unguarded sweeps; with 16-bit factors both against the Hessian downdated by R.
// Rank 0: Q once. Every Q is offered to `best`. The header's axis is kColumns.
absl::Status RunPublishedRecipe(Context& context, const Problem& problem, BestIterate& best);

}  // namespace caldera::decompose

#endif  // CALDERA_NUMERICS_DECOMPOSE_PUBLISHED_RECIPE_H_
