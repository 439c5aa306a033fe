// worker -> coordinator -> store: what the service keeps of a plain gRPC stream of the same chunks.
// Both servers run in this process and get the same object in turns of the same run. The plain
// stream sends messages made beforehand to a server that forgets them; the other one is what
// workers do: chunks and checksums, a digest on the server, a synced object in the end. Prints one
// JSON object.
#include <grpcpp/grpcpp.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "caldera/v1/compression.grpc.pb.h"
#include "caldera/v1/dispatch.grpc.pb.h"
#include "common/base/build_info.h"
#include "common/base/sha256.h"
#include "common/base/uuid.h"
#include "common/rpc/channel.h"
#include "common/rpc/chunked.h"
#include "common/rpc/server.h"
#include "common/rpc/status_conversion.h"
#include "coordinator/process.h"
#include "fmt/format.h"
#include "nlohmann/json.hpp"
#include "tests/coordinator/tiny_model.h"

namespace caldera::bench {
namespace {

using coordinator::Must;

// Takes chunks and forgets them: what gRPC alone can do.
class PlainService final : public v1::CheckpointService::Service {
 public:
  grpc::Status Write(grpc::ServerContext* /*context*/, grpc::ServerReader<v1::WriteRequest>* reader,
                     v1::WriteResponse* response) override {
    v1::WriteRequest request;
    std::int64_t size = 0;
    while (reader->Read(&request)) size += static_cast<std::int64_t>(request.data().size());
    response->mutable_object()->set_size(size);
    return grpc::Status::OK;
  }
};

std::vector<std::byte> Noise(std::size_t size) {
  std::vector<std::byte> bytes(size);
  std::uint64_t state = 88172645463325252U;
  for (std::byte& byte : bytes) {
    state ^= state << 13U;
    state ^= state >> 7U;
    state ^= state << 17U;
    byte = static_cast<std::byte>(state);
  }
  return bytes;
}

// A lease to upload under.
v1::Lease TakeLease(const std::shared_ptr<grpc::Channel>& channel, const std::string& directory) {
  const auto users = v1::CompressionService::NewStub(channel);
  const auto workers = v1::DispatchService::NewStub(channel);
  v1::CreateCompressionJobRequest create;
  *create.mutable_spec() = coordinator::WriteTinyJob(directory);
  v1::CompressionJob job;
  grpc::ClientContext creating;
  Must(rpc::FromGrpc(users->CreateCompressionJob(&creating, create, &job)));
  v1::RegisterRequest registration;
  registration.set_worker_id("w");
  registration.set_incarnation("one");
  registration.set_version(base::GetBuildInfo().version);
  v1::RegisterResponse registered;
  grpc::ClientContext registering;
  Must(rpc::FromGrpc(workers->Register(&registering, registration, &registered)));
  v1::AcquireLeaseRequest acquire;
  acquire.set_worker_id("w");
  acquire.set_incarnation("one");
  v1::AcquireLeaseResponse acquired;
  grpc::ClientContext acquiring;
  Must(rpc::FromGrpc(workers->AcquireLease(&acquiring, acquire, &acquired)));
  return acquired.lease();
}

struct Cost {
  double seconds = 0;
  double cpu_seconds = 0;  // of the process, so of both ends
};

double CpuSeconds() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

template <typename Work>
Cost Measure(const Work& work) {
  const double cpu_start = CpuSeconds();
  const absl::Time start = absl::Now();
  work();
  return {absl::ToDoubleSeconds(absl::Now() - start), CpuSeconds() - cpu_start};
}

// One upload.
Cost Upload(const std::shared_ptr<grpc::Channel>& channel, const v1::Lease& lease,
            const rpc::SharedBytes& bytes) {
  base::SystemClock clock;
  return Measure([&] {
    Must(
        rpc::Upload(channel, {base::NewUuid(), lease.lease_id(), lease.attempt()}, bytes, {}, clock)
            .status());
  });
}

// The same chunks without anything else.
Cost Send(v1::CheckpointService::Stub* stub, const std::vector<v1::WriteRequest>& chunks) {
  return Measure([&] {
    grpc::ClientContext context;
    v1::WriteResponse response;
    const auto stream = stub->Write(&context, &response);
    for (const v1::WriteRequest& chunk : chunks) stream->Write(chunk);
    stream->WritesDone();
    Must(rpc::FromGrpc(stream->Finish()));
  });
}

std::vector<v1::WriteRequest> ChunksOf(const std::vector<std::byte>& bytes) {
  std::vector<v1::WriteRequest> chunks(bytes.size() / rpc::kChunkBytes);
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    chunks[i].set_data(bytes.data() + i * rpc::kChunkBytes, rpc::kChunkBytes);
  }
  return chunks;
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

double Median(const std::vector<Cost>& costs, double Cost::*member) {
  std::vector<double> values;
  for (const Cost& cost : costs) values.push_back(cost.*member);
  return Median(values);
}

nlohmann::ordered_json Run(const std::string& directory, const rpc::TlsFiles& tls, int mebibytes,
                           int rounds) {
  const auto bytes = std::make_shared<const std::vector<std::byte>>(
      Noise(static_cast<std::size_t>(mebibytes) << 20U));
  PlainService forgetting;
  const auto server = Must(rpc::Server::Start({.tls = tls}, {&forgetting}));
  base::SystemClock clock;
  coordinator::ProcessOptions options;
  options.state_dir = directory + "/state";
  options.server.tls = tls;
  const auto process = Must(coordinator::Process::Start(options, &clock, {}));
  const auto store_channel = Must(rpc::MakeChannel(process->address(), {.tls = tls}));
  const v1::Lease lease = TakeLease(store_channel, directory);
  const auto to_plain =
      v1::CheckpointService::NewStub(Must(rpc::MakeChannel(server->address(), {.tls = tls})));
  const std::string digest = base::Sha256Hex(*bytes);
  const std::vector<v1::WriteRequest> chunks = ChunksOf(*bytes);
  std::vector<Cost> plain;
  std::vector<Cost> store;
  std::vector<double> ratios;
  for (int round = 0; round < rounds; ++round) {
    plain.push_back(Send(to_plain.get(), chunks));
    store.push_back(Upload(store_channel, lease, bytes));
    ratios.push_back(plain.back().seconds / store.back().seconds);
    // The same bytes again must be written again.
    Must(process->coordinator().store().RemoveObject(digest));
  }
  nlohmann::ordered_json json;
  json["mebibytes"] = mebibytes;
  json["rounds"] = rounds;
  json["tls"] = !tls.empty();
  json["plain_mebibytes_per_second"] = mebibytes / Median(plain, &Cost::seconds);
  json["store_mebibytes_per_second"] = mebibytes / Median(store, &Cost::seconds);
  json["plain_cpu_seconds"] = Median(plain, &Cost::cpu_seconds);
  json["store_cpu_seconds"] = Median(store, &Cost::cpu_seconds);
  json["ratio_median"] = Median(ratios);
  json["ratios"] = ratios;
  return json;
}

}  // namespace
}  // namespace caldera::bench

int main(int argc, char** argv) {
  std::string directory;
  caldera::rpc::TlsFiles tls;
  int mebibytes = 512;
  int rounds = 5;
  CLI::App app{"Uploads through the service against a plain gRPC stream"};
  app.add_option("--directory", directory, "empty; for the store")->required();
  app.add_option("--mebibytes", mebibytes, "of the object")->check(CLI::PositiveNumber);
  app.add_option("--rounds", rounds)->check(CLI::PositiveNumber);
  CLI::Option* certificate = app.add_option(
      "--certificate", tls.certificate_file,
      "of 127.0.0.1, signed by itself: both streams over mutual TLS, as between hosts");
  app.add_option("--key", tls.key_file, "of the certificate")->needs(certificate);
  CLI11_PARSE(app, argc, argv);
  tls.ca_file = tls.certificate_file;
  std::printf("%s\n", caldera::bench::Run(directory, tls, mebibytes, rounds).dump(2).c_str());
}
