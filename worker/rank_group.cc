#include "worker/rank_group.h"

#include <cstdint>
#include <cstring>
#include <span>

#include "common/base/status.h"

namespace caldera::worker {
namespace {

// One rank's status as bytes: code, length of the message, message.
std::vector<std::byte> Pack(const absl::Status& status) {
  const std::string message = base::MessageOf(status);
  const std::int32_t head[2] = {static_cast<std::int32_t>(status.code()),
                                static_cast<std::int32_t>(message.size())};
  std::vector<std::byte> packed(sizeof(head) + message.size());
  std::memcpy(packed.data(), head, sizeof(head));
  std::memcpy(packed.data() + sizeof(head), message.data(), message.size());
  return packed;
}

}  // namespace

absl::Status AgreeOnStatus(const absl::Status& mine, dist::Communicator& communicator) {
  if (communicator.size() == 1) return mine;
  const std::vector<std::byte> all = communicator.AllGather(Pack(mine));
  std::size_t at = 0;
  for (int rank = 0; rank < communicator.size(); ++rank) {
    std::int32_t head[2];
    std::memcpy(head, all.data() + at, sizeof(head));
    at += sizeof(head);
    const std::string message(reinterpret_cast<const char*>(all.data() + at),
                              static_cast<std::size_t>(head[1]));
    at += message.size();
    const auto code = static_cast<absl::StatusCode>(head[0]);
    if (code == absl::StatusCode::kOk) continue;
    return absl::Status(code, rank == 0 ? message : fmt::format("rank {}: {}", rank, message));
  }
  return absl::OkStatus();
}

void ShareBytes(std::vector<std::byte>& value, dist::Communicator& communicator) {
  if (communicator.size() == 1) return;
  std::uint64_t size = value.size();
  communicator.Broadcast(std::as_writable_bytes(std::span(&size, 1)), 0);
  value.resize(size);
  if (size > 0) communicator.Broadcast(value, 0);
}

void ShareString(std::string& value, dist::Communicator& communicator) {
  if (communicator.size() == 1) return;
  const auto view = std::as_bytes(std::span(value));
  std::vector<std::byte> bytes(view.begin(), view.end());
  ShareBytes(bytes, communicator);
  value.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

}  // namespace caldera::worker
