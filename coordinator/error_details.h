// The reasons that the coordinator's errors carry (google.rpc.ErrorInfo, domain "caldera"): clients
// and workers decide by them, people read the message. Conversion to the wire:
// common/rpc/status_conversion.h.
#ifndef CALDERA_COORDINATOR_ERROR_DETAILS_H_
#define CALDERA_COORDINATOR_ERROR_DETAILS_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/rpc/status_conversion.h"

namespace caldera::coordinator {

inline constexpr char kReasonStaleLease[] = "STALE_LEASE";              // another holds the unit
inline constexpr char kReasonStaleIncarnation[] = "STALE_INCARNATION";  // the worker was replaced
inline constexpr char kReasonUnknownWorker[] = "UNKNOWN_WORKER";        // Register first
inline constexpr char kReasonVersionMismatch[] = "VERSION_MISMATCH";    // worker and coordinator
inline constexpr char kReasonMissingToken[] = "MISSING_TOKEN";
inline constexpr char kReasonInvalidToken[] = "INVALID_TOKEN";
inline constexpr char kReasonExpiredToken[] = "EXPIRED_TOKEN";
inline constexpr char kReasonRoleNotPermitted[] = "ROLE_NOT_PERMITTED";
inline constexpr char kReasonTooManyRefusals[] = "TOO_MANY_REFUSALS";
inline constexpr char kReasonTooManyOpenJobs[] = "TOO_MANY_OPEN_JOBS";  // metadata: limit
inline constexpr char kReasonPlaceNotAllowed[] = "PLACE_NOT_ALLOWED";   // outside --allow-root
inline constexpr char kReasonInvalidRequest[] = "INVALID_REQUEST";      // a field is too long
inline constexpr char kReasonInvalidSpec[] = "INVALID_SPEC";
inline constexpr char kReasonJobNotFound[] = "JOB_NOT_FOUND";
inline constexpr char kReasonJobExists[] = "JOB_EXISTS";
inline constexpr char kReasonJobRunning[] = "JOB_RUNNING";
inline constexpr char kReasonJobNotResumable[] = "JOB_NOT_RESUMABLE";
inline constexpr char kReasonJobDrifted[] = "JOB_DRIFTED";  // metadata: field
inline constexpr char kReasonBadMatrix[] = "BAD_MATRIX";  // a committed object is not what it says

using rpc::FieldViolation;

// `status` with ErrorInfo {reason, metadata} attached; OK stays OK.
absl::Status WithReason(absl::Status status, const std::string& reason,
                        const std::map<std::string, std::string>& metadata = {});

// INVALID_ARGUMENT that lists every violation, as BadRequest and in the message, with reason
// INVALID_SPEC; OK when there is none.
absl::Status ViolationsToStatus(const std::vector<FieldViolation>& violations);

// The reason attached, "" when none.
std::string ReasonOf(const absl::Status& status);

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_ERROR_DETAILS_H_
