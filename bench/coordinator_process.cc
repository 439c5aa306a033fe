#include "bench/coordinator_process.h"

#include <unistd.h>

#include <sstream>
#include <vector>

#include "absl/time/clock.h"
#include "common/base/file.h"
#include "fmt/format.h"
#include "tests/coordinator/tiny_model.h"

namespace caldera::bench {
namespace {

using coordinator::Must;

client::ChildProcess Start(const std::string& directory, const std::string& store) {
  client::ChildProcess::Options options;
  options.command = {Must(client::SiblingProgram("caldera-coordinator")),
                     "--listen",
                     "127.0.0.1:0",
                     "--state-dir",
                     directory + "/state",
                     "--store",
                     store,
                     "--address-file",
                     directory + "/address"};
  options.log_file = directory + "/coordinator.log";
  return Must(client::ChildProcess::Start(options));
}

}  // namespace

CoordinatorProcess::CoordinatorProcess(const std::string& directory, const std::string& store)
    : process_(Start(directory, store)) {
  const std::string file = directory + "/address";
  for (int i = 0; i < 300 && !base::Exists(file); ++i) absl::SleepFor(absl::Milliseconds(100));
  std::istringstream(Must(base::ReadFile(file))) >> address_;
}

nlohmann::ordered_json CoordinatorProcess::Usage() const {
  nlohmann::ordered_json json;
  const std::string status = Must(base::ReadFile(fmt::format("/proc/{}/status", process_.pid())));
  json["rss_peak_mib"] = std::stod(status.substr(status.find("VmHWM:") + 6)) / 1024;
  const std::string stat = Must(base::ReadFile(fmt::format("/proc/{}/stat", process_.pid())));
  // Behind the name in parentheses; utime and stime are the 14th and 15th field of all.
  std::istringstream fields(stat.substr(stat.rfind(')') + 1));
  std::vector<std::string> words;
  for (std::string word; fields >> word;) words.push_back(word);
  json["cpu_seconds"] =
      (std::stod(words[11]) + std::stod(words[12])) / static_cast<double>(sysconf(_SC_CLK_TCK));
  return json;
}

}  // namespace caldera::bench
