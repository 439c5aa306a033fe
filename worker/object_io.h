// How rank 0 reads and writes store objects: straight, or streamed through the coordinator.
//
// Two implementations: DirectObjectIo over a CheckpointStore this host reaches, StreamedObjectIo
// over CheckpointService (1 MiB chunks with CRC32C, resumed where they broke). Thread rule: one
// thread at a time.
#ifndef CALDERA_WORKER_OBJECT_IO_H_
#define CALDERA_WORKER_OBJECT_IO_H_

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "caldera/v1/checkpoint.grpc.pb.h"
#include "caldera/v1/dispatch.pb.h"
#include "common/base/clock.h"
#include "common/store/checkpoint_store.h"
#include "worker/remote_files.h"

namespace caldera::worker {

// Where an object's bytes are being sent: what a writer of large files appends to.
class ObjectSink {
 public:
  virtual ~ObjectSink() = default;
  virtual absl::Status Append(std::span<const std::byte> bytes) = 0;
  // The object as the store knows it. No call may follow.
  virtual absl::StatusOr<v1::ObjectRef> Finish() = 0;
};

class ObjectIo {
 public:
  virtual ~ObjectIo() = default;
  // The whole object, checked against its digest (DATA_LOSS names it).
  virtual absl::StatusOr<std::vector<std::byte>> Read(const v1::ObjectRef& object) = 0;
  virtual absl::StatusOr<std::unique_ptr<ObjectSink>> Create() = 0;

  virtual absl::StatusOr<v1::ObjectRef> Write(std::span<const std::byte> bytes);
};

// For one lease; `store` must outlive it. An object written through the second is held in memory
// until Finish sends it.
std::unique_ptr<ObjectIo> MakeDirectObjectIo(store::CheckpointStore& store, const v1::Lease& lease);
std::unique_ptr<ObjectIo> MakeStreamedObjectIo(const CheckpointAccess& access,
                                               const v1::Lease& lease);

}  // namespace caldera::worker

#endif  // CALDERA_WORKER_OBJECT_IO_H_
