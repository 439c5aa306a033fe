// caldera token: a new token for the coordinator's --token-file. Talks to nobody.
#include <fmt/format.h>

#include <memory>

#include "absl/time/clock.h"
#include "client/context.h"
#include "client/secret_file.h"
#include "common/base/sha256.h"
#include "common/base/status.h"
#include "common/rpc/token.h"

namespace caldera::client {
namespace {

struct TokenFlags {
  std::string id;
  std::string role;
  std::string secret_file;
  double days = 0;
};

absl::Status MakeToken(const TokenFlags& flags) {
  CALDERA_RETURN_IF_ERROR(rpc::CheckTokenId(flags.id));
  rpc::TokenRecord record;
  record.id = flags.id;
  CALDERA_ASSIGN_OR_RETURN(record.role, rpc::ParseRole(flags.role));
  if (flags.days > 0) record.expires = absl::Now() + absl::Hours(24 * flags.days);
  const std::string token = rpc::NewToken(base::SystemEntropy());
  record.sha256 = base::Sha256Hex(token);
  if (flags.secret_file.empty()) {
    fmt::print("{}\n", token);
  } else {
    CALDERA_RETURN_IF_ERROR(WriteSecretFile(flags.secret_file, token + "\n"));
  }
  fmt::print("{}\n", rpc::FormatTokenLine(record));
  return absl::OkStatus();
}

}  // namespace

void AddToken(CLI::App& app, Action& action) {
  const auto flags = std::make_shared<TokenFlags>();
  CLI::App& command = *app.add_subcommand(
      "token",
      "make a token; prints it (unless --secret-file takes it), then the line that the "
      "coordinator's --token-file gets");
  command.add_option("ID", flags->id, "whose it is, [A-Za-z0-9._@-]")->required();
  command.add_option("--role", flags->role, "user, worker or admin")
      ->required()
      ->check(CLI::IsMember({"user", "worker", "admin"}));
  command.add_option("--days", flags->days, "it expires after so many days; 0 = never")
      ->check(CLI::NonNegativeNumber);
  command.add_option("--secret-file", flags->secret_file,
                     "new file for the token, readable by its owner only");
  command.callback([flags, &action] { action = [flags] { return MakeToken(*flags); }; });
}

}  // namespace caldera::client
