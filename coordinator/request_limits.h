// Sizes of the fields of requests. A message as a whole is bounded by gRPC (rpc::ServerOptions).
#ifndef CALDERA_COORDINATOR_REQUEST_LIMITS_H_
#define CALDERA_COORDINATOR_REQUEST_LIMITS_H_

#include <google/protobuf/message.h>

#include "absl/status/status.h"

namespace caldera::coordinator {

// INVALID_ARGUMENT that names each field (as a path, "spec.calibration.uri") which is too long or
// holds control characters; reason INVALID_REQUEST. Texts have at most 4096 bytes and no control
// characters, lists at most 10,000 elements; the few fields that may be longer stand in the source.
// Works on any message by its descriptor: a new field is bounded without a word.
absl::Status CheckRequestLimits(const google::protobuf::Message& request);

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_REQUEST_LIMITS_H_
