#include "bench/simulated_worker.h"

#include <algorithm>
#include <functional>

#include "absl/time/clock.h"
#include "common/base/build_info.h"
#include "common/model/model_config.h"
#include "fmt/format.h"

namespace caldera::bench {
namespace {

constexpr absl::Duration kHeartbeat = absl::Seconds(15);
// Workers begin at so many points of the time that a lease takes, not all at once.
constexpr int kPhases = 500;
// The one call that is not a step of its worker.
constexpr char kBeside[] = "Heartbeat";

// A TCP connection of its own, as every real worker has.
std::shared_ptr<grpc::Channel> OwnChannel(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace

void Fleet::Fail(const std::string& what) {
  base::MutexLock lock(mutex_);
  if (error_.empty()) error_ = what;
  stopping = true;
}

std::string Fleet::error() {
  base::MutexLock lock(mutex_);
  return error_;
}

SimulatedWorker::SimulatedWorker(Fleet* fleet, const std::string& address, int number)
    : fleet_(fleet),
      delay_(number % kPhases * fleet->pause * (model::kProjectionCount + 1) / kPhases),
      id_(fmt::format("simulated-{}", number)),
      stub_(v1::DispatchService::NewStub(OwnChannel(address))) {}

template <typename Request, typename Response, typename Then>
void SimulatedWorker::Call(const std::string& name,
                           void (v1::DispatchService::StubInterface::async_interface::*method)(
                               grpc::ClientContext*, const Request*, Response*,
                               std::function<void(grpc::Status)>),
                           Request request, Then then) {
  struct State {
    grpc::ClientContext context;
    Request request;
    Response response;
    absl::Time start = absl::Now();
  };
  auto state = std::make_shared<State>();
  state->request = std::move(request);
  state->context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(120)));
  (stub_->async()->*method)(
      &state->context, &state->request, &state->response,
      [this, name, state, then = std::move(then)](const grpc::Status& status) {
        if (!status.ok()) {
          fleet_->Fail(fmt::format("{} of {}: {} ({})", name, id_, status.error_message(),
                                   static_cast<int>(status.error_code())));
          if (name != kBeside) --fleet_->active;
          return;
        }
        then(state->response, absl::Now() - state->start);
      });
}

template <typename Step>
void SimulatedWorker::Later(Step step) {
  due_ = std::max(due_ + fleet_->pause, absl::Now());
  fleet_->pacer.At(due_, step);
}

template <typename Request>
Request SimulatedWorker::Fenced() const {
  Request request;
  request.set_lease_id(lease_.lease_id());
  request.set_attempt(lease_.attempt());
  return request;
}

void SimulatedWorker::Start() {
  v1::RegisterRequest request;
  request.set_worker_id(id_);
  request.set_incarnation("first");
  request.set_version(base::GetBuildInfo().version);
  request.set_ranks(1);
  request.set_threads_per_rank(1);
  request.set_host("simulated");
  Call("Register", &v1::DispatchService::StubInterface::async_interface::Register, request,
       [this](const v1::RegisterResponse& /*response*/, absl::Duration took) {
         fleet_->latencies.Add("Register", took);
         last_heartbeat_ = absl::Now();
         fleet_->pacer.At(absl::Now() + delay_, [this] { Acquire(); });
       });
}

void SimulatedWorker::Acquire() {
  if (fleet_->stopping) {
    --fleet_->active;
    return;
  }
  v1::AcquireLeaseRequest request;
  request.set_worker_id(id_);
  request.set_incarnation("first");
  request.set_wait_seconds(2);
  Call("AcquireLease", &v1::DispatchService::StubInterface::async_interface::AcquireLease, request,
       [this](const v1::AcquireLeaseResponse& response, absl::Duration took) {
         // A poll that ends without a lease took as long as it was asked to; one that waited for
         // work says nothing about the coordinator either.
         if (response.has_lease() && lease_.has_task()) {
           fleet_->latencies.Add("AcquireLease", took);
         }
         Take(response);
       });
}

void SimulatedWorker::Take(const v1::AcquireLeaseResponse& response) {
  lease_ = response.lease();
  due_ = absl::Now();
  if (!response.has_lease()) {
    Acquire();
  } else if (lease_.task().has_calibrate()) {
    CommitHessians();
  } else if (lease_.task().has_compress()) {
    std::int64_t none = 0;
    fleet_->first.compare_exchange_strong(none, absl::ToUnixNanos(absl::Now()));
    Later([this] { CommitMatrix(lease_.task().compress().committed_size()); });
  } else {
    Complete();
  }
}

void SimulatedWorker::CommitHessians() {
  auto request = Fenced<v1::CommitHessiansRequest>();
  for (int layer = 0; layer < fleet_->layers; ++layer) {
    for (int k = 0; k < model::kHessianKindCount; ++k) {
      v1::HessianRef* hessian = request.add_hessians();
      hessian->set_layer(layer);
      hessian->set_range(lease_.task().calibrate().range());
      hessian->set_kind(model::HessianKindName(static_cast<model::HessianKind>(k)));
      *hessian->mutable_object() = fleet_->stand_ins->hessian;
    }
  }
  Call("CommitHessians", &v1::DispatchService::StubInterface::async_interface::CommitHessians,
       request, [this](const v1::CommitHessiansResponse& /*response*/, absl::Duration took) {
         fleet_->latencies.Add("CommitHessians", took);
         Complete();
       });
}

void SimulatedWorker::CommitMatrix(int projection) {
  if (projection == model::kProjectionCount) {
    Complete();
    return;
  }
  auto request = Fenced<v1::CommitMatrixRequest>();
  *request.mutable_matrix() =
      fleet_->stand_ins->matrices.at({lease_.task().compress().layer(), projection});
  Call("CommitMatrix", &v1::DispatchService::StubInterface::async_interface::CommitMatrix, request,
       [this, projection](const v1::CommitMatrixResponse& /*response*/, absl::Duration took) {
         fleet_->latencies.Add("CommitMatrix", took);
         ++fleet_->matrices;
         if (absl::Now() - last_heartbeat_ > kHeartbeat) Heartbeat();
         Later([this, projection] { CommitMatrix(projection + 1); });
       });
}

void SimulatedWorker::Complete() {
  auto request = Fenced<v1::CompleteLeaseRequest>();
  request.set_seconds(1);
  request.add_rank_flops(1e12);
  if (lease_.task().has_embeddings()) *request.mutable_shard() = fleet_->stand_ins->embeddings;
  Call("CompleteLease", &v1::DispatchService::StubInterface::async_interface::CompleteLease,
       request, [this](const v1::CompleteLeaseResponse& /*response*/, absl::Duration took) {
         fleet_->latencies.Add("CompleteLease", took);
         if (lease_.task().has_compress()) {
           ++fleet_->layers_done;
           fleet_->last = absl::ToUnixNanos(absl::Now());
         }
         Acquire();
       });
}

// Beside the lease's own calls: nothing waits for it.
void SimulatedWorker::Heartbeat() {
  last_heartbeat_ = absl::Now();
  auto request = Fenced<v1::HeartbeatRequest>();
  request.set_worker_id(id_);
  request.set_incarnation("first");
  request.set_progress(absl::ToUnixSeconds(last_heartbeat_));
  Call(kBeside, &v1::DispatchService::StubInterface::async_interface::Heartbeat, request,
       [this](const v1::HeartbeatResponse& /*response*/, absl::Duration took) {
         fleet_->latencies.Add(kBeside, took);
       });
}

}  // namespace caldera::bench
