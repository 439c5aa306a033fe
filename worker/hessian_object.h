// A partial Hessian as a store object: docs/formats/hessian.md.
//
// safetensors with one tensor `hessian` F32 [n (n + 1) / 2], the packed lower triangle of the sum
// of x x^T, and metadata "format" = "caldera.hessian.v1", "size" = n, "tokens".
#ifndef CALDERA_WORKER_HESSIAN_OBJECT_H_
#define CALDERA_WORKER_HESSIAN_OBJECT_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "numerics/decompose/hessian.h"

namespace caldera::worker {

absl::StatusOr<std::vector<std::byte>> EncodeHessian(const decompose::HessianSum& hessian);

// `name` is what errors call it. DATA_LOSS for anything that EncodeHessian does not write.
absl::StatusOr<decompose::HessianSum> DecodeHessian(std::vector<std::byte> bytes,
                                                    const std::string& name);

}  // namespace caldera::worker

#endif  // CALDERA_WORKER_HESSIAN_OBJECT_H_
