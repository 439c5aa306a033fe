// Gauges made at each scrape, from a snapshot of the cluster and from /proc. Internal to
// metrics.cc.
#ifndef CALDERA_COORDINATOR_GAUGE_FAMILIES_H_
#define CALDERA_COORDINATOR_GAUGE_FAMILIES_H_

#include <prometheus/metric_family.h>

#include <vector>

#include "coordinator/observer.h"

namespace caldera::coordinator {

std::vector<prometheus::MetricFamily> ClusterFamilies(const ClusterSnapshot& snapshot);

// process_cpu_seconds_total, process_resident_memory_bytes, process_virtual_memory_bytes,
// process_open_fds, process_start_time_seconds; what /proc does not say is left out.
std::vector<prometheus::MetricFamily> ProcessFamilies();

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_GAUGE_FAMILIES_H_
