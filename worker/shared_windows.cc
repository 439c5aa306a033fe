#include "worker/shared_windows.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "common/base/status.h"
#include "worker/rank_group.h"

namespace caldera::worker {

absl::StatusOr<std::vector<llama::Window>> ShareWindows(TaskContext& context, int range,
                                                        int ranges) {
  absl::Status status;
  std::vector<std::byte> packed;
  if (context.leader != nullptr) {
    auto windows = context.leader->inputs.RangeWindows(context.lease, range, ranges);
    status = windows.status();
    if (windows.ok()) {
      for (const llama::Window& window : *windows) {
        const auto bytes = std::as_bytes(std::span(window));
        packed.insert(packed.end(), bytes.begin(), bytes.end());
      }
    }
  }
  CALDERA_RETURN_IF_ERROR(AgreeOnStatus(status, context.ranks));
  ShareBytes(packed, context.ranks);
  const auto length = static_cast<std::size_t>(context.lease.spec().calibration().seq_len());
  std::vector<llama::Window> windows(packed.size() / sizeof(std::int32_t) / length,
                                     llama::Window(length));
  for (std::size_t i = 0; i < windows.size(); ++i) {
    std::memcpy(windows[i].data(), packed.data() + i * length * sizeof(std::int32_t),
                length * sizeof(std::int32_t));
  }
  return windows;
}

}  // namespace caldera::worker
