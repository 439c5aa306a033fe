#include "common/rpc/write_message.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/wire_format_lite.h>

#include <algorithm>
#include <string>
#include <utility>

#include "common/base/status.h"

namespace caldera::rpc {
namespace {

namespace v1 = caldera::v1;
using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;
using google::protobuf::io::CodedOutputStream;

constexpr std::uint32_t kDataTag = WireFormatLite::MakeTag(
    v1::WriteRequest::kDataFieldNumber, WireFormatLite::WIRETYPE_LENGTH_DELIMITED);

// A slice of memory that others own too; gRPC gives its share back when it is done.
grpc::Slice Share(const SharedBytes& bytes, std::size_t offset, std::size_t size) {
  auto share = std::make_unique<SharedBytes>(bytes);
  // gRPC takes mutable memory and only reads it.
  auto* data = const_cast<std::byte*>(bytes->data() + offset);
  return {data, size,
          [](void* owned) { std::unique_ptr<SharedBytes>(static_cast<SharedBytes*>(owned)); },
          share.release()};
}

// The next `size` bytes of the input, piece by piece as they lie there.
bool TakePieces(CodedInputStream& input, int size,
                std::vector<std::span<const std::byte>>& pieces) {
  while (size > 0) {
    const void* data = nullptr;
    int available = 0;
    if (!input.GetDirectBufferPointer(&data, &available)) return false;
    const int count = std::min(size, available);
    pieces.emplace_back(static_cast<const std::byte*>(data), count);
    if (!input.Skip(count)) return false;
    size -= count;
  }
  return true;
}

// Copies every field but the data, which goes to `pieces`; as with any field that is set twice, the
// last one counts.
bool Split(CodedInputStream& input, CodedOutputStream& others,
           std::vector<std::span<const std::byte>>& pieces) {
  while (const std::uint32_t tag = input.ReadTag()) {
    if (tag != kDataTag) {
      if (!WireFormatLite::SkipField(&input, tag, &others)) return false;
      continue;
    }
    int size = 0;
    pieces.clear();
    if (!input.ReadVarintSizeAsInt(&size) || !TakePieces(input, size, pieces)) return false;
  }
  return input.ConsumedEntireMessage();
}

}  // namespace

grpc::ByteBuffer EncodeWrite(const v1::WriteRequest& header, const SharedBytes& bytes,
                             std::size_t offset, std::size_t size) {
  std::string start = header.SerializeAsString();
  google::protobuf::io::StringOutputStream stream(&start);
  {
    CodedOutputStream output(&stream);
    output.WriteTag(kDataTag);
    output.WriteVarint32(static_cast<std::uint32_t>(size));
  }
  const grpc::Slice slices[] = {grpc::Slice(start), Share(bytes, offset, size)};
  return {slices, std::size(slices)};
}

absl::StatusOr<WriteMessage> WriteMessage::Decode(const grpc::ByteBuffer& buffer) {
  WriteMessage message;
  message.buffer_ = std::make_unique<grpc::ByteBuffer>(buffer);
  message.reader_ = std::make_unique<grpc::ProtoBufferReader>(message.buffer_.get());
  CALDERA_RETURN_IF_ERROR(message.Parse());
  return message;
}

absl::Status WriteMessage::Parse() {
  const auto malformed = [] { return base::InvalidArgument("not a WriteRequest"); };
  if (!reader_->status().ok()) return malformed();
  CodedInputStream input(reader_.get());
  std::string others;
  {
    google::protobuf::io::StringOutputStream stream(&others);
    CodedOutputStream output(&stream);
    if (!Split(input, output, pieces_)) return malformed();
  }
  if (!header_.ParseFromString(others)) return malformed();
  return absl::OkStatus();
}

std::size_t WriteMessage::size() const {
  std::size_t size = 0;
  for (const auto& piece : pieces_) size += piece.size();
  return size;
}

}  // namespace caldera::rpc
