#include "coordinator/gauge_families.h"

#include <dirent.h>
#include <unistd.h>

#include <fstream>
#include <map>
#include <memory>
#include <sstream>
#include <string>

namespace caldera::coordinator {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

MetricFamily Family(const std::string& name, const std::string& help, MetricType type) {
  MetricFamily family;
  family.name = name;
  family.help = help;
  family.type = type;
  return family;
}

void Add(const Labels& labels, double value, MetricFamily* family) {
  ClientMetric metric;
  metric.label = labels;
  metric.gauge.value = value;
  metric.counter.value = value;
  family->metric.push_back(metric);
}

MetricFamily Single(const std::string& name, const std::string& help, double value) {
  MetricFamily family = Family(name, help, MetricType::Gauge);
  Add({}, value, &family);
  return family;
}

MetricFamily ByState(const std::string& name, const std::string& help,
                     const std::map<std::string, int>& counts) {
  MetricFamily family = Family(name, help, MetricType::Gauge);
  for (const auto& [state, count] : counts) Add({{"state", state}}, count, &family);
  return family;
}

double UnixSeconds(absl::Time time) {
  return time == absl::InfinitePast() ? 0 : absl::ToDoubleSeconds(time - absl::UnixEpoch());
}

// The numbers of /proc/self/stat after the command name; field 3 of proc(5) is index 0.
std::vector<double> StatFields() {
  std::ifstream file("/proc/self/stat");
  std::string line;
  std::getline(file, line);
  const std::size_t end = line.rfind(')');
  if (end == std::string::npos || end + 4 > line.size()) return {};
  std::istringstream rest(line.substr(end + 4));
  std::vector<double> fields = {0};
  for (double value = 0; rest >> value;) fields.push_back(value);
  return fields;
}

double BootSeconds() {
  std::ifstream file("/proc/stat");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("btime ", 0) == 0) return std::stod(line.substr(6));
  }
  return 0;
}

double OpenFiles() {
  struct CloseDirectory {
    void operator()(DIR* directory) const { closedir(directory); }
  };
  const std::unique_ptr<DIR, CloseDirectory> directory(opendir("/proc/self/fd"));
  if (directory == nullptr) return 0;
  int count = -3;  // ".", ".." and the directory's own descriptor
  while (readdir(directory.get()) != nullptr) ++count;
  return count;
}

}  // namespace

std::vector<MetricFamily> ClusterFamilies(const ClusterSnapshot& snapshot) {
  std::vector<MetricFamily> families = {
      ByState("caldera_jobs", "Jobs by state.", snapshot.jobs),
      ByState("caldera_layers", "Layers of jobs that have not ended, by state.", snapshot.layers),
      ByState("caldera_workers", "Registered workers by state.", snapshot.workers),
      Single("caldera_leases_active", "Leases that workers hold.", snapshot.leases)};
  families.push_back(Single("caldera_store_up", "1 while the store can be reached, else 0.",
                            snapshot.store_reachable ? 1 : 0));
  if (snapshot.store_free_bytes.has_value()) {
    families.push_back(Single("caldera_store_free_bytes", "Room on the store's file system.",
                              static_cast<double>(*snapshot.store_free_bytes)));
  }
  if (snapshot.state_free_bytes.has_value()) {
    families.push_back(Single("caldera_state_free_bytes",
                              "Room on the file system of the state directory.",
                              static_cast<double>(*snapshot.state_free_bytes)));
  }
  MetricFamily ratio =
      Family("caldera_job_progress_ratio", "Share of the estimated work done.", MetricType::Gauge);
  MetricFamily eta = Family("caldera_job_eta_seconds", "Expected time to the end; -1 if unknown.",
                            MetricType::Gauge);
  MetricFamily last = Family("caldera_job_last_progress_timestamp_seconds",
                             "When the job last moved.", MetricType::Gauge);
  for (const ClusterSnapshot::Job& job : snapshot.active) {
    const Labels labels = {{"job_id", job.id}};
    Add(labels, job.progress_ratio, &ratio);
    Add(labels, job.eta_seconds, &eta);
    Add(labels, UnixSeconds(job.last_progress), &last);
  }
  MetricFamily heartbeats = Family("caldera_worker_last_heartbeat_timestamp_seconds",
                                   "When the worker was last heard from.", MetricType::Gauge);
  for (const auto& [worker, time] : snapshot.last_heartbeats) {
    Add({{"worker_id", worker}}, UnixSeconds(time), &heartbeats);
  }
  families.insert(families.end(), {ratio, eta, last, heartbeats});
  return families;
}

std::vector<MetricFamily> ProcessFamilies() {
  // Indices from proc(5): utime 14, stime 15, starttime 22, vsize 23, rss 24; less 3.
  constexpr std::size_t kUser = 11, kSystem = 12, kStart = 19, kVirtual = 20, kResident = 21;
  std::vector<MetricFamily> families;
  const std::vector<double> stat = StatFields();
  if (stat.size() <= kResident) return families;
  const double ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  MetricFamily cpu = Family("process_cpu_seconds_total", "User and system time of the process.",
                            MetricType::Counter);
  Add({}, (stat[kUser] + stat[kSystem]) / ticks, &cpu);
  families.push_back(cpu);
  families.push_back(Single("process_resident_memory_bytes", "Memory in use.",
                            stat[kResident] * static_cast<double>(sysconf(_SC_PAGESIZE))));
  families.push_back(Single("process_virtual_memory_bytes", "Address space.", stat[kVirtual]));
  families.push_back(Single("process_open_fds", "Open file descriptors.", OpenFiles()));
  families.push_back(Single("process_start_time_seconds", "When the process started.",
                            BootSeconds() + stat[kStart] / ticks));
  return families;
}

}  // namespace caldera::coordinator
