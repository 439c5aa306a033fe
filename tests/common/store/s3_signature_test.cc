// The signer against AWS's published vectors: the test suite of Signature Version 4 (aws-c-auth,
// aws-sig-v4-test-suite) and the worked examples of the Amazon S3 API reference ("Signature
// Calculations for the Authorization Header: Transferring Payload in a Single Chunk").
#include "common/store/s3_signature.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/sha256.h"

namespace caldera::store {
namespace {

using testing::EndsWith;
using testing::HasSubstr;

struct Vector {
  std::string name;
  std::string method = "GET";
  std::string path = "/";  // not encoded
  QueryParameters query = {};
  std::map<std::string, std::string> headers = {};
  std::string body = "";
  std::string signature = "";
};

void PrintTo(const Vector& vector, std::ostream* out) { *out << vector.name; }

std::string NameOf(const testing::TestParamInfo<Vector>& info) {
  std::string name = info.param.name;
  for (char& c : name) c = c == '-' ? '_' : c;
  return name;
}

SignableRequest ToRequest(const Vector& vector, const std::string& host, const std::string& date) {
  SignableRequest request{vector.method, PercentEncode(vector.path, Slashes::kKeep), vector.query,
                          vector.headers, base::Sha256Hex(vector.body)};
  request.headers["host"] = host;
  request.headers["x-amz-date"] = date;
  return request;
}

class SuiteVectors : public testing::TestWithParam<Vector> {};

TEST_P(SuiteVectors, HaveThePublishedSignature) {
  const auto request = ToRequest(GetParam(), "example.amazonaws.com", "20150830T123600Z");
  const std::string header =
      AuthorizationHeader(request, {"us-east-1", "service"},
                          {"AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", ""});
  EXPECT_THAT(header, EndsWith("Signature=" + GetParam().signature));
}

const std::string kUnreserved =
    "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

INSTANTIATE_TEST_SUITE_P(
    Aws, SuiteVectors,
    testing::Values(
        Vector{.name = "get-vanilla",
               .signature = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
        Vector{.name = "get-unreserved",
               .path = kUnreserved,
               .signature = "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"},
        Vector{.name = "get-utf8",
               .path = "/\xE1\x88\xB4",
               .signature = "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
        Vector{.name = "get-space-unnormalized",
               .path = "/example space/",
               .signature = "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741"},
        Vector{.name = "get-slashes-unnormalized",
               .path = "//example//",
               .signature = "87cca117541a147f6df867677d98a7d80dff226d2bfca9e4ffa899665623c7e5"},
        Vector{.name = "get-vanilla-empty-query-key",
               .query = {{"Param1", "value1"}},
               .signature = "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"},
        Vector{.name = "get-vanilla-query-order-key-case",
               .query = {{"Param2", "value2"}, {"Param1", "value1"}},
               .signature = "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
        Vector{.name = "get-vanilla-utf8-query",
               .query = {{"\xE1\x88\xB4", "bar"}},
               .signature = "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"},
        Vector{.name = "get-vanilla-query-order-encoded",
               .query = {{"Param-3", "Value3"}, {"Param", "Value2"}, {"\xE1\x88\xB4", "Value1"}},
               .signature = "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac"},
        Vector{.name = "get-header-key-duplicate",
               .headers = {{"my-header1", "value2,value2,value1"}},
               .signature = "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"},
        Vector{.name = "get-header-value-trim",
               .headers = {{"my-header1", " value1"}, {"my-header2", " \"a   b   c\""}},
               .signature = "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
        Vector{.name = "post-vanilla",
               .method = "POST",
               .signature = "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
        Vector{.name = "post-header-key-sort",
               .method = "POST",
               .headers = {{"my-header1", "value1"}},
               .signature = "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c"},
        Vector{.name = "post-x-www-form-urlencoded",
               .method = "POST",
               .headers = {{"content-type", "application/x-www-form-urlencoded"}},
               .body = "Param1=value1",
               .signature = "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"}),
    NameOf);

TEST(S3Signature, HasTheCanonicalFormOfTheSuite) {
  const auto request = ToRequest({.name = "get-vanilla", .query = {{"b", ""}, {"a", "x y"}}},
                                 "example.amazonaws.com", "20150830T123600Z");
  EXPECT_EQ(CanonicalRequest(request),
            "GET\n/\na=x%20y&b=\nhost:example.amazonaws.com\nx-amz-date:20150830T123600Z\n\n"
            "host;x-amz-date\n"
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

class S3Examples : public testing::TestWithParam<Vector> {};

TEST_P(S3Examples, HaveThePublishedAuthorization) {
  Vector vector = GetParam();
  vector.headers["x-amz-content-sha256"] = base::Sha256Hex(vector.body);
  const auto request = ToRequest(vector, "examplebucket.s3.amazonaws.com", "20130524T000000Z");
  const std::string header =
      AuthorizationHeader(request, {"us-east-1", "s3"},
                          {"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", ""});
  EXPECT_THAT(header, HasSubstr("Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/"
                                "aws4_request, SignedHeaders="));
  EXPECT_THAT(header, EndsWith("Signature=" + GetParam().signature));
}

INSTANTIATE_TEST_SUITE_P(
    Documentation, S3Examples,
    testing::Values(
        Vector{.name = "get-object",
               .path = "/test.txt",
               .headers = {{"range", "bytes=0-9"}},
               .signature = "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
        Vector{.name = "put-object",
               .method = "PUT",
               .path = "/test$file.text",
               .headers = {{"date", "Fri, 24 May 2013 00:00:00 GMT"},
                           {"x-amz-storage-class", "REDUCED_REDUNDANCY"}},
               .body = "Welcome to Amazon S3.",
               .signature = "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
        Vector{.name = "get-bucket-lifecycle",
               .query = {{"lifecycle", ""}},
               .signature = "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
        Vector{.name = "get-bucket-list-objects",
               .query = {{"prefix", "J"}, {"max-keys", "2"}},
               .signature = "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"}),
    NameOf);

TEST(S3Signature, WritesTheTimeInUtc) {
  EXPECT_EQ(AmzDate(absl::FromUnixSeconds(1369353600)), "20130524T000000Z");
}

}  // namespace
}  // namespace caldera::store
