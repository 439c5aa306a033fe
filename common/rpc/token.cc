#include "common/rpc/token.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <array>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"
#include "common/base/file.h"
#include "common/base/sha256.h"
#include "common/base/status.h"

namespace caldera::rpc {
namespace {

constexpr char kPrefix[] = "caldera_";
constexpr std::size_t kRandomBytes = 32;
constexpr char kHashPrefix[] = "sha256:";
constexpr std::size_t kLongestId = 64;
constexpr std::uint64_t kLargestFile = std::uint64_t{4} << 20;
constexpr std::array<const char*, 3> kRoleNames = {"user", "worker", "admin"};

bool IsIdCharacter(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '_' || c == '@' ||
         c == '-';
}

absl::Status ParseHash(const std::string& word, std::string& sha256) {
  if (word.starts_with(kHashPrefix)) sha256 = word.substr(sizeof(kHashPrefix) - 1);
  if (base::IsSha256Hex(sha256)) return absl::OkStatus();
  return base::InvalidArgument("expected sha256: and 64 lower-case hex digits");
}

absl::StatusOr<TokenRecord> ParseLine(const std::string& line) {
  const std::vector<std::string> words =
      absl::StrSplit(line, absl::ByAnyChar(" \t\r"), absl::SkipEmpty());
  if (words.size() < 3 || words.size() > 4) {
    return base::InvalidArgument("expected ID ROLE sha256:HEX [EXPIRY]");
  }
  TokenRecord record;
  record.id = words[0];
  CALDERA_RETURN_IF_ERROR(CheckTokenId(record.id));
  CALDERA_ASSIGN_OR_RETURN(record.role, ParseRole(words[1]));
  CALDERA_RETURN_IF_ERROR(ParseHash(words[2], record.sha256));
  std::string error;
  if (words.size() == 4 &&
      !absl::ParseTime(absl::RFC3339_full, words[3], &record.expires, &error)) {
    return base::InvalidArgument("the expiry is not a time like 2030-01-31T00:00:00Z");
  }
  return record;
}

}  // namespace

absl::StatusOr<Role> ParseRole(const std::string& name) {
  const auto found = std::find(kRoleNames.begin(), kRoleNames.end(), name);
  if (found == kRoleNames.end()) {
    return base::InvalidArgument("the role is not one of user, worker, admin");
  }
  return static_cast<Role>(found - kRoleNames.begin());
}

std::string RoleName(Role role) { return kRoleNames[static_cast<std::size_t>(role)]; }

std::string NewToken(const base::EntropySource& entropy) {
  std::array<std::byte, kRandomBytes> bytes{};
  entropy(bytes);
  std::string token = kPrefix;
  for (const std::byte byte : bytes) token += fmt::format("{:02x}", std::to_integer<int>(byte));
  return token;
}

bool IsToken(const std::string& text) {
  // A digest of 32 bytes and a token of 32 bytes are written alike.
  return text.starts_with(kPrefix) && base::IsSha256Hex(text.substr(sizeof(kPrefix) - 1));
}

absl::Status CheckTokenId(const std::string& id) {
  const bool valid =
      !id.empty() && id.size() <= kLongestId && std::all_of(id.begin(), id.end(), IsIdCharacter);
  if (valid && !IsToken(id)) return absl::OkStatus();
  return base::InvalidArgument("the id is not [A-Za-z0-9._@-]{{1,64}}");
}

std::string FormatTokenLine(const TokenRecord& record) {
  const std::string line =
      fmt::format("{} {} {}{}", record.id, RoleName(record.role), kHashPrefix, record.sha256);
  if (record.expires == absl::InfiniteFuture()) return line;
  return line + " " + absl::FormatTime("%Y-%m-%d%ET%H:%M:%SZ", record.expires, absl::UTCTimeZone());
}

absl::StatusOr<TokenTable> TokenTable::Parse(const std::string& text, const std::string& name) {
  std::vector<TokenRecord> records;
  int number = 0;
  const std::vector<std::string> lines = absl::StrSplit(text, '\n');
  for (const std::string& line : lines) {
    ++number;
    const std::string stripped(absl::StripAsciiWhitespace(line));
    if (stripped.empty() || stripped[0] == '#') continue;
    absl::StatusOr<TokenRecord> record = ParseLine(stripped);
    if (!record.ok()) {
      return base::WithContext(record.status(), fmt::format("{}: line {}", name, number));
    }
    records.push_back(*std::move(record));
  }
  return TokenTable(std::move(records));
}

const TokenRecord* TokenTable::Find(const std::string& token) const {
  if (!IsToken(token)) return nullptr;
  const std::string digest = base::Sha256Hex(token);
  const TokenRecord* found = nullptr;
  for (const TokenRecord& record : records_) {
    if (CRYPTO_memcmp(record.sha256.data(), digest.data(), digest.size()) == 0) found = &record;
  }
  return found;
}

absl::StatusOr<std::unique_ptr<TokenFile>> TokenFile::Open(const std::string& path) {
  std::unique_ptr<TokenFile> file(new TokenFile(path));
  CALDERA_RETURN_IF_ERROR(file->Refresh().status());
  return file;
}

absl::StatusOr<TokenFile::Change> TokenFile::Refresh() {
  CALDERA_ASSIGN_OR_RETURN(std::string text, base::ReadFile(path_, kLargestFile));
  const base::MutexLock lock(mutex_);
  // By content: times of files are too coarse to tell two writes in a row apart.
  if (table_ != nullptr && text == text_) return Change::kNone;
  CALDERA_ASSIGN_OR_RETURN(TokenTable table, TokenTable::Parse(text, path_));
  table_ = std::make_shared<const TokenTable>(std::move(table));
  text_ = std::move(text);
  return Change::kReloaded;
}

std::shared_ptr<const TokenTable> TokenFile::table() const {
  const base::MutexLock lock(mutex_);
  return table_;
}

}  // namespace caldera::rpc
