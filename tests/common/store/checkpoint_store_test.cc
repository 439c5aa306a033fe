// Every store against one contract, and OpenStore.
#include "common/store/checkpoint_store.h"

#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cstdio>
#include <fstream>

#include "common/base/file.h"
#include "common/store/file_store.h"
#include "common/store/keys.h"
#include "common/store/memory_store.h"
#include "tests/common/store/s3_test_bucket.h"
#include "tests/contracts/checkpoint_store_contract.h"

namespace caldera::store {
namespace {

constexpr std::uint64_t kSmallBytes = std::uint64_t{1} << 20;

// A directory that holds about 1 MiB: a tmpfs where mounting is allowed; elsewhere every file of
// the process is limited to that size, which ends writes with EFBIG instead of ENOSPC. Both always
// run.
class SmallDisk {
 public:
  explicit SmallDisk(const std::string& directory) : directory_(directory) {
    mounted_ = mount("tmpfs", directory.c_str(), "tmpfs", 0, "size=1m") == 0;
    std::printf("small disk: %s\n", mounted_ ? "tmpfs" : "RLIMIT_FSIZE");
    if (mounted_) return;
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit small = {kSmallBytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
  }
  ~SmallDisk() {
    if (mounted_) {
      umount2(directory_.c_str(), MNT_DETACH);
    } else {
      setrlimit(RLIMIT_FSIZE, &before_);
    }
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

 private:
  const std::string directory_;
  bool mounted_ = false;
  rlimit before_ = {};
};

class FileHarness final : public StoreHarness {
 public:
  explicit FileHarness(Space space) : directory_(base::TempDirectory::Create().value()) {
    if (space == Space::kSmall) disk_ = std::make_unique<SmallDisk>(directory_.path());
    store_ = FileStore::Open(directory_.path() + "/store").value();
  }
  CheckpointStore& store() override { return *store_; }
  std::string output_uri() override { return "file://" + directory_.path() + "/deep/output"; }
  absl::StatusOr<std::string> ReadPublished(const std::string& file) override {
    return base::ReadFile(directory_.path() + "/deep/output/" + file);
  }
  void DamageObject(const std::string& sha256) override {
    const std::string path = store_->ObjectPath(sha256);
    ASSERT_EQ(chmod(path.c_str(), 0644), 0);
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.put('!');
    ASSERT_TRUE(file.good());
  }

 private:
  base::TempDirectory directory_;
  std::unique_ptr<SmallDisk> disk_;
  std::unique_ptr<FileStore> store_;
};

class MemoryHarness final : public StoreHarness {
 public:
  explicit MemoryHarness(Space space)
      : store_("test", space == Space::kSmall ? kSmallBytes : MemoryStore::kUnlimited) {}
  CheckpointStore& store() override { return store_; }
  std::string output_uri() override { return "memory://test/output"; }
  absl::StatusOr<std::string> ReadPublished(const std::string& file) override {
    return store_.ReadPublished(output_uri(), file);
  }
  void DamageObject(const std::string& sha256) override {
    ASSERT_TRUE(store_.DamageObject(sha256, 0).ok());
  }

 private:
  MemoryStore store_;
};

class S3Harness final : public StoreHarness {
 public:
  explicit S3Harness(Space space)
      : bucket_(space == Space::kSmall ? BucketOf::kSmallUser : BucketOf::kAnyone) {
    S3StoreOptions options;
    options.page_size = 3;
    // A part that does not fit, and nobody goes on before it is known.
    if (space == Space::kSmall) options.parts = {kSmallBytes + 1, 1};
    store_ = bucket_.OpenStore(options);
  }
  CheckpointStore& store() override { return *store_; }
  std::string output_uri() override { return Output().Uri(); }
  absl::StatusOr<std::string> ReadPublished(const std::string& file) override {
    return GetObject(bucket_.client(), Output().Below(file));
  }
  void DamageObject(const std::string& sha256) override {
    const S3Location object = bucket_.root().Below("store/" + ObjectKey(sha256));
    std::string bytes = GetObject(bucket_.client(), object).value();
    bytes.front() = '!';
    ASSERT_TRUE(
        PutObject(bucket_.client(), object, std::as_bytes(std::span(bytes)), IfPresent::kReplace)
            .ok());
  }

 private:
  S3Location Output() const { return bucket_.root().Below("deep/output"); }

  S3TestBucket bucket_;
  std::unique_ptr<S3Store> store_;
};

template <typename Harness>
std::unique_ptr<StoreHarness> Make(Space space) {
  return std::make_unique<Harness>(space);
}

INSTANTIATE_TEST_SUITE_P(File, CheckpointStoreContract, testing::Values(Make<FileHarness>));
INSTANTIATE_TEST_SUITE_P(Memory, CheckpointStoreContract, testing::Values(Make<MemoryHarness>));
INSTANTIATE_TEST_SUITE_P(S3, CheckpointStoreContract,
                         testing::ValuesIn(HasTestBucket()
                                               ? std::vector<HarnessFactory>{Make<S3Harness>}
                                               : std::vector<HarnessFactory>{}));

TEST(OpenStore, ChoosesByScheme) {
  const auto directory = base::TempDirectory::Create().value();
  EXPECT_EQ(OpenStore(directory.path() + "/a").value()->uri(), "file://" + directory.path() + "/a");
  EXPECT_EQ(OpenStore("file://" + directory.path() + "/b/").value()->uri(),
            "file://" + directory.path() + "/b");
  EXPECT_EQ(OpenStore("memory://x").value()->uri(), "memory://x");
}

TEST(OpenStore, RefusesWhatItDoesNotKnow) {
  for (const std::string uri : {"", "relative/path", "gopher://x", "file://host/x",
                                "file:///a/../b", "s4://bucket", "https://host/x"}) {
    const auto store = OpenStore(uri);
    EXPECT_TRUE(absl::IsInvalidArgument(store.status())) << uri << ": " << store.status();
  }
}

TEST(OpenStore, NamesAPathThatIsAFile) {
  const auto directory = base::TempDirectory::Create().value();
  const std::string path = directory.path() + "/file";
  ASSERT_TRUE(base::WriteFile(path, "x").ok());
  const auto store = OpenStore(path + "/store");
  ASSERT_FALSE(store.ok());
  EXPECT_THAT(base::MessageOf(store.status()), testing::HasSubstr(path));
}

}  // namespace
}  // namespace caldera::store
