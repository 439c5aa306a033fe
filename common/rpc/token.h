// Bearer tokens: what one looks like, what is kept of it, and whose it is.
//
// A token is "caldera_" and 64 hex digits, 256 bits from the kernel's generator; only its SHA-256
// is kept. Slow, salted hashes protect secrets that people think up, by making every guess dear.
// Nobody guesses 256 random bits, so a fast hash gives nothing away, while a slow one would let
// anybody burn the server's time with wrong tokens. Hence nothing but this form is accepted: a
// password whose hash was put into the file by hand never matches.
#ifndef CALDERA_COMMON_RPC_TOKEN_H_
#define CALDERA_COMMON_RPC_TOKEN_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/mutex.h"
#include "common/base/uuid.h"

namespace caldera::rpc {

enum class Role { kUser, kWorker, kAdmin };
// "user", "worker", "admin"; INVALID_ARGUMENT for other names.
absl::StatusOr<Role> ParseRole(const std::string& name);
std::string RoleName(Role role);

// A new token. The only copy: hand it to its owner and forget it.
std::string NewToken(const base::EntropySource& entropy);
// Whether `text` has the form of a token.
bool IsToken(const std::string& text);

// One line of a token file: "ID ROLE sha256:HEX [EXPIRY]", EXPIRY in RFC 3339. Ids are
// [A-Za-z0-9._@-]{1,64}; one id may have several lines, so that tokens can be replaced without a
// gap.
struct TokenRecord {
  std::string id;
  Role role = Role::kUser;
  std::string sha256;  // of the token, 64 lower-case hex digits
  absl::Time expires = absl::InfiniteFuture();
};

// INVALID_ARGUMENT for an id that no line may hold.
absl::Status CheckTokenId(const std::string& id);
// Without a line break.
std::string FormatTokenLine(const TokenRecord& record);

// The tokens of a server. Immutable.
class TokenTable {
 public:
  // Lines of records; empty ones and those that begin with '#' are skipped. INVALID_ARGUMENT naming
  // `name` and the line: never what stands there, which might be a token put in by mistake.
  static absl::StatusOr<TokenTable> Parse(const std::string& text, const std::string& name);

  // Whose token this is, expired or not; nullptr for nobody's. Looks at every record whole, so the
  // time it takes says nothing about them.
  const TokenRecord* Find(const std::string& token) const;
  std::size_t size() const { return records_.size(); }

 private:
  explicit TokenTable(std::vector<TokenRecord> records) : records_(std::move(records)) {}
  std::vector<TokenRecord> records_;
};

// A token file that is read again when it has changed. Thread-safe.
class TokenFile {
 public:
  // Errors: those of reading and of TokenTable::Parse.
  static absl::StatusOr<std::unique_ptr<TokenFile>> Open(const std::string& path);

  enum class Change { kNone, kReloaded };
  // Looks at the file. On an error the tokens stay what they were.
  absl::StatusOr<Change> Refresh() ABSL_LOCKS_EXCLUDED(mutex_);
  std::shared_ptr<const TokenTable> table() const ABSL_LOCKS_EXCLUDED(mutex_);
  const std::string& path() const { return path_; }

 private:
  explicit TokenFile(std::string path) : path_(std::move(path)) {}

  const std::string path_;
  mutable base::Mutex mutex_;
  std::string text_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<const TokenTable> table_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace caldera::rpc

#endif  // CALDERA_COMMON_RPC_TOKEN_H_
