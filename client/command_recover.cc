// caldera recover: a lost state database from the receipts of a store. The coordinator's own
// program does it, in place of this one.
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "client/child_process.h"
#include "client/context.h"
#include "common/base/status.h"

namespace caldera::client {
namespace {

struct RecoverFlags {
  std::string state_dir;
  std::string store;
};

// Returns on an error only.
absl::Status Recover(const RecoverFlags& flags) {
  CALDERA_ASSIGN_OR_RETURN(std::string program, SiblingProgram("caldera-coordinator"));
  std::vector<std::string> words = {program, "--recover", "--state-dir", flags.state_dir};
  if (!flags.store.empty()) words.insert(words.end(), {"--store", flags.store});
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  execv(program.c_str(), arguments.data());
  return base::ErrnoToStatus(errno, program);
}

}  // namespace

void AddRecover(CLI::App& app, Action& action) {
  const auto flags = std::make_shared<RecoverFlags>();
  CLI::App& command = *app.add_subcommand(
      "recover", "rebuild a coordinator's lost state from the receipts of its store");
  command.add_option("--state-dir", flags->state_dir, "the new, empty state directory")->required();
  command.add_option("--store", flags->store,
                     "file:///DIR of the store (default: STATE_DIR/store)");
  command.callback([flags, &action] { action = [flags] { return Recover(*flags); }; });
}

}  // namespace caldera::client
