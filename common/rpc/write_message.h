// A v1.WriteRequest whose data stays where it lies: not copied on the way into gRPC, nor on the way
// out. On the wire it is an ordinary WriteRequest.
#ifndef CALDERA_COMMON_RPC_WRITE_MESSAGE_H_
#define CALDERA_COMMON_RPC_WRITE_MESSAGE_H_

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/proto_buffer_reader.h>

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "caldera/v1/checkpoint.pb.h"

namespace caldera::rpc {

using SharedBytes = std::shared_ptr<const std::vector<std::byte>>;

// `header` (without data) and, as its data, `size` bytes of `bytes` from `offset` on, which live as
// long as gRPC uses them.
grpc::ByteBuffer EncodeWrite(const caldera::v1::WriteRequest& header, const SharedBytes& bytes,
                             std::size_t offset, std::size_t size);

// A message that arrived. Movable; one thread at a time.
class WriteMessage {
 public:
  // INVALID_ARGUMENT unless `buffer` holds a WriteRequest.
  static absl::StatusOr<WriteMessage> Decode(const grpc::ByteBuffer& buffer);

  const caldera::v1::WriteRequest& header() const { return header_; }  // its data is empty
  // The data: these one after the other. They live as long as the message.
  std::span<const std::span<const std::byte>> pieces() const { return pieces_; }
  std::size_t size() const;  // of the data, bytes

 private:
  absl::Status Parse();

  // In this order: the reader lends the memory of the pieces, out of the buffer.
  std::unique_ptr<grpc::ByteBuffer> buffer_;  // a share of the same memory
  std::unique_ptr<grpc::ProtoBufferReader> reader_;
  caldera::v1::WriteRequest header_;
  std::vector<std::span<const std::byte>> pieces_;
};

}  // namespace caldera::rpc

#endif  // CALDERA_COMMON_RPC_WRITE_MESSAGE_H_
