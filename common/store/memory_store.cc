#include "common/store/memory_store.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "common/base/sha256.h"
#include "common/base/status.h"
#include "common/base/uuid.h"
#include "common/store/keys.h"

namespace caldera::store {
namespace {

using Bytes = std::vector<std::byte>;

Bytes ToBytes(const std::string& text) {
  const auto bytes = std::as_bytes(std::span(text));
  return Bytes(bytes.begin(), bytes.end());
}

std::string ToText(const Bytes& bytes) {
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

}  // namespace

struct MemoryStore::State {
  base::Mutex mutex;
  std::uint64_t capacity ABSL_GUARDED_BY(mutex) = kUnlimited;
  std::uint64_t used ABSL_GUARDED_BY(mutex) = 0;
  std::map<std::string, Bytes> staging ABSL_GUARDED_BY(mutex);  // by "<label>-<uuid>"
  std::map<std::string, std::shared_ptr<Bytes>> objects ABSL_GUARDED_BY(mutex);
  std::map<std::string, Bytes> keys ABSL_GUARDED_BY(mutex);
  // (output URI, file); shared with `objects` when published from there.
  std::map<std::pair<std::string, std::string>, std::shared_ptr<Bytes>> published
      ABSL_GUARDED_BY(mutex);

  absl::Status Reserve(std::uint64_t bytes, const std::string& what)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    if (bytes > capacity - used) {
      return base::ResourceExhausted("{}: {} bytes do not fit, {} are left", what, bytes,
                                     capacity - used);
    }
    used += bytes;
    return absl::OkStatus();
  }

  absl::StatusOr<std::shared_ptr<Bytes>> Find(const std::string& sha256)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    const auto found = objects.find(sha256);
    if (found == objects.end()) return base::NotFound("object {}: no such object", sha256);
    return found->second;
  }

  void RemoveStaged(std::map<std::string, Bytes>::iterator staged)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    used -= staged->second.size();
    staging.erase(staged);
  }
};

class MemoryStore::Writer final : public ObjectWriter {
 public:
  Writer(std::weak_ptr<State> state, std::string name)
      : state_(std::move(state)), name_(std::move(name)) {}

  ~Writer() override {
    const std::shared_ptr<State> state = state_.lock();
    if (!state) return;
    base::MutexLock lock(state->mutex);
    const auto staged = state->staging.find(name_);
    if (staged != state->staging.end()) state->RemoveStaged(staged);
  }

  absl::Status Append(std::span<const std::byte> bytes) override {
    CALDERA_RETURN_IF_ERROR(broken_);
    broken_ = TryAppend(bytes);
    if (broken_.ok()) digest_.Update(bytes);
    if (broken_.ok()) size_ += bytes.size();
    return broken_;
  }

  std::uint64_t size() const override { return size_; }

  absl::StatusOr<ObjectInfo> Commit() override {
    CALDERA_RETURN_IF_ERROR(broken_);
    const std::shared_ptr<State> state = state_.lock();
    if (!state) return base::FailedPrecondition("{}: the store is gone", name_);
    base::MutexLock lock(state->mutex);
    const auto staged = state->staging.find(name_);
    if (staged == state->staging.end()) {
      return base::FailedPrecondition("{}: staging was removed", name_);
    }
    const ObjectInfo info{.sha256 = digest_.HexDigest(), .size = size_};
    std::shared_ptr<Bytes>& object = state->objects[info.sha256];
    if (object) {
      state->RemoveStaged(staged);
    } else {
      object = std::make_shared<Bytes>(std::move(staged->second));
      state->staging.erase(staged);
    }
    return info;
  }

 private:
  absl::Status TryAppend(std::span<const std::byte> bytes) {
    const std::shared_ptr<State> state = state_.lock();
    if (!state) return base::FailedPrecondition("{}: the store is gone", name_);
    base::MutexLock lock(state->mutex);
    const auto staged = state->staging.find(name_);
    if (staged == state->staging.end()) {
      return base::FailedPrecondition("{}: staging was removed", name_);
    }
    CALDERA_RETURN_IF_ERROR(state->Reserve(bytes.size(), name_));
    staged->second.insert(staged->second.end(), bytes.begin(), bytes.end());
    return absl::OkStatus();
  }

