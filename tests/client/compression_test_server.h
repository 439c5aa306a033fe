// A real CompressionService in this process whose answers are written down beforehand.
#ifndef CALDERA_TESTS_CLIENT_COMPRESSION_TEST_SERVER_H_
#define CALDERA_TESTS_CLIENT_COMPRESSION_TEST_SERVER_H_

#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "caldera/v1/compression.grpc.pb.h"
#include "common/base/mutex.h"
#include "common/base/status.h"
#include "common/rpc/status_conversion.h"

namespace caldera::client {

class CompressionTestServer final : public v1::CompressionService::Service {
 public:
  // One stream of WatchCompressionJob: these events, then this status.
  struct Stream {
    std::vector<v1::JobEvent> events;
    absl::Status end;
  };
  // Streams are used up in order; without one the service is UNAVAILABLE.
  void AddStream(Stream stream) {
    base::MutexLock lock(mutex_);
    streams_.push_back(std::move(stream));
  }
  // The next `count` unary calls fail.
  void FailCalls(int count, const absl::Status& status) {
    base::MutexLock lock(mutex_);
    failures_ = count;
    failure_ = status;
  }
  // What the other calls are about.
  void SetJob(const v1::CompressionJob& job) {
    base::MutexLock lock(mutex_);
    job_ = job;
  }

  std::vector<v1::WatchCompressionJobRequest> watches() const { return Get(watches_); }
  // Names and page tokens that were asked for, in order.
  std::vector<std::string> asked() const { return Get(asked_); }

  grpc::Status GetCompressionJob(grpc::ServerContext* /*context*/,
                                 const v1::GetCompressionJobRequest* request,
                                 v1::CompressionJob* response) override {
    *response = Get(job_);
    return Ask(request->name());
  }
  grpc::Status CancelCompressionJob(grpc::ServerContext* /*context*/,
                                    const v1::CancelCompressionJobRequest* request,
                                    v1::CompressionJob* response) override {
    *response = Get(job_);
    return Ask(request->name());
  }
  grpc::Status DeleteCompressionJob(grpc::ServerContext* /*context*/,
                                    const v1::DeleteCompressionJobRequest* request,
                                    google::protobuf::Empty* /*response*/) override {
    return Ask(request->name());
  }
  // Three pages of one job each: "page 1", "page 2", "page 3".
  grpc::Status ListCompressionJobs(grpc::ServerContext* /*context*/,
                                   const v1::ListCompressionJobsRequest* request,
                                   v1::ListCompressionJobsResponse* response) override {
    const int page = request->page_token().empty() ? 1 : std::stoi(request->page_token());
    response->add_jobs()->set_name("page " + std::to_string(page));
    if (page < 3) response->set_next_page_token(std::to_string(page + 1));
    return Ask(request->filter() + request->page_token());
  }
  grpc::Status WatchCompressionJob(grpc::ServerContext* /*context*/,
                                   const v1::WatchCompressionJobRequest* request,
                                   grpc::ServerWriter<v1::JobEvent>* writer) override {
    const Stream stream = Next(*request);
    for (const v1::JobEvent& event : stream.events) writer->Write(event);
    return rpc::ToGrpc(stream.end);
  }

 private:
  template <typename T>
  T Get(const T& value) const {
    base::MutexLock lock(mutex_);
    return value;
  }
  grpc::Status Ask(const std::string& name) {
    base::MutexLock lock(mutex_);
    asked_.push_back(name);
    if (failures_ == 0) return grpc::Status::OK;
    --failures_;
    return rpc::ToGrpc(failure_);
  }
  Stream Next(const v1::WatchCompressionJobRequest& request) {
    base::MutexLock lock(mutex_);
    watches_.push_back(request);
    if (streams_.empty()) return {{}, base::Unavailable("no coordinator")};
    Stream stream = std::move(streams_.front());
    streams_.pop_front();
    return stream;
  }

  mutable base::Mutex mutex_;
  std::deque<Stream> streams_;
  int failures_ = 0;
  absl::Status failure_;
  v1::CompressionJob job_;
  std::vector<v1::WatchCompressionJobRequest> watches_;
  std::vector<std::string> asked_;
};

}  // namespace caldera::client

#endif  // CALDERA_TESTS_CLIENT_COMPRESSION_TEST_SERVER_H_
