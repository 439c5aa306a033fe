// Input: a token file.
#include "common/base/check.h"
#include "common/base/sha256.h"
#include "common/base/status.h"
#include "common/rpc/token.h"
#include "tests/fuzz/targets.h"

namespace caldera::fuzz {
namespace {

// The token whose hash stands in the seeds.
std::string SeedToken() { return "caldera_" + std::string(64, 'a'); }

// A record that was read is written so that it reads the same. The year is a number of any size to
// Abseil, so times beyond those that RFC 3339 can write are left out.
void CheckRecord(const rpc::TokenRecord& record) {
  CALDERA_CHECK(rpc::CheckTokenId(record.id).ok(), "id {}", record.id);
  const absl::Time last = absl::FromCivil(absl::CivilYear(9999), absl::UTCTimeZone());
  if (record.expires != absl::InfiniteFuture() &&
      (record.expires > last || record.expires < absl::UnixEpoch())) {
    return;
  }
  const std::string line = rpc::FormatTokenLine(record);
  const auto again = rpc::TokenTable::Parse(line, "again");
  CALDERA_CHECK(again.ok() && again->size() == 1, "\"{}\" is not read: {}", line,
                base::MessageOf(again.status()));
}

Verdict Run(const std::string& input) {
  const auto table = rpc::TokenTable::Parse(input, "tokens");
  if (!table.ok()) {
    // A token put in by mistake is never repeated.
    CALDERA_CHECK(table.status().message().find("caldera_") == absl::string_view::npos,
                  "a token in the message {}", base::MessageOf(table.status()));
    return Verdict::kRefused;
  }
  const rpc::TokenRecord* found = table->Find(SeedToken());
  if (found != nullptr) {
    CALDERA_CHECK(found->sha256 == base::Sha256Hex(SeedToken()), "{} has another hash", found->id);
    CheckRecord(*found);
  }
  CALDERA_CHECK(table->Find(input) == nullptr || rpc::IsToken(input), "a file that is a token");
  return table->size() > 0 ? Verdict::kAccepted : Verdict::kRefused;
}

std::vector<Seed> Seeds() {
  const std::string hash = "sha256:" + base::Sha256Hex(SeedToken());
  return {{"two", Verdict::kAccepted,
           "# people\n\nann user " + hash + "\r\nrack-1 worker " + hash + " 2030-01-31T00:00:00Z\n"},
          {"offset", Verdict::kAccepted, "a@b.c admin " + hash + " 2030-01-31T01:02:03.5+02:00"},
          {"comment", Verdict::kRefused, "# nobody\n"},
          {"role", Verdict::kRefused, "ann root " + hash},
          {"token", Verdict::kRefused, "ann user " + SeedToken()},
          {"token_as_id", Verdict::kRefused, SeedToken() + " user " + hash},
          {"expiry", Verdict::kRefused, "ann user " + hash + " soon"}};
}

}  // namespace

Target TokenFileTarget() { return {"token_file", Run, Seeds}; }

}  // namespace caldera::fuzz
