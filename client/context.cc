#include "client/context.h"

namespace caldera::client {

absl::StatusOr<std::unique_ptr<CompressionClient>> Context::Connect() const {
  return CompressionClient::Connect(flags_.coordinator, flags_.channel,
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
  command.add_option("--tls-ca", flags.channel.tls.ca_file, "PEM file of the authority to trust");
  command.add_option("--tls-cert", flags.channel.tls.certificate_file,
                     "PEM file of our certificate");
  command.add_option("--tls-key", flags.channel.tls.key_file, "PEM file of our key");
  command.add_flag_callback(
      "--insecure", [&flags] { flags.channel.plaintext = rpc::PlaintextPolicy::kAnywhere; },
      "allow plaintext beyond loopback");
}

}  // namespace caldera::client
