#include "common/store/checkpoint_reader.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <utility>

#include "common/base/file.h"
#include "common/base/sha256.h"
#include "common/base/status.h"
#include "common/model/local_files.h"
#include "common/store/http_files.h"
#include "common/store/keys.h"
#include "common/store/open_files.h"
#include "common/store/s3_settings.h"
#include "common/store/safe_path.h"

namespace caldera::store {
namespace {

constexpr std::uint64_t kMaximumManifestBytes = std::uint64_t{256} << 20;
constexpr std::uint64_t kPieceBytes = std::uint64_t{8} << 20;

// The files of a checkpoint, wherever it lies. Errors name the file by its place; NOT_FOUND for one
// that is not there.
class CheckpointFiles {
 public:
  virtual ~CheckpointFiles() = default;
  virtual const std::string& place() const = 0;
  virtual absl::StatusOr<std::string> ReadText(const std::string& file) const = 0;
  virtual absl::StatusOr<std::uint64_t> Size(const std::string& file) const = 0;
  virtual absl::StatusOr<std::string> Digest(const std::string& file) const = 0;
  virtual absl::StatusOr<std::vector<std::string>> Names() const = 0;

  std::string NameOf(const std::string& file) const { return place() + "/" + file; }
};

// A directory; no symbolic link in it is followed.
class LocalFiles final : public CheckpointFiles {
 public:
  LocalFiles(std::string path, base::UniqueFd directory)
      : path_(std::move(path)), directory_(std::move(directory)) {}

  const std::string& place() const override { return path_; }
  absl::StatusOr<std::string> ReadText(const std::string& file) const override {
    return base::ReadFile(NameOf(file), kMaximumManifestBytes);
  }
  absl::StatusOr<std::uint64_t> Size(const std::string& file) const override {
    CALDERA_ASSIGN_OR_RETURN(const base::UniqueFd fd, Open(file));
    return SizeOfFd(fd.get(), NameOf(file));
  }
  absl::StatusOr<std::string> Digest(const std::string& file) const override {
    CALDERA_ASSIGN_OR_RETURN(const base::UniqueFd fd, Open(file));
    return DigestOfFd(fd.get(), NameOf(file));
  }
  absl::StatusOr<std::vector<std::string>> Names() const override {
    return NamesIn(directory_.get(), path_);
  }

 private:
  absl::StatusOr<base::UniqueFd> Open(const std::string& file) const {
    return OpenFileIn(directory_.get(), file, NameOf(file));
  }

  const std::string path_;
  const base::UniqueFd directory_;
};

// A bucket or a web server.
class RemoteFiles final : public CheckpointFiles {
 public:
  explicit RemoteFiles(std::unique_ptr<model::FileSet> files) : files_(std::move(files)) {}

  const std::string& place() const override { return files_->name(); }
  absl::StatusOr<std::string> ReadText(const std::string& file) const override {
    return model::ReadText(*files_, file, kMaximumManifestBytes);
  }
  absl::StatusOr<std::uint64_t> Size(const std::string& file) const override {
    CALDERA_ASSIGN_OR_RETURN(const auto source, files_->Open(file));
    return source->size();
  }
  absl::StatusOr<std::string> Digest(const std::string& file) const override {
    CALDERA_ASSIGN_OR_RETURN(const auto source, files_->Open(file));
    base::Sha256 digest;
    std::vector<std::byte> piece;
    for (std::uint64_t offset = 0; offset < source->size(); offset += piece.size()) {
      piece.resize(static_cast<std::size_t>(std::min(kPieceBytes, source->size() - offset)));
      CALDERA_RETURN_IF_ERROR(source->Read(offset, piece));
      digest.Update(piece);
    }
    return digest.HexDigest();
  }
  absl::StatusOr<std::vector<std::string>> Names() const override {
    CALDERA_ASSIGN_OR_RETURN(const auto entries, files_->List());
    std::vector<std::string> names;
    for (const auto& entry : entries) names.push_back(entry.name);
    return names;
  }

