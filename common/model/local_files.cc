#include "common/model/local_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "common/base/status.h"

namespace caldera::model {
namespace {

// OUT_OF_RANGE unless [offset, offset + count) lies within `source`.
absl::Status CheckRange(const ByteSource& source, std::uint64_t offset, std::size_t count) {
  if (offset <= source.size() && count <= source.size() - offset) return absl::OkStatus();
  return base::OutOfRange("{}: {} bytes at {} are beyond its {} bytes", source.name(), count,
                          offset, source.size());
}

absl::Status NoSuchFile(const FileSet& files, const std::string& file) {
  return base::NotFound("{}: no file \"{}\"", files.name(), file);
}

// False also for entries that vanished meanwhile.
bool IsRegular(const std::filesystem::directory_entry& entry) {
  std::error_code ignored;
  return entry.is_regular_file(ignored);
}

}  // namespace

FileByteSource::FileByteSource(std::string path, int descriptor, std::uint64_t size)
    : path_(std::move(path)), descriptor_(descriptor), size_(size) {}

FileByteSource::~FileByteSource() { ::close(descriptor_); }

absl::StatusOr<std::unique_ptr<ByteSource>> FileByteSource::Open(const std::string& path,
                                                                 const base::AllowedRoots& roots) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return base::ErrnoToStatus(errno, path);
  struct stat facts {};
  const int failed = ::fstat(descriptor, &facts) == 0 ? 0 : errno;
  // From here the object owns the descriptor, so every return closes it.
  std::unique_ptr<ByteSource> source(
      new FileByteSource(path, descriptor, static_cast<std::uint64_t>(facts.st_size)));
  if (failed != 0) return base::ErrnoToStatus(failed, path);
  if (!S_ISREG(facts.st_mode)) return base::InvalidArgument("{}: not a regular file", path);
  CALDERA_RETURN_IF_ERROR(roots.CheckOpenFile(descriptor, path));
  return source;
}

absl::Status FileByteSource::Read(std::uint64_t offset, std::span<std::byte> out) const {
  CALDERA_RETURN_IF_ERROR(CheckRange(*this, offset, out.size()));
  for (std::size_t done = 0; done < out.size();) {
    const ssize_t count = ::pread(descriptor_, out.data() + done, out.size() - done,
                                  static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return base::ErrnoToStatus(errno, path_);
    if (count == 0) {
      return base::DataLoss("{}: ends at {} bytes, had {} when opened", path_, offset + done,
                            size_);
    }
    done += static_cast<std::size_t>(count);
  }
  return absl::OkStatus();
}

LocalFileSet::LocalFileSet(std::string path, std::string directory, std::string only_file,
                           base::AllowedRoots roots)
    : path_(std::move(path)),
      directory_(std::move(directory)),
      only_file_(std::move(only_file)),
      roots_(std::move(roots)) {}

absl::StatusOr<std::unique_ptr<FileSet>> LocalFileSet::OpenPath(const std::string& path,
                                                                const base::AllowedRoots& roots) {
  CALDERA_RETURN_IF_ERROR(roots.CheckPath(path));
  struct stat facts {};
  if (::stat(path.c_str(), &facts) != 0) return base::ErrnoToStatus(errno, path);
  if (S_ISDIR(facts.st_mode)) {
    return std::unique_ptr<FileSet>(new LocalFileSet(path, path + "/", "", roots));
  }
  if (!S_ISREG(facts.st_mode)) {
    return base::InvalidArgument("{}: neither a directory nor a regular file", path);
  }
  const std::size_t slash = path.rfind('/');
  const std::size_t base_start = slash == std::string::npos ? 0 : slash + 1;
  return std::unique_ptr<FileSet>(
      new LocalFileSet(path, path.substr(0, base_start), path.substr(base_start), roots));
}

absl::StatusOr<std::vector<FileSet::Entry>> LocalFileSet::List() const {
  std::vector<Entry> entries;
  if (!only_file_.empty()) {
    CALDERA_ASSIGN_OR_RETURN(const auto source, Open(only_file_));
    entries.push_back({only_file_, source->size()});
    return entries;
  }
  std::error_code error;
  std::filesystem::directory_iterator at(directory_, error);
  for (const std::filesystem::directory_iterator end; !error && at != end; at.increment(error)) {
    std::error_code gone;
    const std::uint64_t size = IsRegular(*at) ? at->file_size(gone) : 0;
    if (!gone && IsRegular(*at)) entries.push_back({at->path().filename().string(), size});
  }
  if (error) return base::ErrnoToStatus(error.value(), path_);
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return a.name < b.name; });
  return entries;
}