  const std::weak_ptr<State> state_;
  const std::string name_;
  base::Sha256 digest_;
  std::uint64_t size_ = 0;
  absl::Status broken_;
};

MemoryStore::MemoryStore(const std::string& name, std::uint64_t capacity)
    : uri_("memory://" + name), state_(std::make_shared<State>()) {
  base::MutexLock lock(state_->mutex);
  state_->capacity = capacity;
}

absl::StatusOr<std::unique_ptr<ObjectWriter>> MemoryStore::Stage(const std::string& label) {
  CALDERA_RETURN_IF_ERROR(ValidateKeyPart(label));
  const std::string name = label + "-" + base::NewUuid();
  base::MutexLock lock(state_->mutex);
  state_->staging[name] = {};
  return std::make_unique<Writer>(state_, name);
}

absl::Status MemoryStore::RemoveStaging(const std::string& label) {
  CALDERA_RETURN_IF_ERROR(ValidateKeyPart(label));
  base::MutexLock lock(state_->mutex);
  for (auto staged = state_->staging.begin(); staged != state_->staging.end();) {
    const auto next = std::next(staged);
    const std::string& name = staged->first;
    if (name.starts_with(label + "-") && base::IsUuid(name.substr(label.size() + 1))) {
      state_->RemoveStaged(staged);
    }
    staged = next;
  }
  return absl::OkStatus();
}

absl::StatusOr<ObjectInfo> MemoryStore::StatObject(const std::string& sha256) const {
  CALDERA_RETURN_IF_ERROR(ValidateDigest(sha256));
  base::MutexLock lock(state_->mutex);
  CALDERA_ASSIGN_OR_RETURN(const auto object, state_->Find(sha256));
  return ObjectInfo{.sha256 = sha256, .size = object->size()};
}