 private:
  const std::unique_ptr<model::FileSet> files_;
};

absl::Status NoCheckpoint(const std::string& place) {
  return base::NotFound("no checkpoint in {}: {} is missing", place, kManifestFile);
}

// Relative paths are fine here: a person named the directory.
absl::StatusOr<std::unique_ptr<CheckpointFiles>> OpenLocal(const std::string& directory) {
  std::string path = directory;
  if (directory.starts_with("file://")) {
    CALDERA_ASSIGN_OR_RETURN(path, PathOfFileUri(directory));
  }
  base::UniqueFd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd && (errno == ENOENT || errno == ENOTDIR)) return NoCheckpoint(path);
  if (!fd) return base::ErrnoToStatus(errno, path);
  return std::make_unique<LocalFiles>(std::move(path), std::move(fd));
}

absl::StatusOr<std::unique_ptr<CheckpointFiles>> OpenPlace(const std::string& directory) {
  if (!IsS3Uri(directory) && !IsHttpUri(directory)) return OpenLocal(directory);
  auto files = OpenFiles(directory);
  if (absl::IsNotFound(files.status())) return NoCheckpoint(directory);
  CALDERA_RETURN_IF_ERROR(files.status());
  return std::make_unique<RemoteFiles>(*std::move(files));
}

absl::StatusOr<Checkpoint> ReadManifest(const CheckpointFiles& files) {
  const auto json = files.ReadText(kManifestFile);
  if (absl::IsNotFound(json.status())) return NoCheckpoint(files.place());
  CALDERA_RETURN_IF_ERROR(json.status());
  CALDERA_ASSIGN_OR_RETURN(Manifest manifest, ParseManifest(*json, files.NameOf(kManifestFile)));
  return Checkpoint{files.place(), std::move(manifest), base::Sha256Hex(*json)};
}

enum class Depth { kSize, kDigest };

absl::Status CheckFile(const CheckpointFiles& files, const std::string& file,
                       const ObjectInfo& listed, Depth depth) {
  const std::string name = files.NameOf(file);
  CALDERA_ASSIGN_OR_RETURN(const std::uint64_t size, files.Size(file));
  if (size != listed.size) {
    return base::DataLoss("{}: {} bytes, the manifest says {}", name, size, listed.size);
  }
  if (depth == Depth::kSize) return absl::OkStatus();
  CALDERA_ASSIGN_OR_RETURN(const std::string digest, files.Digest(file));
  if (digest == listed.sha256) return absl::OkStatus();
  return base::DataLoss("{}: sha256 {}, the manifest says {}", name, digest, listed.sha256);
}

absl::Status ListExtraFiles(const CheckpointFiles& files, const Manifest& manifest,
                            VerifyReport& report) {
  CALDERA_ASSIGN_OR_RETURN(const std::vector<std::string> names, files.Names());
  for (const std::string& name : names) {
    const bool ours = name == kManifestFile || name == kRunFile;
    if (!ours && !manifest.files.contains(name)) report.extra.push_back(name);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<bool> HasManifest(const std::string& directory) {
  const auto files = OpenPlace(directory);
  if (absl::IsNotFound(files.status())) return false;
  CALDERA_RETURN_IF_ERROR(files.status());
  const absl::Status status = (*files)->Size(kManifestFile).status();
  if (absl::IsNotFound(status)) return false;
  CALDERA_RETURN_IF_ERROR(status);
  return true;
}

absl::StatusOr<Checkpoint> OpenCheckpoint(const std::string& directory) {
  CALDERA_ASSIGN_OR_RETURN(const auto files, OpenPlace(directory));
  CALDERA_ASSIGN_OR_RETURN(Checkpoint checkpoint, ReadManifest(*files));
  for (const auto& [file, listed] : checkpoint.manifest.files) {
    const absl::Status status = CheckFile(*files, file, listed, Depth::kSize);
    if (absl::IsNotFound(status)) {
      return base::DataLoss("{}: listed in the manifest but missing", files->NameOf(file));
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
  CALDERA_ASSIGN_OR_RETURN(const auto files, OpenPlace(directory));
  CALDERA_ASSIGN_OR_RETURN(const Checkpoint checkpoint, ReadManifest(*files));
  VerifyReport report;
  for (const auto& [file, listed] : checkpoint.manifest.files) {
    if (progress) progress(file);
    const absl::Status status = CheckFile(*files, file, listed, Depth::kDigest);
    if (absl::IsNotFound(status)) {
      report.missing.push_back(file);
    } else if (absl::IsDataLoss(status)) {
      report.corrupt.push_back(file);
    } else {
      CALDERA_RETURN_IF_ERROR(status);
      report.bytes_read += listed.size;
    }
  }
  CALDERA_RETURN_IF_ERROR(ListExtraFiles(*files, checkpoint.manifest, report));
  return report;
}

}  // namespace caldera::store
