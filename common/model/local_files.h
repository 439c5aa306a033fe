// ByteSource and FileSet over local files, and over memory (small generated files, tests).
//
// Thread rule: const methods may be called from several threads at once; files are read with pread,
// so there is no shared position. Errors: NOT_FOUND / PERMISSION_DENIED with the path when a file
// cannot be opened; the rest as common/model/byte_source.h says.
#ifndef CALDERA_COMMON_MODEL_LOCAL_FILES_H_
#define CALDERA_COMMON_MODEL_LOCAL_FILES_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/allowed_roots.h"
#include "common/model/byte_source.h"

namespace caldera::model {

// One regular file, open for reading until destruction. Its size is taken when it is opened.
class FileByteSource : public ByteSource {
 public:
  // INVALID_ARGUMENT when `path` is not a regular file, PERMISSION_DENIED when the file lies
  // outside `roots`.
  static absl::StatusOr<std::unique_ptr<ByteSource>> Open(const std::string& path,
                                                          const base::AllowedRoots& roots = {});
  ~FileByteSource() override;
  FileByteSource(const FileByteSource&) = delete;
  FileByteSource& operator=(const FileByteSource&) = delete;

  const std::string& name() const override { return path_; }
  std::uint64_t size() const override { return size_; }
  absl::Status Read(std::uint64_t offset, std::span<std::byte> out) const override;

 private:
  FileByteSource(std::string path, int descriptor, std::uint64_t size);

  const std::string path_;
  const int descriptor_;  // owned
  const std::uint64_t size_;
};

// The regular files directly inside a directory, or exactly one file.
class LocalFileSet : public FileSet {
 public:
  // `path` is a directory or a regular file; anything else is INVALID_ARGUMENT. Files outside
  // `roots` cannot be opened.
  static absl::StatusOr<std::unique_ptr<FileSet>> OpenPath(const std::string& path,
                                                           const base::AllowedRoots& roots = {});

  const std::string& name() const override { return path_; }
  absl::StatusOr<std::vector<Entry>> List() const override;
  absl::StatusOr<std::unique_ptr<ByteSource>> Open(const std::string& file) const override;

 private:
  LocalFileSet(std::string path, std::string directory, std::string only_file,
               base::AllowedRoots roots);

  const std::string path_;
  const std::string directory_;  // ends with '/'
  const std::string only_file_;  // empty: the whole directory
  const base::AllowedRoots roots_;
};

// Bytes held in memory, shared with whoever else holds them.
class MemoryByteSource : public ByteSource {
 public:
  using Bytes = std::shared_ptr<const std::vector<std::byte>>;
  MemoryByteSource(std::string name, Bytes bytes);
  MemoryByteSource(std::string name, std::vector<std::byte> bytes);

  const std::string& name() const override { return name_; }
  std::uint64_t size() const override { return bytes_->size(); }
  absl::Status Read(std::uint64_t offset, std::span<std::byte> out) const override;

 private:
  const std::string name_;
  const Bytes bytes_;
};

// Files held in memory. Put is not safe beside other calls; everything else is.
class MemoryFileSet : public FileSet {
 public:
  explicit MemoryFileSet(std::string name);

  // Adds or replaces a file; sources opened before keep the old bytes.
  void Put(const std::string& file, std::vector<std::byte> bytes);
  void Put(const std::string& file, const std::string& text);

  const std::string& name() const override { return name_; }
  absl::StatusOr<std::vector<Entry>> List() const override;
  absl::StatusOr<std::unique_ptr<ByteSource>> Open(const std::string& file) const override;

 private:
  const std::string name_;
  std::map<std::string, MemoryByteSource::Bytes> files_;
};

// Opens "file:///x" or a plain path: a directory, or one file (a GGUF) under its base name.
// INVALID_ARGUMENT for another scheme and for "file://host/...", PERMISSION_DENIED outside `roots`.
absl::StatusOr<std::unique_ptr<FileSet>> OpenLocalFiles(const std::string& uri_or_path,
                                                        const base::AllowedRoots& roots = {});

// The whole of a small text file. INVALID_ARGUMENT naming the file when it is over `limit` bytes.
absl::StatusOr<std::string> ReadText(const ByteSource& source, std::uint64_t limit);
absl::StatusOr<std::string> ReadText(const FileSet& files, const std::string& file,
                                     std::uint64_t limit);

}  // namespace caldera::model

#endif  // CALDERA_COMMON_MODEL_LOCAL_FILES_H_
