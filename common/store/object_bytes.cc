#include "common/store/object_bytes.h"

#include <algorithm>
#include <vector>

#include "common/base/sha256.h"
#include "common/base/status.h"

namespace caldera::store {
namespace {

constexpr std::uint64_t kPieceBytes = std::uint64_t{1} << 20;

}  // namespace

absl::Status ReadWhole(const ObjectBytes& object, const ByteSink& sink) {
  base::Sha256 digest;
  std::vector<std::byte> piece;
  for (std::uint64_t offset = 0; offset < object.info.size; offset += piece.size()) {
    piece.resize(static_cast<std::size_t>(std::min(kPieceBytes, object.info.size - offset)));
    CALDERA_RETURN_IF_ERROR(object.read(offset, piece));
    digest.Update(piece);
    CALDERA_RETURN_IF_ERROR(sink(piece));
  }
  if (digest.HexDigest() == object.info.sha256) return absl::OkStatus();
  return base::DataLoss("object {}: stored bytes do not match the digest", object.info.sha256);
}

}  // namespace caldera::store
