#include "worker/flags.h"

#include <CLI/CLI.hpp>
#include <cstdlib>

#include "absl/time/clock.h"
#include "common/base/build_info.h"

namespace caldera::worker {
namespace {

constexpr int kUsageError = 2;

// The worker takes nothing on that it could not finish by then.
void AddEndOfTime(CLI::App& app, Flags& flags) {
  auto* const until = app.add_option_function<std::string>(
      "--available-until",
      [&flags](const std::string& text) {
        std::string error;
        if (absl::ParseTime(absl::RFC3339_full, text, &flags.available_until, &error)) return;
        throw CLI::ValidationError("--available-until", text + ": " + error);
      },
      "when the worker will have gone, as 2026-01-31T23:59:59Z: nothing is taken on that would not "
      "be done by then");
  app.add_option_function<double>(
         "--available-seconds",
         [&flags](double seconds) { flags.available_until = absl::Now() + absl::Seconds(seconds); },
         "the same, in seconds from now")
      ->check(CLI::PositiveNumber)
      ->excludes(until);
}

void AddFlags(CLI::App& app, Flags& flags) {
  app.set_version_flag("--version", base::GetBuildInfo().version);
  app.add_option("--coordinator", flags.coordinator, "HOST:PORT of the coordinator")
      ->required()
      ->envname("CALDERA_COORDINATOR");
  app.add_option("--worker-id", flags.worker_id, "name kept over restarts")
      ->envname("CALDERA_WORKER_ID");
  app.add_option("--threads", flags.threads, "threads per rank, 0 = all cores")
      ->check(CLI::Range(0, 1024));
  app.add_option("--metrics-listen", flags.metrics_listen, "HOST:PORT of the metrics endpoint");
  app.add_option("--store-access", flags.store_access,
                 "auto = straight where the store is reachable, stream = always over gRPC")
      ->check(CLI::IsMember({"auto", "stream"}));
  app.add_option("--drain-timeout", flags.drain_timeout_seconds,
                 "seconds that a matrix may go on after a request to stop");
  app.add_option("--hang-seconds", flags.hang_seconds,
                 "a task that does not stop within this time of being told to ends the process");
  app.add_option("--patience", flags.patience_seconds,
                 "seconds that a call is retried while the coordinator is away");
  app.add_option(
         "--ask-seconds", flags.ask_seconds,
         "a task asks so often, or as often as the coordinator wants heartbeats, whether to "
         "go on")
      ->check(CLI::PositiveNumber);
  AddEndOfTime(app, flags);
  app.add_option("--store-patience", flags.store_patience_seconds,
                 "seconds that a task waits for a store that is away or full")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--skew-warning-seconds", flags.skew_warning_seconds,
                 "warns when our clock and the coordinator's differ by more")
      ->check(CLI::PositiveNumber);
  app.add_option("--log-level", flags.log_level)
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}));
  app.add_option("--tls-ca", flags.tls.ca_file, "PEM file of the authority to trust")
      ->envname("CALDERA_TLS_CA");
  app.add_option("--tls-cert", flags.tls.certificate_file, "PEM file of our certificate")
      ->envname("CALDERA_TLS_CERT");
  app.add_option("--tls-key", flags.tls.key_file, "PEM file of our key")
      ->envname("CALDERA_TLS_KEY");
  app.add_option("--token-file", flags.token.file,
                 "file that holds our token (or the variable CALDERA_TOKEN does)")
      ->envname("CALDERA_TOKEN_FILE");
  app.add_option("--allow-root", flags.allow_roots,
                 "directory whose files may be used directly (repeatable; default: any)");
  if (const char* token = std::getenv("CALDERA_TOKEN")) flags.token.value = token;
  app.add_flag_callback(
      "--insecure", [&flags] { flags.plaintext = rpc::PlaintextPolicy::kAnywhere; },
      "allow plaintext beyond loopback");
}

}  // namespace

ParsedFlags ParseFlags(int argc, char** argv) {
  ParsedFlags parsed;
  CLI::App app("Computes what a caldera coordinator leases. One process, or one MPI job.");
  AddFlags(app, parsed.flags);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    parsed.exit_code = app.exit(error) == 0 ? 0 : kUsageError;
  }
  return parsed;
}

}  // namespace caldera::worker
