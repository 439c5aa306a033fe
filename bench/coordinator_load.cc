// A coordinator under load: its process on this machine, thousands of leases over gRPC from
// simulated workers on channels of their own, jobs of tiny models whose objects lie ready in the
// store. Everything else is real: state database with synchronous=FULL, shards, receipts,
// publishing. Prints one JSON object; bench/README.md says how to read it.
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "bench/coordinator_process.h"
#include "bench/follower.h"
#include "bench/simulated_worker.h"
#include "common/base/file.h"
#include "common/rpc/channel.h"
#include "common/rpc/status_conversion.h"
#include "fmt/format.h"
#include "tests/coordinator/tiny_model.h"

namespace caldera::bench {
namespace {

using coordinator::Must;

struct Flags {
  int workers = 1000;
  int jobs = 100;
  int layers = 80;
  int followers = 200;
  double layers_per_second = 0;  // offered by all workers together; 0: as fast as it goes
  std::string directory;         // of the state database
  std::string store;             // of objects and outputs; "" = DIRECTORY
};

// A model of the tiny configuration with so many layers, its text, and the spec of job `number`.
v1::JobSpec SpecOf(const std::string& directory, const std::string& store, int number) {
  v1::JobSpec spec;
  spec.set_model_uri(directory + "/model");
  spec.set_output_uri(fmt::format("file://{}/out-{}", store, number));
  spec.mutable_calibration()->set_uri(directory + "/text.txt");
  spec.mutable_calibration()->set_samples(8);
  spec.mutable_calibration()->set_seq_len(16);
  spec.mutable_calibration()->set_ranges(1);
  spec.mutable_decomposition()->set_rank(4);
  return spec;
}

StandIns WriteStandIns(int layers, store::CheckpointStore* store) {
  StandIns stand_ins;
  for (int layer = 0; layer < layers; ++layer) {
    for (int p = 0; p < model::kProjectionCount; ++p) {
      const v1::ObjectRef object =
          coordinator::StoreBytes(coordinator::MatrixObject(layer, p, 5), store);
      stand_ins.matrices[{layer, p}] = coordinator::TinyMatrix(layer, p, object);
    }
  }
  stand_ins.hessian = coordinator::StoreBytes(coordinator::FloatBytes(16, 1), store);
  stand_ins.embeddings = coordinator::StoreBytes(coordinator::EmbeddingsObject(), store);
  return stand_ins;
}

void WriteModel(const std::string& directory, int layers) {
  model::ModelConfig config = coordinator::TinyConfig();
  config.num_hidden_layers = layers;
  Must(base::MakeDirectories(directory + "/model"));
  Must(base::WriteFile(directory + "/model/config.json", model::ModelConfigToJson(config)));
  Must(base::WriteFile(directory + "/model/tokenizer.json", coordinator::TinyTokenizerJson()));
  coordinator::WriteBytes(directory + "/model/model.safetensors",
                          Must(model::WriteSafetensors({}, coordinator::RandomTensors(config))));
  Must(base::WriteFile(directory + "/text.txt", std::string(2000, 'a')));
}

std::vector<std::string> CreateJobs(const Flags& flags, v1::CompressionService::Stub* users,
                                    Latencies* latencies) {
  std::vector<std::string> names;
  for (int number = 0; number < flags.jobs; ++number) {
    grpc::ClientContext context;
    v1::CreateCompressionJobRequest request;
    request.set_job_id(fmt::format("load-{}", number));
    *request.mutable_spec() = SpecOf(flags.directory, flags.store, number);
    v1::CompressionJob job;
    const absl::Time start = absl::Now();
    Must(rpc::FromGrpc(users->CreateCompressionJob(&context, request, &job)));
    latencies->Add("CreateCompressionJob", absl::Now() - start);
    names.push_back(job.name());
  }
  return names;
}

// A user who looks while the work goes on; returns how many jobs have ended, by state.
std::map<std::string, int> Look(v1::CompressionService::Stub* users,
                                const std::vector<std::string>& jobs, Latencies* latencies) {
  std::map<std::string, int> states;
  for (const std::string& name : jobs) {
    grpc::ClientContext context;
    v1::GetCompressionJobRequest request;
    request.set_name(name);
    v1::CompressionJob job;
    const absl::Time start = absl::Now();
    Must(rpc::FromGrpc(users->GetCompressionJob(&context, request, &job)));
    latencies->Add("GetCompressionJob", absl::Now() - start);
    ++states[v1::State_Name(job.state())];
  }
  return states;
}

class Run {
 public:
  explicit Run(const Flags& flags) : flags_(flags) {}

