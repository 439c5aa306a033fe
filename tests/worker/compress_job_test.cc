#include "worker/compress_job.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "common/model/compressed_matrix_io.h"
#include "common/model/safetensors.h"
#include "tests/worker/job_runs.h"

namespace caldera::worker {
namespace {

// Calibrated on one rank; each test compresses as it likes.
class CompressJobTest : public testing::Test {
 protected:
  CompressJobTest() { Calibrate(fixture_, 1); }

  v1::Lease Lease(int layer) {
    return CompressLease(fixture_, layer, fixture_.dispatch().hessians());
  }
  void ExpectAllFail(const v1::Lease& lease, const std::function<bool(const absl::Status&)>& is) {
    for (const absl::Status& status : fixture_.Run(lease, 2, RunCompress)) {
      EXPECT_TRUE(is(status)) << status;
    }
    EXPECT_TRUE(fixture_.dispatch().matrices().empty());
  }

  JobFixture fixture_;
};

// Both layers from the text on, all on this number of ranks.
MatrixObjects WholeJob(int ranks) {
  JobFixture fixture;
  Calibrate(fixture, ranks);
  for (const int layer : {0, 1}) {
    const v1::Lease lease = CompressLease(fixture, layer, fixture.dispatch().hessians());
    for (const absl::Status& status : fixture.Run(lease, ranks, RunCompress)) Must(status);
  }
  return CommittedMatrices(fixture);
}

TEST(CompressJob, StoresTheSameBytesForAnyNumberOfRanks) {
  const MatrixObjects alone = WholeJob(1);

  ASSERT_EQ(alone.size(), 14U);
  EXPECT_EQ(WholeJob(2), alone);
  EXPECT_EQ(WholeJob(3), alone);
}

TEST_F(CompressJobTest, NoticesWeightsThatChangedSinceTheCalibration) {
  const v1::Lease lease = Lease(1);
  // In place, with the same names, shapes and sizes; one bit.
  auto tensors = coordinator::RandomTensors(SmallConfig());
  const auto changed = std::find_if(tensors.begin(), tensors.end(), [](const auto& tensor) {
    return tensor.declaration.name == "model.layers.1.self_attn.q_proj.weight";
  });
  ASSERT_NE(changed, tensors.end());
  changed->bytes[20] ^= std::byte{1};
  coordinator::WriteBytes(fixture_.model_path() + "/model.safetensors",
                          Must(model::WriteSafetensors({}, tensors)));
  // The fingerprint samples a file this small whole; take it as unchanged.
  v1::Lease unnoticed = lease;
  unnoticed.set_model_sha256(Must(model::OpenModel(fixture_.model_path())).fingerprint_sha256);

  ExpectAllFail(unnoticed, absl::IsDataLoss);
  const std::string error = base::MessageOf(fixture_.Run(unnoticed, 1, RunCompress).front());
  EXPECT_THAT(error, testing::HasSubstr("model.layers.1.self_attn.q_proj.weight"));
  EXPECT_THAT(error, testing::HasSubstr("changed under the job"));
}

TEST_F(CompressJobTest, CommitsEachMatrixOfTheLayerUnderItsName) {
  const v1::Lease lease = Lease(1);
  ASSERT_TRUE(fixture_.Run(lease, 1, RunCompress).front().ok());

  const auto commits = fixture_.dispatch().matrices();
  ASSERT_EQ(commits.size(), 7U);
  for (const v1::CommitMatrixRequest& commit : commits) {
    const v1::MatrixResult& result = commit.matrix();
    std::vector<std::byte> bytes(static_cast<std::size_t>(result.object().size()));
    ASSERT_TRUE(fixture_.store().ReadObject(result.object().sha256(), 0, bytes).ok());
    const auto file = Must(model::SafetensorsFile::Open(
        std::make_unique<model::MemoryByteSource>("object", std::move(bytes))));
    const std::string prefix = "model.layers.1." + result.projection();
    EXPECT_EQ(model::MatrixPrefixes(file->metadata()), std::vector<std::string>{prefix});
    const auto matrix = Must(model::ReadMatrix(*file, prefix, file->metadata().at(prefix)));
    EXPECT_EQ(matrix.header.rows, result.rows());
    EXPECT_EQ(matrix.header.columns, result.columns());
    EXPECT_EQ(matrix.header.rank, 5);
    EXPECT_EQ(result.bits_per_weight(), model::BitsPerWeight(matrix.header));
    EXPECT_EQ(commit.lease_id(), lease.lease_id());
    EXPECT_EQ(commit.attempt(), 1);
  }
}

TEST_F(CompressJobTest, ReportsTheErrorOfTheIterateThatItKept) {
  ASSERT_TRUE(fixture_.Run(Lease(0), 1, RunCompress).front().ok());

  for (const v1::CommitMatrixRequest& commit : fixture_.dispatch().matrices()) {
    const v1::MatrixResult& result = commit.matrix();
    ASSERT_GE(result.error_curve_size(), result.best_iteration());
    ASSERT_GE(result.best_iteration(), 1);
    EXPECT_EQ(result.relative_error(),
              *std::min_element(result.error_curve().begin(), result.error_curve().end()));
    EXPECT_GT(result.relative_error(), 0);
    EXPECT_LT(result.relative_error(), 1);  // better than storing zero
    EXPECT_GT(result.flops(), 0);
  }
}

TEST_F(CompressJobTest, CountsTheWorkOfEachRank) {
  std::vector<double> flops;
  fixture_.Run(Lease(0), 2, [&](TaskContext& context) {
    const absl::Status status = RunCompress(context);
    if (context.leader != nullptr) flops = context.rank_flops;
    return status;
  });

  ASSERT_EQ(flops.size(), 2U);
  double total = 0;
  for (const auto& commit : fixture_.dispatch().matrices()) total += commit.matrix().flops();
  EXPECT_GT(flops[0], 0);
  EXPECT_GT(flops[1], 0);
  EXPECT_DOUBLE_EQ(flops[0] + flops[1], total);
}

TEST_F(CompressJobTest, GoesOnWhereAnEarlierAttemptEnded) {
  ASSERT_TRUE(fixture_.Run(Lease(0), 1, RunCompress).front().ok());
  const MatrixObjects whole = CommittedMatrices(fixture_);
  const std::size_t before = fixture_.dispatch().matrices().size();
  v1::Lease lease = Lease(0);
  for (const std::string done : {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
                                 "self_attn.o_proj", "mlp.gate_proj"}) {
    lease.mutable_task()->mutable_compress()->add_committed(done);
  }

  ASSERT_TRUE(fixture_.Run(lease, 2, RunCompress).front().ok());

  const auto commits = fixture_.dispatch().matrices();
  ASSERT_EQ(commits.size(), before + 2);
  EXPECT_EQ(commits[before].matrix().projection(), "mlp.up_proj");
  EXPECT_EQ(commits[before + 1].matrix().projection(), "mlp.down_proj");
  EXPECT_EQ(CommittedMatrices(fixture_), whole);
}

TEST_F(CompressJobTest, AddsThePartialHessiansInRangeOrderHoweverTheyAreListed) {
  v1::Lease lease = Lease(0);
  ASSERT_TRUE(fixture_.Run(lease, 1, RunCompress).front().ok());
  const MatrixObjects listed_in_order = CommittedMatrices(fixture_);
  auto& hessians = *lease.mutable_task()->mutable_compress()->mutable_hessians();
  std::reverse(hessians.begin(), hessians.end());

  ASSERT_TRUE(fixture_.Run(lease, 1, RunCompress).front().ok());

  EXPECT_EQ(CommittedMatrices(fixture_), listed_in_order);
}

TEST_F(CompressJobTest, EndsOnEveryRankWhenAHessianIsMissing) {
  v1::Lease lease = Lease(0);
  lease.mutable_task()->mutable_compress()->mutable_hessians(0)->mutable_object()->set_sha256(
      std::string(64, 'a'));
  ExpectAllFail(lease, absl::IsNotFound);
}

TEST_F(CompressJobTest, EndsOnEveryRankWhenAHessianIsDamaged) {
  const v1::Lease lease = Lease(0);
  const auto& object = lease.task().compress().hessians(0).object();
  ASSERT_TRUE(fixture_.store().DamageObject(object.sha256(), 1).ok());
  ExpectAllFail(lease, absl::IsDataLoss);
}

TEST_F(CompressJobTest, EndsOnEveryRankWhenThereAreNoHessians) {
  ExpectAllFail(CompressLease(fixture_, 0, {}), absl::IsInvalidArgument);
}

TEST_F(CompressJobTest, StartsNoMatrixWhileDraining) {
  fixture_.drain().Request();
  ExpectAllFail(Lease(0), absl::IsCancelled);
}

TEST_F(CompressJobTest, EndsOnEveryRankWhenTheCommitIsRefused) {
  fixture_.dispatch().FailCalls(1, base::FailedPrecondition("stale lease"));
  ExpectAllFail(Lease(0), absl::IsFailedPrecondition);
}

}  // namespace
}  // namespace caldera::worker