absl::Status MemoryStore::ReadObject(const std::string& sha256, std::uint64_t offset,
                                     std::span<std::byte> out) const {
  CALDERA_RETURN_IF_ERROR(ValidateDigest(sha256));
  base::MutexLock lock(state_->mutex);
  CALDERA_ASSIGN_OR_RETURN(const auto object, state_->Find(sha256));
  if (offset > object->size() || out.size() > object->size() - offset) {
    return base::OutOfRange("object {}: {} bytes from {} asked for, object has {}", sha256,
                            out.size(), offset, object->size());
  }
  std::copy_n(object->begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
  return absl::OkStatus();
}

absl::Status MemoryStore::VerifyObject(const std::string& sha256) const {
  CALDERA_RETURN_IF_ERROR(ValidateDigest(sha256));
  base::MutexLock lock(state_->mutex);
  CALDERA_ASSIGN_OR_RETURN(const auto object, state_->Find(sha256));
  const std::string digest = base::Sha256Hex(*object);
  if (digest == sha256) return absl::OkStatus();
  return base::DataLoss("object {}: stored bytes have the digest {}", sha256, digest);
}

absl::Status MemoryStore::RemoveObject(const std::string& sha256) {
  CALDERA_RETURN_IF_ERROR(ValidateDigest(sha256));
  base::MutexLock lock(state_->mutex);
  CALDERA_ASSIGN_OR_RETURN(const auto object, state_->Find(sha256));
  state_->objects.erase(sha256);
  // A published file may still hold the bytes.
  if (object.use_count() == 1) state_->used -= object->size();
  return absl::OkStatus();
}

absl::Status MemoryStore::WriteKey(const std::string& key, const std::string& bytes) {
  CALDERA_RETURN_IF_ERROR(ValidateKey(key));
  base::MutexLock lock(state_->mutex);
  for (const auto& [other, ignored] : state_->keys) {
    if (other != key && (KeyHasPrefix(other, key) || KeyHasPrefix(key, other))) {
      return base::FailedPrecondition("{}/{}: \"{}\" is a key, so it cannot hold or be held", uri_,
                                      key, other);
    }
  }
  CALDERA_RETURN_IF_ERROR(state_->Reserve(bytes.size(), uri_ + "/" + key));
  Bytes& stored = state_->keys[key];
  state_->used -= stored.size();
  stored = ToBytes(bytes);
  return absl::OkStatus();
}

absl::StatusOr<std::string> MemoryStore::ReadKey(const std::string& key) const {
  CALDERA_RETURN_IF_ERROR(ValidateKey(key));
  base::MutexLock lock(state_->mutex);
  const auto found = state_->keys.find(key);
  if (found == state_->keys.end()) return base::NotFound("{}/{}: no such key", uri_, key);
  return ToText(found->second);
}

absl::Status MemoryStore::RemoveKey(const std::string& key) {
  CALDERA_RETURN_IF_ERROR(ValidateKey(key));
  base::MutexLock lock(state_->mutex);
  const auto found = state_->keys.find(key);
  if (found == state_->keys.end()) return base::NotFound("{}/{}: no such key", uri_, key);
  state_->used -= found->second.size();
  state_->keys.erase(found);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> MemoryStore::ListKeys(const std::string& prefix) const {
  if (!prefix.empty()) CALDERA_RETURN_IF_ERROR(ValidateKey(prefix));
  std::vector<std::string> keys;
  base::MutexLock lock(state_->mutex);
  for (const auto& [key, ignored] : state_->keys) {
    if (KeyHasPrefix(key, prefix)) keys.push_back(key);
  }
  return keys;
}

absl::Status MemoryStore::Publish(const std::string& sha256, const std::string& output_uri,
                                  const std::string& file) {
  CALDERA_RETURN_IF_ERROR(ValidateKeyPart(file));
  CALDERA_RETURN_IF_ERROR(ValidateDigest(sha256));
  base::MutexLock lock(state_->mutex);
  CALDERA_ASSIGN_OR_RETURN(const auto object, state_->Find(sha256));
  std::shared_ptr<Bytes>& target = state_->published[{output_uri, file}];
  if (!target) target = object;
  if (*target == *object) return absl::OkStatus();
  return base::AlreadyExists("{}/{}: exists with other content", output_uri, file);
}

absl::Status MemoryStore::PublishBytes(const std::string& bytes, const std::string& output_uri,
                                       const std::string& file) {
  CALDERA_RETURN_IF_ERROR(ValidateKeyPart(file));
  base::MutexLock lock(state_->mutex);
  CALDERA_RETURN_IF_ERROR(state_->Reserve(bytes.size(), output_uri + "/" + file));
  std::shared_ptr<Bytes>& target = state_->published[{output_uri, file}];
  if (target && target.use_count() == 1) state_->used -= target->size();
  target = std::make_shared<Bytes>(ToBytes(bytes));
  return absl::OkStatus();
}

absl::StatusOr<std::uint64_t> MemoryStore::FreeBytes() const {
  base::MutexLock lock(state_->mutex);
  return state_->capacity - state_->used;
}

absl::StatusOr<std::string> MemoryStore::ReadPublished(const std::string& output_uri,
                                                       const std::string& file) const {
  base::MutexLock lock(state_->mutex);
  const auto found = state_->published.find({output_uri, file});
  if (found == state_->published.end()) {
    return base::NotFound("{}/{}: not published", output_uri, file);
  }
  return ToText(*found->second);
}

absl::Status MemoryStore::DamageObject(const std::string& sha256, std::uint64_t byte) {
  base::MutexLock lock(state_->mutex);
  CALDERA_ASSIGN_OR_RETURN(const auto object, state_->Find(sha256));
  if (byte >= object->size()) return base::OutOfRange("object {}: no byte {}", sha256, byte);
  (*object)[byte] ^= std::byte{1};
  return absl::OkStatus();
}

}  // namespace caldera::store
