#include "client/context.h"

#include <cstdlib>

#include "common/base/status.h"

namespace caldera::client {

absl::StatusOr<std::unique_ptr<CompressionClient>> Context::Connect() const {
  rpc::ChannelOptions channel = flags_.channel;
  CALDERA_ASSIGN_OR_RETURN(channel.token, rpc::ClientToken::Open(flags_.token));
  return CompressionClient::Connect(flags_.coordinator, channel,
                                    absl::Seconds(flags_.patience_seconds));
}

void AddOutputFlag(CLI::App& command, Context& context) {
  command.add_option("-o,--output", context.flags().output, "table, json, jsonl or name")
      ->check(CLI::IsMember({"table", "json", "jsonl", "name"}))
      ->envname("CALDERA_OUTPUT");
}

void AddConnectionFlags(CLI::App& command, Context& context) {
  CommonFlags& flags = context.flags();
  command.add_option("--coordinator", flags.coordinator, "HOST:PORT of the coordinator")
      ->envname("CALDERA_COORDINATOR");
  command.add_option("--patience", flags.patience_seconds,
                     "seconds to go on trying while the coordinator is away");
  command.add_option("--tls-ca", flags.channel.tls.ca_file, "PEM file of the authority to trust")
      ->envname("CALDERA_TLS_CA");
  command
      .add_option("--tls-cert", flags.channel.tls.certificate_file, "PEM file of our certificate")
      ->envname("CALDERA_TLS_CERT");
  command.add_option("--tls-key", flags.channel.tls.key_file, "PEM file of our key")
      ->envname("CALDERA_TLS_KEY");
  command
      .add_option("--token-file", flags.token.file,
                  "file that holds our token (or the variable CALDERA_TOKEN does)")
      ->envname("CALDERA_TOKEN_FILE");
  if (const char* token = std::getenv("CALDERA_TOKEN")) flags.token.value = token;
  command.add_flag_callback(
      "--insecure", [&flags] { flags.channel.plaintext = rpc::PlaintextPolicy::kAnywhere; },
      "allow plaintext beyond loopback");
}

}  // namespace caldera::client
