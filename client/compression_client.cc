#include "client/compression_client.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "common/base/status.h"
#include "common/rpc/health.h"
#include "common/rpc/status_conversion.h"

namespace caldera::client {
namespace {

constexpr absl::Duration kCallTimeout = absl::Seconds(60);  // submitting tokenises the text
constexpr absl::Duration kResumeTimeout = absl::Hours(1);   // hashes what is committed
constexpr absl::Duration kPause = absl::Milliseconds(300);
constexpr int kPageSize = 1000;

}  // namespace

std::string JobName(const std::string& job) {
  constexpr char kPrefix[] = "compressionJobs/";
  return job.starts_with(kPrefix) ? job : kPrefix + job;
}

bool HasEnded(v1::State state) {
  return state == v1::SUCCEEDED || state == v1::FAILED || state == v1::CANCELLED;
}

CompressionClient::CompressionClient(std::string address, std::shared_ptr<grpc::Channel> channel,
                                     absl::Duration patience)
    : address_(std::move(address)),
      channel_(std::move(channel)),
      stub_(v1::CompressionService::NewStub(channel_)),
      checkpoints_(v1::CheckpointService::NewStub(channel_)),
      patience_(patience) {}

absl::StatusOr<std::unique_ptr<CompressionClient>> CompressionClient::Connect(
    const std::string& address, const rpc::ChannelOptions& options, absl::Duration patience) {
  CALDERA_ASSIGN_OR_RETURN(auto channel, rpc::MakeChannel(address, options));
  return std::unique_ptr<CompressionClient>(
      new CompressionClient(address, std::move(channel), patience));
}

template <typename Call>
absl::Status CompressionClient::Retry(Call call) {
  return Retry(std::move(call), kCallTimeout);
}

template <typename Call>
absl::Status CompressionClient::Retry(Call call, absl::Duration timeout) {
  const absl::Time give_up = absl::Now() + patience_;
  while (true) {
    grpc::ClientContext context;
    rpc::SetTimeout(context, timeout);
    const absl::Status status = rpc::FromGrpc(call(&context));
    if (!absl::IsUnavailable(status)) return status;
    if (absl::Now() >= give_up) return base::WithContext(status, "coordinator " + address_);
    absl::SleepFor(kPause);
  }
}

absl::StatusOr<v1::CompressionJob> CompressionClient::Create(
    const v1::CreateCompressionJobRequest& request) {
  v1::CompressionJob job;
  CALDERA_RETURN_IF_ERROR(
      Retry([&](auto* context) { return stub_->CreateCompressionJob(context, request, &job); }));
  return job;
}

absl::StatusOr<v1::CompressionJob> CompressionClient::Get(const std::string& job) {
  v1::GetCompressionJobRequest request;
  request.set_name(JobName(job));
  v1::CompressionJob found;
  CALDERA_RETURN_IF_ERROR(
      Retry([&](auto* context) { return stub_->GetCompressionJob(context, request, &found); }));
  return found;
}

absl::StatusOr<v1::CompressionJob> CompressionClient::Cancel(const std::string& job) {
  v1::CancelCompressionJobRequest request;
  request.set_name(JobName(job));
  v1::CompressionJob cancelled;
  CALDERA_RETURN_IF_ERROR(Retry(
      [&](auto* context) { return stub_->CancelCompressionJob(context, request, &cancelled); }));
  return cancelled;
}

absl::StatusOr<v1::CompressionJob> CompressionClient::Resume(
    const v1::ResumeCompressionJobRequest& request) {
  v1::ResumeCompressionJobRequest named = request;
  named.set_name(JobName(request.name()));
  v1::CompressionJob resumed;
  CALDERA_RETURN_IF_ERROR(
      Retry([&](auto* context) { return stub_->ResumeCompressionJob(context, named, &resumed); },
            kResumeTimeout));
  return resumed;
}

absl::Status CompressionClient::Delete(const std::string& job) {
  v1::DeleteCompressionJobRequest request;
  request.set_name(JobName(job));
  google::protobuf::Empty empty;
  return Retry(
      [&](auto* context) { return stub_->DeleteCompressionJob(context, request, &empty); });
}

absl::StatusOr<std::vector<v1::CompressionJob>> CompressionClient::List(const std::string& filter) {
  std::vector<v1::CompressionJob> jobs;
  v1::ListCompressionJobsRequest request;
  request.set_filter(filter);
  request.set_page_size(kPageSize);
  do {
    v1::ListCompressionJobsResponse page;
    CALDERA_RETURN_IF_ERROR(
        Retry([&](auto* context) { return stub_->ListCompressionJobs(context, request, &page); }));
    jobs.insert(jobs.end(), page.jobs().begin(), page.jobs().end());
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return jobs;
}

absl::StatusOr<std::vector<v1::Layer>> CompressionClient::ListLayers(const std::string& job) {
  std::vector<v1::Layer> layers;
  v1::ListLayersRequest request;
  request.set_parent(JobName(job));
  request.set_page_size(kPageSize);
  do {
    v1::ListLayersResponse page;
    CALDERA_RETURN_IF_ERROR(
        Retry([&](auto* context) { return stub_->ListLayers(context, request, &page); }));
    layers.insert(layers.end(), page.layers().begin(), page.layers().end());
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return layers;
}

absl::StatusOr<std::vector<v1::Worker>> CompressionClient::ListWorkers() {
  std::vector<v1::Worker> workers;
  v1::ListWorkersRequest request;
  request.set_page_size(kPageSize);
  do {
    v1::ListWorkersResponse page;
    CALDERA_RETURN_IF_ERROR(
        Retry([&](auto* context) { return stub_->ListWorkers(context, request, &page); }));
    workers.insert(workers.end(), page.workers().begin(), page.workers().end());
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return workers;
}

absl::Status CompressionClient::WatchOnce(const std::string& name, std::int64_t& sequence,
                                          const OnEvent& on_event, v1::CompressionJob& last) {
  v1::WatchCompressionJobRequest request;
  request.set_name(name);
  request.set_after_sequence(sequence);
  grpc::ClientContext context;
  const auto stream = stub_->WatchCompressionJob(&context, request);
  for (v1::JobEvent event; stream->Read(&event);) {
    sequence = event.sequence();
    last = event.job();
    if (on_event(event)) continue;
    context.TryCancel();
    stream->Finish();
    return base::Cancelled("stopped watching {}", name);
  }
  const absl::Status status = rpc::FromGrpc(stream->Finish());
  // Not our doing: a coordinator that shuts down cancels its streams.
  if (absl::IsCancelled(status)) return base::Unavailable("the stream of events was closed");
  return status;
}

absl::StatusOr<v1::CompressionJob> CompressionClient::Watch(const std::string& job,
                                                            std::int64_t after_sequence,
                                                            const OnEvent& on_event) {
  const std::string name = JobName(job);
  std::int64_t sequence = after_sequence;
  v1::CompressionJob last;
  absl::Time give_up = absl::Now() + patience_;
  while (true) {
    const std::int64_t before = sequence;
    const absl::Status status = WatchOnce(name, sequence, on_event, last);
    if (HasEnded(last.state())) return last;
    if (!status.ok() && !absl::IsUnavailable(status)) return status;
    if (status.ok()) {
      CALDERA_ASSIGN_OR_RETURN(last, Get(name));
      if (HasEnded(last.state())) return last;
    }
    if (sequence != before) give_up = absl::Now() + patience_;
    if (!status.ok() && absl::Now() >= give_up) {
      return base::WithContext(status, "coordinator " + address_);
    }
    absl::SleepFor(kPause);
  }
}

absl::StatusOr<rpc::ServingStatus> CompressionClient::Health(const std::string& service) {
  auto status = rpc::CheckHealth(channel_, service, patience_);
  if (!status.ok()) return base::WithContext(status.status(), "coordinator " + address_);
  return status;
}

}  // namespace caldera::client
