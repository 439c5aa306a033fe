// Objects on their way from workers into the store, chunk by chunk, resumable while this process
// lives.
#ifndef CALDERA_COORDINATOR_UPLOADS_H_
#define CALDERA_COORDINATOR_UPLOADS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "caldera/v1/checkpoint.pb.h"
#include "common/base/mutex.h"
#include "common/rpc/write_message.h"
#include "common/store/checkpoint_store.h"
#include "coordinator/coordinator.h"

namespace caldera::coordinator {

// Thread-safe; one upload is written by one stream at a time, others wait for its chunk. Blocking.
class Uploads {
 public:
  explicit Uploads(Coordinator* coordinator) : coordinator_(coordinator) {}

  // Who writes what.
  struct Key {
    std::string upload_id;
    Fence fence;
  };

  // Takes one message of the upload. Chunks must follow each other, those it has already are passed
  // over: ABORTED names the expected offset, DATA_LOSS a wrong CRC, STALE_LEASE a lease that is
  // over. With `finish` the object is committed and returned; repeating the finished upload returns
  // it again.
  absl::StatusOr<std::optional<v1::ObjectRef>> Write(const Key& key,
                                                     const rpc::WriteMessage& message);
  // Bytes held so far; 0 for an unknown upload.
  absl::StatusOr<std::int64_t> CommittedSize(const Key& key);

  // Discards uploads whose lease is over. Call it now and then.
  void DropStale();

 private:
  struct Upload {
    Fence fence;
    base::Mutex mutex;
    std::unique_ptr<store::ObjectWriter> writer ABSL_GUARDED_BY(mutex);
    std::uint64_t size ABSL_GUARDED_BY(mutex) = 0;
    std::optional<v1::ObjectRef> object ABSL_GUARDED_BY(mutex);  // once finished
  };
  absl::StatusOr<std::shared_ptr<Upload>> Find(const Key& key);
  absl::StatusOr<v1::ObjectRef> Finish(Upload* upload) ABSL_EXCLUSIVE_LOCKS_REQUIRED(upload->mutex);

  Coordinator* const coordinator_;
  base::Mutex mutex_;
  std::map<std::string, std::shared_ptr<Upload>> uploads_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_UPLOADS_H_
