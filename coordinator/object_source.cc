#include "coordinator/object_source.h"

#include <utility>

#include "common/base/status.h"
#include "common/model/local_files.h"

namespace caldera::coordinator {
namespace {

class ObjectSource : public model::ByteSource {
 public:
  ObjectSource(const store::CheckpointStore* store, store::ObjectInfo info)
      : store_(store), info_(std::move(info)), name_("object " + info_.sha256) {}

  const std::string& name() const override { return name_; }
  std::uint64_t size() const override { return info_.size; }
  absl::Status Read(std::uint64_t offset, std::span<std::byte> out) const override {
    return store_->ReadObject(info_.sha256, offset, out);
  }

 private:
  const store::CheckpointStore* const store_;
  const store::ObjectInfo info_;
  const std::string name_;
};

// An object of that size is read whole: its header and tensors would be many small reads.
constexpr std::uint64_t kSmall = std::uint64_t{256} << 10;

}  // namespace

absl::StatusOr<std::unique_ptr<model::ByteSource>> OpenObject(const store::CheckpointStore* store,
                                                              const std::string& sha256) {
  CALDERA_ASSIGN_OR_RETURN(store::ObjectInfo info, store->StatObject(sha256));
  if (info.size > kSmall) return std::make_unique<ObjectSource>(store, std::move(info));
  std::vector<std::byte> bytes(info.size);
  CALDERA_RETURN_IF_ERROR(store->ReadObject(sha256, 0, bytes));
  return std::make_unique<model::MemoryByteSource>("object " + sha256, std::move(bytes));
}

absl::StatusOr<std::unique_ptr<model::SafetensorsFile>> OpenSafetensorsObject(
    const store::CheckpointStore* store, const std::string& sha256) {
  CALDERA_ASSIGN_OR_RETURN(std::unique_ptr<model::ByteSource> source, OpenObject(store, sha256));
  absl::StatusOr<std::unique_ptr<model::SafetensorsFile>> file =
      model::SafetensorsFile::Open(std::move(source));
  if (!file.ok() && file.status().code() == absl::StatusCode::kInvalidArgument) {
    return base::DataLoss("{}", base::MessageOf(file.status()));
  }
  return file;
}

}  // namespace caldera::coordinator
