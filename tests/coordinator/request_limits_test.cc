#include "coordinator/request_limits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "caldera/v1/checkpoint.pb.h"
#include "caldera/v1/compression.pb.h"
#include "caldera/v1/dispatch.pb.h"
#include "common/rpc/chunked.h"
#include "coordinator/error_details.h"

namespace caldera::coordinator {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

std::vector<std::string> BadFields(const google::protobuf::Message& request) {
  const absl::Status status = CheckRequestLimits(request);
  if (!status.ok()) {
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(ReasonOf(status), kReasonInvalidRequest);
  }
  std::vector<std::string> fields;
  for (const auto& violation : rpc::GetFieldViolations(status)) fields.push_back(violation.field);
  return fields;
}

TEST(RequestLimits, AcceptsOrdinaryRequests) {
  v1::CreateCompressionJobRequest create;
  create.mutable_spec()->set_model_uri("file:///" + std::string(4088, 'x'));
  EXPECT_THAT(BadFields(create), IsEmpty());
  EXPECT_THAT(BadFields(v1::AcquireLeaseRequest()), IsEmpty());
}

TEST(RequestLimits, NamesEachTextThatIsTooLongByItsPath) {
  v1::CreateCompressionJobRequest create;
  create.set_job_id(std::string(4097, 'x'));
  create.mutable_spec()->mutable_calibration()->set_uri(std::string(5000, 'x'));
  EXPECT_THAT(BadFields(create), ElementsAre("job_id", "spec.calibration.uri"));
}

TEST(RequestLimits, RefusesControlCharacters) {
  v1::RegisterRequest request;
  request.set_host("node\x1b[2J");
  request.set_worker_id(std::string("a\0b", 3));
  EXPECT_THAT(BadFields(request), ElementsAre("worker_id", "host"));
}

TEST(RequestLimits, LooksIntoLists) {
  v1::CommitHessiansRequest request;
  request.add_hessians()->set_kind("attn_in");
  request.add_hessians()->mutable_object()->set_sha256(std::string(5000, 'a'));
  EXPECT_THAT(BadFields(request), ElementsAre("hessians[1].object.sha256"));
  v1::CompressTask task;
  task.add_committed("q");
  task.add_committed("\n");
  EXPECT_THAT(BadFields(task), ElementsAre("committed[1]"));
}

TEST(RequestLimits, BoundsTheLengthOfLists) {
  v1::CompleteLeaseRequest request;
  for (int i = 0; i < 10'000; ++i) request.add_rank_flops(1);
  EXPECT_THAT(BadFields(request), IsEmpty());
  request.add_rank_flops(1);
  EXPECT_THAT(BadFields(request), ElementsAre("rank_flops"));
}

TEST(RequestLimits, ErrorsOfWorkersMayBeLonger) {
  v1::FailLeaseRequest fail;
  fail.mutable_error()->set_message(std::string(65'536, '\n'));
  EXPECT_THAT(BadFields(fail), IsEmpty());
  fail.mutable_error()->set_message(std::string(65'537, 'x'));
  EXPECT_THAT(BadFields(fail), ElementsAre("error.message"));
}

TEST(RequestLimits, StopsCountingBadFields) {
  v1::CommitHessiansRequest request;
  for (int i = 0; i < 100; ++i) request.add_hessians()->set_kind("\t");
  EXPECT_THAT(BadFields(request), SizeIs(10));
}

}  // namespace
}  // namespace caldera::coordinator
