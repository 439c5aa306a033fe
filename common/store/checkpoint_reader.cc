#include "common/store/checkpoint_reader.h"

#include <fcntl.h>

#include <cerrno>

#include "common/base/file.h"
#include "common/base/sha256.h"
#include "common/base/status.h"
#include "common/store/keys.h"
#include "common/store/safe_path.h"

namespace caldera::store {
namespace {

constexpr std::uint64_t kMaximumManifestBytes = std::uint64_t{256} << 20;

// Relative paths are fine here: a person named the directory.
absl::StatusOr<std::string> ToPath(const std::string& directory) {
  if (directory.starts_with("file://")) return PathOfFileUri(directory);
  return directory;
}

absl::StatusOr<Checkpoint> ReadManifest(const std::string& directory) {
  CALDERA_ASSIGN_OR_RETURN(const std::string path, ToPath(directory));
  const std::string file = path + "/" + kManifestFile;
  const auto json = base::ReadFile(file, kMaximumManifestBytes);
  if (absl::IsNotFound(json.status())) {
    return base::NotFound("no checkpoint in {}: {} is missing", path, kManifestFile);
  }
  CALDERA_RETURN_IF_ERROR(json.status());
  CALDERA_ASSIGN_OR_RETURN(Manifest manifest, ParseManifest(*json, file));
  return Checkpoint{path, std::move(manifest), base::Sha256Hex(*json)};
}

absl::StatusOr<base::UniqueFd> OpenDirectory(const std::string& path) {
  base::UniqueFd directory(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return base::ErrnoToStatus(errno, path);
  return directory;
}

enum class Depth { kSize, kDigest };

absl::Status CheckFile(int directory, const std::string& path, const std::string& file,
                       const ObjectInfo& listed, Depth depth) {
  const std::string name = path + "/" + file;
  CALDERA_ASSIGN_OR_RETURN(const base::UniqueFd fd, OpenFileIn(directory, file, name));
  CALDERA_ASSIGN_OR_RETURN(const std::uint64_t size, SizeOfFd(fd.get(), name));
  if (size != listed.size) {
    return base::DataLoss("{}: {} bytes, the manifest says {}", name, size, listed.size);
  }
  if (depth == Depth::kSize) return absl::OkStatus();
  CALDERA_ASSIGN_OR_RETURN(const std::string digest, DigestOfFd(fd.get(), name));
  if (digest == listed.sha256) return absl::OkStatus();
  return base::DataLoss("{}: sha256 {}, the manifest says {}", name, digest, listed.sha256);
}

absl::Status ListExtraFiles(int directory, const Checkpoint& checkpoint, VerifyReport& report) {
  CALDERA_ASSIGN_OR_RETURN(const std::vector<std::string> names,
                           NamesIn(directory, checkpoint.directory));
  for (const std::string& name : names) {
    const bool ours = name == kManifestFile || name == kRunFile;
    if (!ours && !checkpoint.manifest.files.contains(name)) report.extra.push_back(name);
  }
  return absl::OkStatus();
}

}  // namespace

bool HasManifest(const std::string& directory) {
  const auto path = ToPath(directory);
  return path.ok() && base::Exists(*path + "/" + kManifestFile);
}

absl::StatusOr<Checkpoint> OpenCheckpoint(const std::string& directory) {
  CALDERA_ASSIGN_OR_RETURN(Checkpoint checkpoint, ReadManifest(directory));
  CALDERA_ASSIGN_OR_RETURN(const base::UniqueFd fd, OpenDirectory(checkpoint.directory));
  for (const auto& [file, listed] : checkpoint.manifest.files) {
    const absl::Status status =
        CheckFile(fd.get(), checkpoint.directory, file, listed, Depth::kSize);
    if (absl::IsNotFound(status)) {
      return base::DataLoss("{}: listed in the manifest but missing",
                            checkpoint.directory + "/" + file);
    }
    CALDERA_RETURN_IF_ERROR(status);
  }
  return checkpoint;
}

absl::Status VerifyReport::status() const {
  const std::size_t bad = missing.size() + corrupt.size();
  if (bad == 0) return absl::OkStatus();
  const std::string more = bad == 1 ? "" : fmt::format(" ({} bad files in all)", bad);
  if (!corrupt.empty()) {
    return base::DataLoss("{}: its bytes are not those that were published{}", corrupt.front(),
                          more);
  }
  return base::DataLoss("{}: missing{}", missing.front(), more);
}

absl::StatusOr<VerifyReport> VerifyCheckpoint(const std::string& directory,
                                              const VerifyProgress& progress) {
  CALDERA_ASSIGN_OR_RETURN(const Checkpoint checkpoint, ReadManifest(directory));
  CALDERA_ASSIGN_OR_RETURN(const base::UniqueFd fd, OpenDirectory(checkpoint.directory));
  VerifyReport report;
  for (const auto& [file, listed] : checkpoint.manifest.files) {
    if (progress) progress(file);
    const absl::Status status =
        CheckFile(fd.get(), checkpoint.directory, file, listed, Depth::kDigest);
    if (absl::IsNotFound(status)) {
      report.missing.push_back(file);
    } else if (absl::IsDataLoss(status)) {
      report.corrupt.push_back(file);
    } else {
      CALDERA_RETURN_IF_ERROR(status);
      report.bytes_read += listed.size;
    }
  }
  CALDERA_RETURN_IF_ERROR(ListExtraFiles(fd.get(), checkpoint, report));
  return report;
}

}  // namespace caldera::store