  nlohmann::ordered_json Execute() {
    const std::string store_directory = flags_.store + "/store";
    WriteModel(flags_.directory, flags_.layers);
    const StandIns stand_ins =
        WriteStandIns(flags_.layers, Must(store::OpenStore(store_directory)).get());
    fleet_.stand_ins = &stand_ins;
    fleet_.layers = flags_.layers;
    if (flags_.layers_per_second > 0) {
      fleet_.pause =
          absl::Seconds(flags_.workers / flags_.layers_per_second / (model::kProjectionCount + 1));
    }
    CoordinatorProcess process(flags_.directory, store_directory);
    const std::string& address = process.address();
    const auto users = Users(address);
    jobs_ = CreateJobs(flags_, users.get(), &fleet_.latencies);
    StartFollowers(address);
    StartWorkers(address);
    const std::map<std::string, int> states = AwaitJobs(users.get());
    fleet_.stopping = true;
    while (fleet_.active > 0) absl::SleepFor(absl::Milliseconds(50));
    AwaitFollowers();
    nlohmann::ordered_json report = Report(states);
    report["coordinator"] = process.Usage();
    return report;
  }

 private:
  std::unique_ptr<v1::CompressionService::Stub> Users(const std::string& address) {
    channels_.push_back(Must(rpc::MakeChannel(address, {})));
    return v1::CompressionService::NewStub(channels_.back());
  }
  void StartFollowers(const std::string& address) {
    followers_.latencies = &fleet_.latencies;
    for (int i = 0; i < flags_.followers; ++i) {
      watch_stubs_.push_back(Users(address));
      streams_.push_back(
          std::make_unique<Follower>(&followers_, watch_stubs_.back().get(),
                                     jobs_[static_cast<std::size_t>(i) % jobs_.size()]));
    }
  }
  void StartWorkers(const std::string& address) {
    for (int i = 0; i < flags_.workers; ++i) {
      workers_.push_back(std::make_unique<SimulatedWorker>(&fleet_, address, i));
    }
    fleet_.active = flags_.workers;
    for (const auto& worker : workers_) worker->Start();
  }
  std::map<std::string, int> AwaitJobs(v1::CompressionService::Stub* users) {
    while (true) {
      const std::map<std::string, int> states = Look(users, jobs_, &fleet_.latencies);
      const bool going = states.count("PENDING") + states.count("RUNNING") > 0;
      if (!going || !fleet_.error().empty()) return states;
      absl::SleepFor(absl::Seconds(1));
    }
  }
  void AwaitFollowers() {
    for (int i = 0; i < 600 && followers_.ended + followers_.broken < flags_.followers; ++i) {
      absl::SleepFor(absl::Milliseconds(100));
    }
  }
  nlohmann::ordered_json Report(const std::map<std::string, int>& states) {
    const double seconds = static_cast<double>(fleet_.last - fleet_.first) * 1e-9;
    nlohmann::ordered_json json;
    json["error"] = fleet_.error();
    json["jobs"] = states;
    json["seconds"] = seconds;
    json["leases_completed_per_second"] = static_cast<double>(fleet_.layers_done) / seconds;
    json["matrices_committed_per_second"] = static_cast<double>(fleet_.matrices) / seconds;
    json["leases_completed"] = fleet_.layers_done.load();
    json["matrices_committed"] = fleet_.matrices.load();
    json["calls"] = fleet_.latencies.ToJson();
    json["followers"] = {{"streams", flags_.followers},
                         {"ended_with_their_job", followers_.ended.load()},
                         {"broken", followers_.broken.load()},
                         {"events", followers_.events.load()},
                         {"events_missing", followers_.missing.load()}};
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    json["clients_cpu_seconds"] =
        static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
        static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
    return json;
  }

  const Flags flags_;
  Fleet fleet_;
  Followers followers_;
  std::vector<std::string> jobs_;
  std::vector<std::shared_ptr<grpc::Channel>> channels_;
  std::vector<std::unique_ptr<v1::CompressionService::Stub>> watch_stubs_;
  std::vector<std::unique_ptr<Follower>> streams_;
  std::vector<std::unique_ptr<SimulatedWorker>> workers_;
};

}  // namespace
}  // namespace caldera::bench

int main(int argc, char** argv) {
  caldera::bench::Flags flags;
  CLI::App app{"A coordinator under load of simulated workers, jobs and followers"};
  app.add_option("--workers", flags.workers)->check(CLI::PositiveNumber);
  app.add_option("--jobs", flags.jobs)->check(CLI::PositiveNumber);
  app.add_option("--layers", flags.layers, "leases of each job")->check(CLI::PositiveNumber);
  app.add_option("--followers", flags.followers)->check(CLI::NonNegativeNumber);
  app.add_option("--rate", flags.layers_per_second,
                 "leases completed per second that the workers offer; 0 = as fast as it goes")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--directory", flags.directory, "empty; for state, model and outputs")->required();
  app.add_option("--store", flags.store, "directory of objects and outputs (default: DIRECTORY)");
  CLI11_PARSE(app, argc, argv);
  if (flags.store.empty()) flags.store = flags.directory;
  const auto report = caldera::bench::Run(flags).Execute();
  std::printf("%s\n", report.dump(2).c_str());
  return report["error"] == "" && report["jobs"].size() == 1 && report["jobs"].contains("SUCCEEDED")
             ? 0
             : 1;
}
