#include "numerics/llama/on_ranks.h"

#include <cstddef>
#include <cstring>
#include <string>
#include <vector>

#include "common/base/status.h"

namespace caldera::llama {

absl::Status ShareStatus(const absl::Status& status, dist::Communicator& communicator) {
  std::vector<std::byte> message;
  if (communicator.rank() == 0) {
    const std::string text = base::MessageOf(status);
    message.resize(1 + text.size());
    message[0] = static_cast<std::byte>(status.code());
    std::memcpy(message.data() + 1, text.data(), text.size());
  }
  communicator.BroadcastWhenReady(message, 0);
  if (communicator.rank() == 0) return status;
  const std::string text(reinterpret_cast<const char*>(message.data()) + 1, message.size() - 1);
  return absl::Status(static_cast<absl::StatusCode>(message[0]), text);
}

void Broadcast(std::span<float> values, dist::Communicator& communicator) {
  communicator.Broadcast(std::as_writable_bytes(values), 0);
}

std::span<float> ValuesOf(linalg::MatrixF& matrix) {
  return {matrix.data(), static_cast<std::size_t>(matrix.rows() * matrix.columns())};
}

}  // namespace caldera::llama
