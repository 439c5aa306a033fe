// The store in memory, with an optional capacity: for tests and for jobs that leave nothing behind.
#ifndef CALDERA_COMMON_STORE_MEMORY_STORE_H_
#define CALDERA_COMMON_STORE_MEMORY_STORE_H_

#include <limits>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/mutex.h"
#include "common/store/checkpoint_store.h"

namespace caldera::store {

// Published files go to directories of this store under any output URI. Objects are shared, not
// copied, by publishing. Writers may outlive the store; their Commit then fails.
class MemoryStore final : public CheckpointStore {
 public:
  static constexpr std::uint64_t kUnlimited = std::numeric_limits<std::uint64_t>::max();
  // uri() is "memory://<name>". `capacity` in bytes counts objects, staging, keys and published
  // bytes; beyond it writes fail with RESOURCE_EXHAUSTED.
  explicit MemoryStore(const std::string& name, std::uint64_t capacity = kUnlimited);

  const std::string& uri() const override { return uri_; }
  absl::StatusOr<std::unique_ptr<ObjectWriter>> Stage(const std::string& label) override;
  absl::Status RemoveStaging(const std::string& label) override;
  absl::StatusOr<ObjectInfo> StatObject(const std::string& sha256) const override;
  absl::Status ReadObject(const std::string& sha256, std::uint64_t offset,
                          std::span<std::byte> out) const override;
  absl::Status VerifyObject(const std::string& sha256) const override;
  absl::Status RemoveObject(const std::string& sha256) override;
  absl::Status WriteKey(const std::string& key, const std::string& bytes) override;
  absl::StatusOr<std::string> ReadKey(const std::string& key) const override;
  absl::Status RemoveKey(const std::string& key) override;
  absl::StatusOr<std::vector<std::string>> ListKeys(const std::string& prefix) const override;
  absl::Status Publish(const std::string& sha256, const std::string& output_uri,
                       const std::string& file) override;
  absl::Status PublishBytes(const std::string& bytes, const std::string& output_uri,
                            const std::string& file) override;
  absl::StatusOr<std::uint64_t> FreeBytes() const override;

  // A published file; NOT_FOUND names URI and file.
  absl::StatusOr<std::string> ReadPublished(const std::string& output_uri,
                                            const std::string& file) const;
  // Flips one bit of a stored object: what a failing disk does. For tests of those who verify.
  absl::Status DamageObject(const std::string& sha256, std::uint64_t byte);

 private:
  // Shared with the writers.
  struct State;
  class Writer;
  const std::string uri_;
  const std::shared_ptr<State> state_;
};

}  // namespace caldera::store

#endif  // CALDERA_COMMON_STORE_MEMORY_STORE_H_
