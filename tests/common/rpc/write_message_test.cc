#include "common/rpc/write_message.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "google/protobuf/util/message_differencer.h"

namespace caldera::rpc {
namespace {

namespace v1 = caldera::v1;

SharedBytes Bytes(const std::string& text) {
  const auto bytes = std::as_bytes(std::span(text));
  return std::make_shared<const std::vector<std::byte>>(bytes.begin(), bytes.end());
}

std::string DataOf(const WriteMessage& message) {
  std::string data;
  for (const auto& piece : message.pieces()) {
    data.append(reinterpret_cast<const char*>(piece.data()), piece.size());
  }
  return data;
}

std::string Flatten(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  EXPECT_TRUE(buffer.Dump(&slices).ok());
  std::string text;
  for (const grpc::Slice& slice : slices) {
    text.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return text;
}

// As it may arrive: in slices of any size.
grpc::ByteBuffer Cut(const std::string& text, std::mt19937& random) {
  std::vector<grpc::Slice> slices;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t size = std::min<std::size_t>(text.size() - at, random() % 40);
    slices.emplace_back(text.substr(at, size));
    at += size;
  }
  return {slices.data(), slices.size()};
}

v1::WriteRequest Header() {
  v1::WriteRequest header;
  header.set_upload_id("upload");
  header.set_lease_id("lease");
  header.set_attempt(3);
  header.set_offset(std::int64_t{1} << 40);
  header.set_crc32c(0xfedcba98U);
  header.set_finish(true);
  return header;
}

TEST(EncodeWrite, IsAWriteRequestOnTheWire) {
  v1::WriteRequest parsed;
  ASSERT_TRUE(parsed.ParseFromString(Flatten(EncodeWrite(Header(), Bytes("0123456789"), 2, 5))));
  EXPECT_EQ(parsed.data(), "23456");
  parsed.clear_data();
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(parsed, Header()));
}

TEST(EncodeWrite, KeepsTheBytesAliveAndNoLonger) {
  SharedBytes bytes = Bytes(std::string(100'000, 'x'));
  const std::weak_ptr<const std::vector<std::byte>> watched = bytes;
  {
    const grpc::ByteBuffer buffer = EncodeWrite(Header(), bytes, 0, bytes->size());
    bytes.reset();
    EXPECT_EQ(DataOf(WriteMessage::Decode(buffer).value()), std::string(100'000, 'x'));
  }
  EXPECT_TRUE(watched.expired());
}

TEST(WriteMessage, ReadsWhatProtobufWrites) {
  std::mt19937 random(1);
  for (const std::size_t size : {0, 1, 127, 128, 70'000}) {
    v1::WriteRequest request = Header();
    request.set_data(std::string(size, 'd'));
    const auto message = WriteMessage::Decode(Cut(request.SerializeAsString(), random));
    ASSERT_TRUE(message.ok()) << message.status();
    EXPECT_EQ(DataOf(*message), request.data());
    EXPECT_EQ(message->size(), size);
    EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(message->header(), Header()));
  }
}

TEST(WriteMessage, OutlivesItsBuffer) {
  auto buffer = std::make_unique<grpc::ByteBuffer>(EncodeWrite(Header(), Bytes("abc"), 0, 3));
  const WriteMessage message = WriteMessage::Decode(*buffer).value();
  buffer.reset();
  EXPECT_EQ(DataOf(message), "abc");
}

TEST(WriteMessage, TakesTheLastOfRepeatedFields) {
  v1::WriteRequest first = Header();
  first.set_data("first");
  v1::WriteRequest second;
  second.set_data("second");
  second.set_attempt(9);
  std::mt19937 random(2);
  const std::string text = first.SerializeAsString() + second.SerializeAsString();
  const WriteMessage message = WriteMessage::Decode(Cut(text, random)).value();
  EXPECT_EQ(DataOf(message), "second");
  EXPECT_EQ(message.header().attempt(), 9);
}

// Damaged messages: what protobuf accepts means the same. Of what it refuses, only numbers longer
// than a tag may be are let pass, by its own CodedInputStream.
TEST(WriteMessage, AgreesWithProtobufOnDamagedMessages) {
  std::mt19937 random(3);
  v1::WriteRequest request = Header();
  request.set_data("some data");
  const std::string whole = request.SerializeAsString();
  int accepted = 0;
  int lenient = 0;
  constexpr int kRounds = 20'000;
  for (int round = 0; round < kRounds; ++round) {
    std::string text = whole.substr(0, random() % 8 == 0 ? random() % whole.size() : whole.size());
    for (auto flips = random() % 4; flips > 0 && !text.empty(); --flips) {
      text[random() % text.size()] = static_cast<char>(random());
    }
    v1::WriteRequest parsed;
    const bool parses = parsed.ParseFromString(text);
    const auto message = WriteMessage::Decode(Cut(text, random));
    ASSERT_TRUE(message.ok() || !parses) << testing::PrintToString(text);
    lenient += message.ok() && !parses ? 1 : 0;
    if (!parses) continue;
    ++accepted;
    EXPECT_EQ(DataOf(*message), parsed.data()) << round;
    parsed.clear_data();
    EXPECT_EQ(message->header().SerializeAsString(), parsed.SerializeAsString()) << round;
  }
  EXPECT_GT(accepted, kRounds / 10);
  EXPECT_LT(accepted, kRounds);
  EXPECT_LT(lenient, kRounds / 100);
}

}  // namespace
}  // namespace caldera::rpc
