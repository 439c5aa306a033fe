#include "client/secret_file.h"

#include <fcntl.h>

#include <cerrno>
#include <span>

#include "common/base/file.h"
#include "common/base/status.h"

namespace caldera::client {

absl::Status WriteSecretFile(const std::string& path, const std::string& secret) {
  const base::UniqueFd out(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!out) return base::ErrnoToStatus(errno, path);
  return base::WriteAll(out.get(), std::as_bytes(std::span(secret)), path);
}

}  // namespace caldera::client
