// Input: an answer of an S3 server.
#include "common/base/check.h"
#include "common/store/s3_xml.h"
#include "tests/fuzz/targets.h"

namespace caldera::fuzz {
namespace {

Verdict Run(const std::string& input) {
  const auto list = store::ParseListPage(input);
  const auto uploads = store::ParseUploadPage(input);
  const store::S3Error error = store::ParseS3Error(input);
  const auto id = store::ParseChild(input, "UploadId");
  CALDERA_CHECK(!id.ok() || !id->empty(), "an UploadId of no characters");
  CALDERA_CHECK(!list.ok() || !uploads.ok(), "a list of objects is one of uploads too");
  CALDERA_CHECK(error.code.empty() || (!list.ok() && !uploads.ok()), "a list is an error too");
  if (list.ok()) {
    // Keys of any characters can be written into a document and read back.
    std::vector<std::string> etags;
    for (const store::S3ListEntry& entry : list->entries) etags.push_back(entry.key);
    (void)store::CompleteUploadXml(etags);
  }
  const bool accepted = list.ok() || uploads.ok() || id.ok() || !error.code.empty();
  return accepted ? Verdict::kAccepted : Verdict::kRefused;
}

std::vector<Seed> Seeds() {
  return {
      {"list", Verdict::kAccepted,
       "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
       "<IsTruncated>true</IsTruncated><NextContinuationToken>n&amp;1</NextContinuationToken>"
       "<Contents><Key>a/b</Key><Size>12</Size></Contents>"
       "<CommonPrefixes><Prefix>c/</Prefix></CommonPrefixes></ListBucketResult>"},
      {"uploads", Verdict::kAccepted,
       "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated><Upload><Key>k</Key>"
       "<UploadId>u</UploadId></Upload></ListMultipartUploadsResult>"},
      {"upload", Verdict::kAccepted,
       "<InitiateMultipartUploadResult><UploadId>x</UploadId></InitiateMultipartUploadResult>"},
      {"error", Verdict::kAccepted, "<Error><Code>NoSuchKey</Code><Message/></Error>"},
      {"no_size", Verdict::kRefused,
       "<ListBucketResult><Contents><Key>a</Key><Size>-1</Size></Contents></ListBucketResult>"},
      {"size_too_large", Verdict::kRefused,
       "<ListBucketResult><Contents><Size>18446744073709551616</Size></Contents>"
       "</ListBucketResult>"},
      {"cut_off", Verdict::kRefused, "<ListBucketResult><Contents>"}};
}

}  // namespace

Target S3DocumentsTarget() { return {"s3_documents", Run, Seeds}; }

}  // namespace caldera::fuzz
