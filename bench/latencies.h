// How long calls took, by name. Thread-safe.
#ifndef CALDERA_BENCH_LATENCIES_H_
#define CALDERA_BENCH_LATENCIES_H_

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/base/mutex.h"
#include "nlohmann/json.hpp"

namespace caldera::bench {

class Latencies {
 public:
  void Add(const std::string& name, absl::Duration duration) {
    base::MutexLock lock(mutex_);
    milliseconds_[name].push_back(static_cast<float>(absl::ToDoubleMilliseconds(duration)));
  }
  std::size_t Count(const std::string& name) {
    base::MutexLock lock(mutex_);
    return milliseconds_[name].size();
  }
  // {name: {count, p50_ms, p99_ms, max_ms}}
  nlohmann::ordered_json ToJson() {
    base::MutexLock lock(mutex_);
    nlohmann::ordered_json json;
    for (auto& [name, values] : milliseconds_) {
      if (values.empty()) continue;
      std::sort(values.begin(), values.end());
      const auto at = [&values = values](double share) {
        return values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1))];
      };
      json[name] = {{"count", values.size()},
                    {"p50_ms", at(.5)},
                    {"p99_ms", at(.99)},
                    {"max_ms", values.back()}};
    }
    return json;
  }

 private:
  base::Mutex mutex_;
  std::map<std::string, std::vector<float>> milliseconds_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace caldera::bench

#endif  // CALDERA_BENCH_LATENCIES_H_
