// What PrepareHessian hands to Decompose. Internal to numerics/decompose.
#ifndef CALDERA_NUMERICS_DECOMPOSE_HESSIAN_STATE_H_
#define CALDERA_NUMERICS_DECOMPOSE_HESSIAN_STATE_H_

#include "numerics/decompose/hessian.h"
#include "numerics/decompose/incoherence.h"
#include "numerics/dist/shared_matrix.h"

namespace caldera::decompose {

struct PreparedHessian::State {
  dist::SharedMatrix given;    // n x n, as the caller gave it: the reported error is measured in it
  dist::SharedMatrix rotated;  // n x n, rotated, divided by its mean diagonal, damped
  dist::SharedMatrix factor;   // n x n lower triangular C with C C^T = rotated, zero above
  Rotation input;
  double mean_diagonal = 0;  // of `given`; 1 where that is 0
  double damping = 0;        // added to the diagonal of the scaled matrix
};

}  // namespace caldera::decompose

#endif  // CALDERA_NUMERICS_DECOMPOSE_HESSIAN_STATE_H_
