// An object of any store, to be read from one end to the other: what a copy to elsewhere begins
// with.
#ifndef CALDERA_COMMON_STORE_OBJECT_BYTES_H_
#define CALDERA_COMMON_STORE_OBJECT_BYTES_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "absl/status/status.h"
#include "common/store/checkpoint_store.h"

namespace caldera::store {

struct ObjectBytes {
  ObjectInfo info;
  // Fills all of the span from an offset.
  std::function<absl::Status(std::uint64_t, std::span<std::byte>)> read;
};

// Gives the object to `sink` piece by piece (1 MiB) and hashes it on the way: DATA_LOSS at the end
// when the bytes are not those of the digest.
using ByteSink = std::function<absl::Status(std::span<const std::byte>)>;
absl::Status ReadWhole(const ObjectBytes& object, const ByteSink& sink);

}  // namespace caldera::store

#endif  // CALDERA_COMMON_STORE_OBJECT_BYTES_H_
