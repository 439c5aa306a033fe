#include "common/store/store_error.h"

#include <filesystem>
#include <system_error>

#include "common/base/status.h"

namespace caldera::store {

absl::Status StoreError(int error_number, const std::string& path) {
  return ToStoreError(base::ErrnoToStatus(error_number, path), path);
}

absl::Status ToStoreError(const absl::Status& status, const std::string& path) {
  if (absl::IsPermissionDenied(status)) return base::Unavailable("{}", base::MessageOf(status));
  if (!absl::IsResourceExhausted(status)) return status;
  const std::optional<std::uint64_t> free = FreeBytesAt(path);
  if (!free.has_value()) return status;
  return base::ResourceExhausted("{} ({} bytes free)", base::MessageOf(status), *free);
}

std::optional<std::uint64_t> FreeBytesAt(const std::string& path) {
  std::filesystem::path existing = path;
  std::error_code error;
  while (!std::filesystem::exists(existing, error) && existing.has_relative_path()) {
    existing = existing.parent_path();
  }
  const std::filesystem::space_info space = std::filesystem::space(existing, error);
  if (error) return std::nullopt;
  return space.available;
}

}  // namespace caldera::store
