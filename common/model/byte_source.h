// Bytes by range: what a model, a text or a checkpoint is read through, wherever it lies.
//
// Two seams, each with real implementations: local files (common/model/local_files), the coordinator's
// CheckpointService.Read (worker/remote_files) and memory (tests). Thread rule: const methods are safe to
// call from several threads at once.
#ifndef CALDERA_COMMON_MODEL_BYTE_SOURCE_H_
#define CALDERA_COMMON_MODEL_BYTE_SOURCE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace caldera::model {

// One immutable sequence of bytes.
class ByteSource {
 public:
  virtual ~ByteSource() = default;

  // What error messages call it, for example "/models/x/model.safetensors".
  virtual const std::string& name() const = 0;
  virtual std::uint64_t size() const = 0;

  // Fills the whole of `out` from byte `offset`. OUT_OF_RANGE (naming the source) when
  // offset + out.size() > size(); DATA_LOSS when the source turns out shorter than it said.
  virtual absl::Status Read(std::uint64_t offset, std::span<std::byte> out) const = 0;
};

// A flat folder of byte sources: a Hugging Face directory, or one GGUF file under its base name.
class FileSet {
 public:
  struct Entry {
    std::string name;         // base name, no '/'
    std::uint64_t size = 0;   // bytes
  };
  virtual ~FileSet() = default;

  // What error messages call it: the directory or file.
  virtual const std::string& name() const = 0;
  // Sorted by name.
  virtual absl::StatusOr<std::vector<Entry>> List() const = 0;
  // NOT_FOUND naming set and file when there is none of that name.
  virtual absl::StatusOr<std::unique_ptr<ByteSource>> Open(const std::string& file) const = 0;
};

}  // namespace caldera::model

#endif  // CALDERA_COMMON_MODEL_BYTE_SOURCE_H_
