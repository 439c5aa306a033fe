// Llama-2-70B through the service: a model of the true shapes that takes no space on disk, one
// simulated worker over gRPC, stand-ins of the true shapes (holes in files) for the results. The
// coordinator plans, leases, checks 560 matrices, writes 80 real shards (17 GB), verifies and
// publishes them. Prints one JSON object.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>
#include <vector>

#include "bench/coordinator_process.h"
#include "bench/simulated_worker.h"
#include "caldera/v1/compression.grpc.pb.h"
#include "common/base/file.h"
#include "common/base/sha256.h"
#include "common/model/compressed_matrix_io.h"
#include "common/rpc/channel.h"
#include "common/rpc/status_conversion.h"
#include "common/store/checkpoint_reader.h"
#include "common/store/keys.h"
#include "fmt/format.h"
#include "tests/coordinator/tiny_model.h"

namespace caldera::bench {
namespace {

using coordinator::Must;

model::ModelConfig Llama2With70BillionParameters(int layers) {
  model::ModelConfig config;
  config.hidden_size = 8192;
  config.intermediate_size = 28672;
  config.num_hidden_layers = layers;
  config.num_attention_heads = 64;
  config.num_key_value_heads = 8;
  config.head_dim = 128;
  config.vocab_size = 32000;
  config.max_position_embeddings = 4096;
  return config;
}

// A safetensors file of these tensors whose data is a hole. Returns its digest and size.
v1::ObjectRef WriteSparse(const std::string& path,
                          const model::SafetensorsWriter::Metadata& metadata,
                          const std::vector<model::SafetensorsDeclaration>& tensors) {
  std::string header;
  const model::SafetensorsWriter writer = Must(model::SafetensorsWriter::Start(
      metadata, tensors, [&header](std::span<const std::byte> bytes) {
        header.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        return absl::OkStatus();
      }));
  Must(base::WriteFile(path, header));
  if (truncate(path.c_str(), static_cast<off_t>(writer.file_bytes())) != 0) {
    Must(base::ErrnoToStatus(errno, path));
  }
  v1::ObjectRef object;
  object.set_size(static_cast<std::int64_t>(writer.file_bytes()));
  base::Sha256 digest;
  digest.Update(header);
  const std::vector<std::byte> zeros(std::size_t{1} << 20U);
  for (std::uint64_t left = writer.file_bytes() - header.size(); left > 0;) {
    const std::uint64_t part = std::min<std::uint64_t>(left, zeros.size());
    digest.Update(std::span(zeros).first(part));
    left -= part;
  }
  object.set_sha256(digest.HexDigest());
  return object;
}

void WriteModel(const std::string& directory, const model::ModelConfig& config) {
  Must(base::MakeDirectories(directory));
  Must(base::WriteFile(directory + "/config.json", model::ModelConfigToJson(config)));
  Must(base::WriteFile(directory + "/tokenizer.json", coordinator::TinyTokenizerJson()));
  std::vector<model::ExpectedTensor> expected = model::NonLayerTensors(config);
  for (int layer = 0; layer < config.num_hidden_layers; ++layer) {
    for (const auto& tensor : model::ProjectionTensors(config, layer)) expected.push_back(tensor);
    for (const auto& tensor : model::OtherLayerTensors(config, layer)) expected.push_back(tensor);
  }
  std::vector<model::SafetensorsDeclaration> tensors;
  for (const model::ExpectedTensor& tensor : expected) {
    tensors.push_back({tensor.name, model::Dtype::kBF16, tensor.shape});
  }
  WriteSparse(directory + "/model.safetensors", {}, tensors);
}

v1::MatrixResult WriteMatrix(const std::string& store, const model::ModelConfig& config, int layer,
                             int projection) {
  const auto kind = static_cast<model::Projection>(projection);
  const model::MatrixShape shape = model::ShapeOf(config, kind);
  model::CompressedMatrixHeader header;
  header.rows = shape.rows;
  header.columns = shape.columns;
  model::SetQBits(2, &header);
  const std::string prefix = fmt::format("model.layers.{}.{}", layer, model::ProjectionPath(kind));
  const std::string staged = store + "/stand-in";
  v1::MatrixResult result;
  *result.mutable_object() =
      WriteSparse(staged, {{"format", "pt"}, {prefix, model::MatrixHeaderToJson(header)}},
                  model::MatrixTensors(header, prefix));
  const std::string path = store + "/" + store::ObjectKey(result.object().sha256());
  Must(base::MakeDirectories(path.substr(0, path.rfind('/'))));
  if (rename(staged.c_str(), path.c_str()) != 0) Must(base::ErrnoToStatus(errno, path));
  result.set_projection(model::ProjectionPath(kind));
  result.set_rows(shape.rows);
  result.set_columns(shape.columns);
  result.set_bits_per_weight(model::BitsPerWeight(header));
  result.set_relative_error(.1);
  result.set_seconds(1);
  return result;
}

StandIns WriteStandIns(const std::string& store, const model::ModelConfig& config) {
  StandIns stand_ins;
  Must(base::MakeDirectories(store));
  for (int layer = 0; layer < config.num_hidden_layers; ++layer) {
    for (int p = 0; p < model::kProjectionCount; ++p) {
      stand_ins.matrices[{layer, p}] = WriteMatrix(store, config, layer, p);
    }
  }
  const auto opened = Must(store::OpenStore(store));
  stand_ins.hessian = coordinator::StoreBytes(coordinator::FloatBytes(16, 1), opened.get());
  stand_ins.embeddings = coordinator::StoreBytes(coordinator::EmbeddingsObject(), opened.get());
  return stand_ins;
}

v1::CompressionJob Submit(v1::CompressionService::Stub* users, const std::string& directory) {
  v1::CreateCompressionJobRequest request;
  v1::JobSpec* spec = request.mutable_spec();
  spec->set_model_uri(directory + "/model");
  spec->set_output_uri("file://" + directory + "/out");
  spec->mutable_calibration()->set_uri(directory + "/text.txt");
  spec->mutable_calibration()->set_samples(8);
  spec->mutable_calibration()->set_seq_len(16);
  spec->mutable_calibration()->set_ranges(1);
  spec->mutable_decomposition()->set_rank(0);
  grpc::ClientContext context;
  v1::CompressionJob job;
  Must(rpc::FromGrpc(users->CreateCompressionJob(&context, request, &job)));
  return job;
}

v1::CompressionJob AwaitEnd(v1::CompressionService::Stub* users, const std::string& name,
                            Fleet* fleet) {
  v1::GetCompressionJobRequest request;
  request.set_name(name);
  while (true) {
    grpc::ClientContext context;
    v1::CompressionJob job;
    Must(rpc::FromGrpc(users->GetCompressionJob(&context, request, &job)));
    const bool going = job.state() == v1::PENDING || job.state() == v1::RUNNING;
    if (!going || !fleet->error().empty()) return job;
    absl::SleepFor(absl::Milliseconds(200));
  }
}

nlohmann::ordered_json Run(const std::string& directory, int layers) {
  const model::ModelConfig config = Llama2With70BillionParameters(layers);
  WriteModel(directory + "/model", config);
  Must(base::WriteFile(directory + "/text.txt", std::string(2000, 'a')));
  const StandIns stand_ins = WriteStandIns(directory + "/store", config);
  Fleet fleet;
  fleet.stand_ins = &stand_ins;
  fleet.layers = layers;
  fleet.active = 1;
  CoordinatorProcess process(directory, directory + "/store");
  const auto users = v1::CompressionService::NewStub(Must(rpc::MakeChannel(process.address(), {})));
  const absl::Time start = absl::Now();
  const v1::CompressionJob submitted = Submit(users.get(), directory);
  const absl::Time planned = absl::Now();
  SimulatedWorker worker(&fleet, process.address(), 0);
  worker.Start();
  const v1::CompressionJob job = AwaitEnd(users.get(), submitted.name(), &fleet);
  const absl::Time ended = absl::Now();
  fleet.stopping = true;
  while (fleet.active > 0) absl::SleepFor(absl::Milliseconds(20));
  nlohmann::ordered_json json;
  json["error"] = fleet.error() + job.error().message();
  json["state"] = v1::State_Name(job.state());
  json["leases_completed"] = fleet.layers_done.load();
  json["matrices_committed"] = fleet.matrices.load();
  json["output_bytes"] = job.result().output_bytes();
  json["bits_per_weight"] = job.result().bits_per_weight();
  json["seconds_to_plan"] = absl::ToDoubleSeconds(planned - start);
  json["seconds"] = absl::ToDoubleSeconds(ended - start);
  json["manifest"] = Must(store::HasManifest(directory + "/out"));
  json["calls"] = fleet.latencies.ToJson();
  json["coordinator"] = process.Usage();
  return json;
}

}  // namespace
}  // namespace caldera::bench

int main(int argc, char** argv) {
  std::string directory;
  int layers = 80;
  CLI::App app{"Llama-2-70B through the service, with stand-ins for the results"};
  app.add_option("--directory", directory, "empty, with 18 GB of space")->required();
  app.add_option("--layers", layers)->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  const auto report = caldera::bench::Run(directory, layers);
  std::printf("%s\n", report.dump(2).c_str());
  return report["state"] == "SUCCEEDED" && report["manifest"] == true ? 0 : 1;
}
