#include "common/model/data_matrix.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "common/base/file.h"
#include "common/base/status.h"
#include "common/model/npy.h"
#include "tests/common/model/test_files.h"

namespace caldera::model {
namespace {

using testing::Bytes;
using testing::BytesOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::Ramp;

class DataMatrixFiles : public ::testing::Test {
 protected:
  std::string Put(const std::string& name, const Bytes& bytes) {
    const std::string path = directory_->path() + "/" + name;
    const auto* data = reinterpret_cast<const char*>(bytes.data());
    EXPECT_TRUE(base::WriteFile(path, std::string(data, bytes.size())).ok());
    return path;
  }
  std::string PutTensors(const std::vector<SafetensorsTensor>& tensors) {
    return Put("x.safetensors", *WriteSafetensors({}, tensors));
  }
  // The error of a file, which always names it.
  static std::string ErrorOf(const std::string& path, const std::string& tensor = "") {
    const std::string error = base::MessageOf(ReadDataMatrix(path, tensor).status());
    EXPECT_THAT(error, HasSubstr(path));
    return error;
  }

 private:
  absl::StatusOr<base::TempDirectory> directory_ = base::TempDirectory::Create();
};

SafetensorsTensor Floats(const std::string& name, std::vector<std::int64_t> shape) {
  std::int64_t count = 1;
  for (const std::int64_t size : shape) count *= size;
  return {{name, Dtype::kF32, std::move(shape)}, BytesOf(Ramp(count, 0))};
}

TEST_F(DataMatrixFiles, AreReadByTheirExtension) {
  for (const std::string& path :
       {Put("x.npy", EncodeNpy(2, 2, Ramp(4, 0))), Put("x.csv", BytesOf("0,1\n2,3\n")),
        PutTensors({Floats("only", {2, 2})})}) {
    const auto read = ReadDataMatrix(path, "");
    ASSERT_TRUE(read.ok()) << base::MessageOf(read.status());
    EXPECT_EQ(read->rows, 2);
    EXPECT_EQ(read->columns, 2);
    EXPECT_THAT(read->values, ElementsAre(0, 1, 2, 3));
  }
}

TEST_F(DataMatrixFiles, OfTensorsGiveTheOnlyMatrixOrTheOneNamed) {
  const std::string one = PutTensors({Floats("bias", {3}), Floats("w", {1, 2})});
  EXPECT_THAT(ReadDataMatrix(one, "")->values, ElementsAre(0, 1));
  EXPECT_THAT(ErrorOf(one, "bias"), HasSubstr("tensor bias has 1 dimensions"));
  EXPECT_EQ(ReadDataMatrix(one, "none").status().code(), absl::StatusCode::kNotFound);
  const std::string two =
      PutTensors({Floats("a", {1, 1}),
                  {{"b", Dtype::kI16, {1, 2}}, BytesOf(std::vector<std::int16_t>{-5, 300})}});
  EXPECT_THAT(ErrorOf(two), HasSubstr("2 matrices (a, b)"));
  EXPECT_THAT(ReadDataMatrix(two, "b")->values, ElementsAre(-5, 300));
  EXPECT_THAT(ErrorOf(PutTensors({Floats("bias", {3})})), HasSubstr("no tensor"));
  EXPECT_THAT(ErrorOf(PutTensors({{{"flags", Dtype::kBool, {1, 1}}, Bytes(1)}})),
              HasSubstr("tensor flags: dtype BOOL"));
}

TEST_F(DataMatrixFiles, AreRefusedWithoutAUse) {
  EXPECT_THAT(ErrorOf(Put("x.txt", BytesOf("1,2\n"))), HasSubstr(".npy, .csv or .safetensors"));
  EXPECT_THAT(ErrorOf(Put("x.csv", BytesOf("1,2\n")), "w"), HasSubstr("no named tensors"));
  EXPECT_THAT(ErrorOf(Put("x.npy", EncodeNpy(0, 3, {}))), HasSubstr("0 x 3"));
  EXPECT_EQ(ReadDataMatrix("/nowhere/x.npy", "").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(DataMatrixFiles, NameAValueThatIsNotFinite) {
  std::vector<float> values = Ramp(6, 0);
  values[5] = -std::numeric_limits<float>::infinity();
  EXPECT_THAT(ErrorOf(Put("x.npy", EncodeNpy(2, 3, values))), HasSubstr("row 1, column 2"));
  EXPECT_THAT(ErrorOf(PutTensors({{{"w", Dtype::kF32, {3, 2}}, BytesOf(values)}})),
              HasSubstr("row 2, column 1"));
}

}  // namespace
}  // namespace caldera::model
