// A store object as a ByteSource, so the safetensors reader opens it where it lies.
#ifndef CALDERA_COORDINATOR_OBJECT_SOURCE_H_
#define CALDERA_COORDINATOR_OBJECT_SOURCE_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/model/byte_source.h"
#include "common/model/safetensors.h"
#include "common/store/checkpoint_store.h"

namespace caldera::coordinator {

// Borrows the store, which outlives it. NOT_FOUND when there is no such object.
absl::StatusOr<std::unique_ptr<model::ByteSource>> OpenObject(const store::CheckpointStore* store,
                                                              const std::string& sha256);
// Its safetensors header; DATA_LOSS naming the object when it is no safetensors file.
absl::StatusOr<std::unique_ptr<model::SafetensorsFile>> OpenSafetensorsObject(
    const store::CheckpointStore* store, const std::string& sha256);

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_OBJECT_SOURCE_H_
