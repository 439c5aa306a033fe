// A job with target_bits through the coordinator: probes, then an allotment, then matrices that
// keep to it.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/store/checkpoint_reader.h"
#include "tests/coordinator/scripted_worker.h"

namespace caldera::coordinator {
namespace {

TEST(Target, AJobProbesBeforeItAllotsBits) {
  Cluster cluster;
  v1::JobSpec spec = cluster.spec();
  spec.mutable_decomposition()->clear_q_bits();
  spec.mutable_decomposition()->set_target_bits(16);  // room for 4 bits everywhere
  const v1::CompressionJob created = cluster.Create("a", spec);
  EXPECT_GT(created.matrix_budget_bytes(), 0);
  ScriptedWorker worker(&cluster, "w1");
  v1::Lease lease = worker.Lease();
  int probes = 0;
  for (; !lease.task().has_compress(); lease = worker.Lease()) {
    probes += lease.task().has_probe() ? 1 : 0;
    Must(worker.Work(lease));
    cluster.Restart();  // what probes found survives
    worker.Register();
  }
  EXPECT_EQ(probes, 2);
  EXPECT_EQ(cluster.Get("a").progress().probe_tasks_done(), 2);
  EXPECT_EQ(std::vector<double>(lease.task().compress().q_bits().begin(),
                                lease.task().compress().q_bits().end()),
            std::vector<double>(7, 4));
  worker.WorkAll();

  ASSERT_EQ(cluster.Get("a").state(), v1::SUCCEEDED);
  const store::Checkpoint checkpoint = Must(store::OpenCheckpoint(cluster.path("out")));
  EXPECT_EQ(checkpoint.manifest.spec.decomposition.target_bits, 16);
  for (const store::ManifestMatrix& matrix : checkpoint.manifest.matrices) {
    EXPECT_EQ(matrix.q_bits, 4);
    EXPECT_EQ(matrix.probe_divergence, .125);
  }
  const std::vector<std::string> events = cluster.EventTypes("a");
  EXPECT_EQ(std::count(events.begin(), events.end(), "bits.allotted"), 1);
}

TEST(Target, AMatrixWithOtherBitsThanItsAllotmentIsRefused) {
  Cluster cluster;
  v1::JobSpec spec = cluster.spec();
  spec.mutable_decomposition()->clear_q_bits();
  spec.mutable_decomposition()->set_target_bits(16);
  cluster.Create("a", spec);
  ScriptedWorker worker(&cluster, "w1");
  v1::Lease lease = worker.WorkUntilCompress();
  lease.mutable_task()->mutable_compress()->clear_q_bits();  // so it makes 2 bits

  const auto response = worker.CommitMatrix(lease, 0);

  EXPECT_EQ(response.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(base::MessageOf(response.status()).find("asks for 4 bits"), std::string::npos);
}

}  // namespace
}  // namespace caldera::coordinator
