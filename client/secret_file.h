// Files for secrets.
#ifndef CALDERA_CLIENT_SECRET_FILE_H_
#define CALDERA_CLIENT_SECRET_FILE_H_

#include <string>

#include "absl/status/status.h"

namespace caldera::client {

// A new file that only its owner can read, from its first moment on. ALREADY_EXISTS when there is
// something of that name.
absl::Status WriteSecretFile(const std::string& path, const std::string& secret);

}  // namespace caldera::client

#endif  // CALDERA_CLIENT_SECRET_FILE_H_
