#include "coordinator/error_details.h"

#include <utility>

namespace caldera::coordinator {

absl::Status WithReason(absl::Status status, const std::string& reason,
                        const std::map<std::string, std::string>& metadata) {
  return rpc::WithErrorInfo(std::move(status), {reason, metadata});
}

absl::Status ViolationsToStatus(const std::vector<FieldViolation>& violations) {
  return WithReason(rpc::BadRequest(violations), kReasonInvalidSpec);
}

std::string ReasonOf(const absl::Status& status) {
  const auto info = rpc::GetErrorInfo(status);
  return info.has_value() ? info->reason : "";
}

}  // namespace caldera::coordinator
