// bench-s3-upload s3://bucket/prefix BYTES: stages, hashes, uploads and commits one object of
// random bytes, as a worker does, and prints {"bytes": ..., "seconds": ...}. Each call has bytes of
// its own. bench/s3.py compares it with curl.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/time/clock.h"
#include "common/base/status.h"
#include "common/store/checkpoint_store.h"

namespace caldera {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{1} << 20;  // what a sink of a worker gets at a time

std::vector<std::byte> RandomBytes(std::uint64_t count) {
  std::random_device seed;
  std::mt19937_64 random(seed());
  std::vector<std::byte> bytes(count);
  for (std::size_t i = 0; i < bytes.size(); i += 8) {
    const std::uint64_t word = random();
    for (std::size_t k = i; k < std::min(i + 8, bytes.size()); ++k) {
      bytes[k] = static_cast<std::byte>(word >> (8 * (k - i)));
    }
  }
  return bytes;
}

absl::Status Upload(store::CheckpointStore& store, std::span<const std::byte> bytes) {
  CALDERA_ASSIGN_OR_RETURN(const auto writer, store.Stage("bench"));
  for (std::size_t at = 0; at < bytes.size(); at += kPieceBytes) {
    CALDERA_RETURN_IF_ERROR(
        writer->Append(bytes.subspan(at, std::min(kPieceBytes, bytes.size() - at))));
  }
  return writer->Commit().status();
}

absl::Status Run(const std::string& uri, std::uint64_t count) {
  CALDERA_ASSIGN_OR_RETURN(const auto store, store::OpenStore(uri));
  const std::vector<std::byte> bytes = RandomBytes(count);
  const absl::Time started = absl::Now();
  CALDERA_RETURN_IF_ERROR(Upload(*store, bytes));
  fmt::print("{{\"bytes\": {}, \"seconds\": {:.6f}}}\n", count,
             absl::ToDoubleSeconds(absl::Now() - started));
  return absl::OkStatus();
}

}  // namespace
}  // namespace caldera

int main(int argc, char** argv) {
  std::uint64_t count = 0;
  if (argc != 3 || !absl::SimpleAtoi(argv[2], &count)) {
    std::fprintf(stderr, "usage: bench-s3-upload URI BYTES\n");
    return 2;
  }
  const absl::Status status = caldera::Run(argv[1], count);
  if (!status.ok()) std::fprintf(stderr, "%s\n", caldera::base::MessageOf(status).c_str());
  return status.ok() ? 0 : 1;
}
