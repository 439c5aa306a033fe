// A small model and text on disk, the coordinator's services as real servers in this process, and a
// worker whose ranks are threads: what the tests of inputs and tasks run with.
#ifndef CALDERA_TESTS_WORKER_JOB_FIXTURE_H_
#define CALDERA_TESTS_WORKER_JOB_FIXTURE_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/sha256.h"
#include "common/model/local_files.h"
#include "common/model/model_directory.h"
#include "common/rpc/channel.h"
#include "common/rpc/server.h"
#include "common/store/memory_store.h"
#include "numerics/dist/thread_communicator.h"
#include "tests/coordinator/tiny_model.h"
#include "tests/worker/dispatch_test_server.h"
#include "tests/worker/job_files_server.h"
#include "worker/task_context.h"

namespace caldera::worker {

using coordinator::Must;

inline constexpr char kJob[] = "compressionJobs/small";

// Matrices of 136 and 72 rows are two or three blocks of the row partition, so ranks share them.
inline model::ModelConfig SmallConfig() {
  model::ModelConfig config;
  config.hidden_size = 72;
  config.intermediate_size = 136;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 9;
  config.num_key_value_heads = 3;
  config.head_dim = 8;
  config.vocab_size = 256;
  config.max_position_embeddings = 64;
  config.tie_word_embeddings = true;
  return config;
}

// Printable, without a short period.
inline std::string SmallText(std::size_t size) {
  std::string text(size, ' ');
  unsigned state = 1;
  for (char& c : text) {
    state = state * 1664525U + 1013904223U;
    c = static_cast<char>('a' + (state >> 24U) % 26);
  }
  return text;
}

inline void WriteSmallModel(const std::string& directory, const model::ModelConfig& config) {
  Must(base::MakeDirectories(directory));
  Must(base::WriteFile(directory + "/config.json", model::ModelConfigToJson(config)));
  Must(base::WriteFile(directory + "/tokenizer.json", coordinator::TinyTokenizerJson()));
  coordinator::WriteBytes(directory + "/model.safetensors",
                          Must(model::WriteSafetensors({}, coordinator::RandomTensors(config))));
}

class JobFixture {
 public:
  explicit JobFixture(const model::ModelConfig& config = SmallConfig()) {
    WriteSmallModel(model_path(), config);
    Must(base::WriteFile(text_path(), SmallText(700)));
    files_ =
        std::make_unique<JobFilesServer>(kJob, Must(model::LocalFileSet::OpenPath(model_path())),
                                         Must(model::FileByteSource::Open(text_path())));
    server_ = Must(rpc::Server::Start({}, {&dispatch_, files_.get()}));
    channel_ = Must(rpc::MakeChannel(server_->address(), {}));
    client_ = std::make_unique<DispatchClient>(v1::DispatchService::NewStub(channel_),
                                               WorkerIdentity{"worker", "first", "test", "host"},
                                               absl::ZeroDuration());
  }
  ~JobFixture() { server_->Shutdown(absl::ZeroDuration()); }

  std::string model_path() const { return directory_.path() + "/model"; }
  std::string text_path() const { return directory_.path() + "/text.txt"; }
  DispatchTestServer& dispatch() { return dispatch_; }
  const DispatchTestServer& dispatch() const { return dispatch_; }
  DispatchClient& client() { return *client_; }
  DrainSignal& drain() { return drain_; }
  store::MemoryStore& store() { return store_; }
  CheckpointAccess access() { return {channel_, &clock_}; }

  // Without a task.
  v1::Lease MakeLease() const {
    v1::Lease lease;
    lease.set_lease_id("lease");
    lease.set_attempt(1);
    lease.set_job(kJob);
    lease.set_calibration_sha256(base::Sha256Hex(Must(base::ReadFile(text_path()))));
    lease.set_model_sha256(Must(model::OpenModel(model_path())).fingerprint_sha256);
    v1::JobSpec& spec = *lease.mutable_spec();
    spec.set_model_uri("file://" + model_path());
    spec.set_embedding_bits(8);
    spec.mutable_calibration()->set_uri("file://" + text_path());
    spec.mutable_calibration()->set_samples(11);
    spec.mutable_calibration()->set_seq_len(16);
    spec.mutable_calibration()->set_ranges(2);
    spec.mutable_decomposition()->set_codebook("e8p");
    spec.mutable_decomposition()->set_q_bits(2);
    spec.mutable_decomposition()->set_rank(5);
    spec.mutable_decomposition()->set_l_bits(4);
    spec.mutable_decomposition()->set_r_bits(4);
    return lease;
  }

  // Runs `task` on `ranks` ranks; the status of each. The keeper heartbeats all the time.
  using Task = std::function<absl::Status(TaskContext&)>;
  std::vector<absl::Status> Run(const v1::Lease& lease, int ranks, const Task& task) {
    const auto inputs = Must(JobInputs::Open(lease, Reach::kDirect, access()));
    const auto objects = MakeDirectObjectIo(store_, lease);
    LeaseKeeper keeper(*client_, drain_, lease, {absl::Milliseconds(5), absl::Hours(1)});
    Leader leader{*inputs, *objects, *client_, keeper};
    std::vector<absl::Status> statuses(static_cast<std::size_t>(ranks));
    dist::RunRanks(ranks, [&](dist::Communicator& communicator) {
      const int rank = communicator.rank();
      TaskContext context{lease, communicator, rank == 0 ? &leader : nullptr, {}, {}, {}};
      statuses[static_cast<std::size_t>(rank)] = task(context);
    });
    return statuses;
  }

 private:
  const base::TempDirectory directory_ = Must(base::TempDirectory::Create());
  base::SystemClock clock_;
  DrainSignal drain_;
  store::MemoryStore store_{"objects"};
  DispatchTestServer dispatch_;
  std::unique_ptr<JobFilesServer> files_;
  std::unique_ptr<rpc::Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<DispatchClient> client_;
};

}  // namespace caldera::worker

#endif  // CALDERA_TESTS_WORKER_JOB_FIXTURE_H_