absl::StatusOr<std::unique_ptr<ByteSource>> LocalFileSet::Open(const std::string& file) const {
  const bool plain = !file.empty() && file != "." && file != ".." &&
                     file.find('/') == std::string::npos && file.find('\0') == std::string::npos;
  if (!plain || (!only_file_.empty() && file != only_file_)) return NoSuchFile(*this, file);
  return FileByteSource::Open(directory_ + file, roots_);
}

MemoryByteSource::MemoryByteSource(std::string name, Bytes bytes)
    : name_(std::move(name)), bytes_(std::move(bytes)) {}

MemoryByteSource::MemoryByteSource(std::string name, std::vector<std::byte> bytes)
    : MemoryByteSource(std::move(name),
                       std::make_shared<const std::vector<std::byte>>(std::move(bytes))) {}

absl::Status MemoryByteSource::Read(std::uint64_t offset, std::span<std::byte> out) const {
  CALDERA_RETURN_IF_ERROR(CheckRange(*this, offset, out.size()));
  if (!out.empty()) std::memcpy(out.data(), bytes_->data() + offset, out.size());
  return absl::OkStatus();
}

MemoryFileSet::MemoryFileSet(std::string name) : name_(std::move(name)) {}

void MemoryFileSet::Put(const std::string& file, std::vector<std::byte> bytes) {
  files_[file] = std::make_shared<const std::vector<std::byte>>(std::move(bytes));
}

void MemoryFileSet::Put(const std::string& file, const std::string& text) {
  const auto bytes = std::as_bytes(std::span(text));
  Put(file, std::vector<std::byte>(bytes.begin(), bytes.end()));
}

absl::StatusOr<std::vector<FileSet::Entry>> MemoryFileSet::List() const {
  std::vector<Entry> entries;
  for (const auto& [file, bytes] : files_) entries.push_back({file, bytes->size()});
  return entries;
}

absl::StatusOr<std::unique_ptr<ByteSource>> MemoryFileSet::Open(const std::string& file) const {
  const auto found = files_.find(file);
  if (found == files_.end()) return NoSuchFile(*this, file);
  return std::make_unique<MemoryByteSource>(name_ + "/" + file, found->second);
}

absl::StatusOr<std::unique_ptr<FileSet>> OpenLocalFiles(const std::string& uri_or_path,
                                                        const base::AllowedRoots& roots) {
  const std::string scheme = "file://";
  if (uri_or_path.starts_with(scheme)) {
    const std::string path = uri_or_path.substr(scheme.size());
    if (path.starts_with('/')) return LocalFileSet::OpenPath(path, roots);
    return base::InvalidArgument("{}: a file URI has three slashes, file:///path", uri_or_path);
  }
  if (uri_or_path.find("://") != std::string::npos) {
    return base::InvalidArgument("{}: only file:// URIs and paths are local", uri_or_path);
  }
  return LocalFileSet::OpenPath(uri_or_path, roots);
}

absl::StatusOr<std::string> ReadText(const ByteSource& source, std::uint64_t limit) {
  if (source.size() > limit) {
    return base::InvalidArgument("{}: {} bytes, at most {} are accepted", source.name(),
                                 source.size(), limit);
  }
  std::string text(static_cast<std::size_t>(source.size()), '\0');
  CALDERA_RETURN_IF_ERROR(source.Read(0, std::as_writable_bytes(std::span(text))));
  return text;
}

absl::StatusOr<std::string> ReadText(const FileSet& files, const std::string& file,
                                     std::uint64_t limit) {
  CALDERA_ASSIGN_OR_RETURN(const auto source, files.Open(file));
  return ReadText(*source, limit);
}

}  // namespace caldera::model
