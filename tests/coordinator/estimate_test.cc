#include "coordinator/estimate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/status.h"
#include "common/rpc/status_conversion.h"
#include "tests/coordinator/scripted_worker.h"

namespace caldera::coordinator {
namespace {

using testing::HasSubstr;

class EstimateTest : public testing::Test {
 protected:
  EstimateTest() {
    *request_.mutable_spec() = cluster_.spec();
    request_.mutable_spec()->clear_output_uri();
    request_.mutable_spec()->mutable_calibration()->clear_uri();
    v1::MachineRates& rates = *request_.mutable_rates();
    rates.set_sgemm_flops(1e11);
    for (const auto set :
         {&v1::MachineRates::set_e8p_2, &v1::MachineRates::set_e8p_3, &v1::MachineRates::set_e8p_4,
          &v1::MachineRates::set_trellis_10, &v1::MachineRates::set_trellis_12}) {
      (rates.*set)(1e7);
    }
  }
  absl::StatusOr<v1::EstimateResponse> Ask() { return cluster_.coordinator().Estimate(request_); }
  void ExpectViolation(const std::string& field) {
    const absl::Status status = Ask().status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    const auto violations = rpc::GetFieldViolations(status);
    ASSERT_EQ(violations.size(), 1U) << status;
    EXPECT_EQ(violations.front().field, field);
  }

  Cluster cluster_;
  v1::EstimateRequest request_;
};

TEST_F(EstimateTest, TellsWhatTheJobThenGives) {
  const v1::EstimateResponse estimate = Must(Ask());
  EXPECT_TRUE(Must(cluster_.coordinator().ListJobs({})).jobs().empty());

  cluster_.Create("a");
  ScriptedWorker worker(&cluster_, "w1");
  worker.WorkAll();
  const v1::CompressionJob job = cluster_.Get("a");
  ASSERT_EQ(job.state(), v1::SUCCEEDED);
  EXPECT_EQ(estimate.bits_per_weight(), job.result().bits_per_weight());
  EXPECT_EQ(estimate.model().sha256(), job.model().sha256());
  EXPECT_EQ(estimate.projections_size(), 7);
  EXPECT_EQ(estimate.projections(4).name(), "mlp.gate_proj");
  EXPECT_GT(estimate.flops(), 0);
  EXPECT_GT(estimate.peak_memory_bytes(), 0);
}

TEST_F(EstimateTest, TakesTheWorkersThatAreThere) {
  EXPECT_EQ(Must(Ask()).setup().workers(), 1);
  ScriptedWorker first(&cluster_, "w1");
  ScriptedWorker second(&cluster_, "w2");
  const v1::EstimateResponse two = Must(Ask());
  EXPECT_EQ(two.setup().workers(), 2);
  EXPECT_EQ(two.setup().cores(), 2);  // a scripted worker says two threads

  request_.mutable_setup()->set_workers(1);
  const v1::EstimateResponse one = Must(Ask());
  EXPECT_EQ(one.setup().workers(), 1);
  EXPECT_GT(one.hours(), two.hours());
  EXPECT_EQ(one.cpu_hours(), two.cpu_hours());

  request_.mutable_setup()->set_workers(0);
  cluster_.Advance(absl::Hours(1));
  EXPECT_EQ(Must(Ask()).setup().workers(), 1) << "both are lost";
}

TEST_F(EstimateTest, NamesWhatIsWrong) {
  request_.mutable_spec()->mutable_decomposition()->set_rank(4000);
  ExpectViolation("decomposition.rank");
  *request_.mutable_spec() = cluster_.spec();
  request_.mutable_rates()->set_e8p_3(0);
  ExpectViolation("rates.e8p_3");
  request_.mutable_rates()->set_e8p_3(1);
  request_.mutable_setup()->set_cores(-1);
  ExpectViolation("setup.cores");
  request_.mutable_setup()->set_cores(1);
  request_.mutable_spec()->set_model_uri("file:///nowhere/model");
  const absl::Status missing = Ask().status();
  EXPECT_TRUE(absl::IsNotFound(missing)) << missing;
  EXPECT_THAT(base::MessageOf(missing), HasSubstr("/nowhere/model"));
}

}  // namespace
}  // namespace caldera::coordinator
