#include "common/rpc/certificates.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/time/clock.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "tests/common/rpc/test_certificates.h"

namespace caldera::rpc {
namespace {

using testing::HasSubstr;

class CertificatesTest : public testing::Test {
 protected:
  absl::Status Check(const TlsFiles& tls) { return CheckTlsFiles(tls, absl::Now()); }
  std::string Text(const std::string& path) { return base::ReadFile(path).value(); }

  const base::TempDirectory directory_ = base::TempDirectory::Create().value();
  const TlsFiles good_ = MakeSelfSigned(directory_.path(), "one");
};

TEST_F(CertificatesTest, AcceptsACertificateWithItsKey) {
  EXPECT_TRUE(Check(good_).ok()) << Check(good_);
  EXPECT_TRUE(Check({}).ok());
}

TEST_F(CertificatesTest, KnowsHowLongACertificateIsValid) {
  const auto validity = ValidityOf(Text(good_.certificate_file), "c").value();
  EXPECT_EQ(validity.end - validity.begin, absl::Hours(48));
  EXPECT_LT(absl::AbsDuration(absl::Now() - validity.begin), absl::Minutes(5));
}

TEST_F(CertificatesTest, NamesTheKeyOfAnotherCertificate) {
  TlsFiles mixed = good_;
  mixed.key_file = MakeSelfSigned(directory_.path(), "two").key_file;
  EXPECT_EQ(Check(mixed).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(base::MessageOf(Check(mixed)), HasSubstr(mixed.key_file));
}

TEST_F(CertificatesTest, NamesAFileThatHoldsSomethingElse) {
  const std::string other = directory_.path() + "/other";
  ASSERT_TRUE(base::WriteFile(other, "no PEM").ok());
  for (std::string TlsFiles::*member :
       {&TlsFiles::ca_file, &TlsFiles::certificate_file, &TlsFiles::key_file}) {
    TlsFiles tls = good_;
    tls.*member = other;
    EXPECT_EQ(Check(tls).code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(base::MessageOf(Check(tls)), HasSubstr(other));
    tls.*member = other + "-absent";
    EXPECT_EQ(Check(tls).code(), absl::StatusCode::kNotFound);
  }
}

TEST_F(CertificatesTest, RefusesACertificateOutsideItsTime) {
  const absl::Status late = CheckTlsFiles(good_, absl::Now() + absl::Hours(49));
  EXPECT_EQ(late.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(base::MessageOf(late), HasSubstr("expired"));
  const absl::Status early = CheckTlsFiles(good_, absl::Now() - absl::Hours(1));
  EXPECT_EQ(early.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(base::MessageOf(early), HasSubstr("clock"));
}

}  // namespace
}  // namespace caldera::rpc
