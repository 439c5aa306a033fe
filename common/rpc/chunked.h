// Large objects over CheckpointService: 1 MiB chunks with CRC-32C, resumed after a broken
// connection.
//
// Both directions survive UNAVAILABLE (a restarted coordinator, a cut cable): the download goes on
// at the first byte it lacks, the upload at the server's committed_size. Any other error ends the
// transfer. They block; call them off gRPC's own threads.
#ifndef CALDERA_COMMON_RPC_CHUNKED_H_
#define CALDERA_COMMON_RPC_CHUNKED_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "caldera/v1/checkpoint.grpc.pb.h"
#include "common/base/clock.h"
#include "common/base/retry.h"
#include "common/rpc/write_message.h"

namespace caldera::rpc {

// Largest data field of one ReadResponse or WriteRequest, bytes.
inline constexpr std::size_t kChunkBytes = std::size_t{1} << 20;

using CheckpointStub = caldera::v1::CheckpointService::StubInterface;

struct TransferOptions {
  base::RetryOptions retry = {.initial_backoff = absl::Milliseconds(200),
                              .maximum_backoff = absl::Seconds(10),
                              .time_limit = absl::Minutes(5)};
  // Of one stream; a resumed transfer has a new one. The retry limit starts again whenever bytes
  // arrive.
  absl::Duration stream_timeout = absl::Minutes(30);
};

// Takes the chunks of a download in order. An error ends the download with that error.
using ChunkSink = std::function<absl::Status(std::span<const std::byte>)>;

struct DownloadResult {
  std::uint64_t bytes = 0;       // delivered to the sink
  std::uint64_t total_size = 0;  // of the whole file, as the server says
};

// Streams `request` (its offset and length; 0 = to the end) into `sink`, each byte once and in
// order. DATA_LOSS naming the location when a chunk's CRC or offset is wrong, the stream ends
// early, or the file's size changes on the way.
absl::StatusOr<DownloadResult> DownloadRange(CheckpointStub& stub,
                                             const caldera::v1::ReadRequest& request,
                                             const TransferOptions& options, base::Clock& clock,
                                             const ChunkSink& sink);

// As DownloadRange, for exactly out.size() bytes from request.offset (request.length is ignored).
// An empty `out` makes no call.
absl::Status DownloadInto(CheckpointStub& stub, const caldera::v1::ReadRequest& request,
                          const TransferOptions& options, base::Clock& clock,
                          std::span<std::byte> out);

// Who uploads: the fence of the lease, and a fresh UUID4 for the object.
struct UploadIdentity {
  std::string upload_id;
  std::string lease_id;
  std::int32_t attempt = 0;
};

// Uploads `bytes` as one object, over a channel to a CheckpointService. Returns the server's name
// of it; DATA_LOSS when it stored another size. Each chunk's CRC is checked where it arrives, and
// the name is the digest of what was checked: hashing here as well would show nothing new.
absl::StatusOr<caldera::v1::ObjectRef> Upload(const std::shared_ptr<grpc::Channel>& channel,
                                              const UploadIdentity& identity,
                                              const SharedBytes& bytes,
                                              const TransferOptions& options, base::Clock& clock);

// Server side of both directions: fills data and CRC of one chunk, and checks those of one received
// (DATA_LOSS naming offset).
void FillChunk(std::uint64_t offset, std::span<const std::byte> bytes,
               caldera::v1::ReadResponse& response);
absl::Status CheckChunk(const WriteMessage& message, std::uint64_t expected_offset);

// "model file x.safetensors", "object ab12...": what errors call a location.
std::string DescribeLocation(const caldera::v1::Location& location);

}  // namespace caldera::rpc

#endif  // CALDERA_COMMON_RPC_CHUNKED_H_
