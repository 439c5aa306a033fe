// What this binary is: for `version`, the build_info metric and log headers.
#ifndef CALDERA_COMMON_BASE_BUILD_INFO_H_
#define CALDERA_COMMON_BASE_BUILD_INFO_H_

#include <string>

namespace caldera::base {

struct BuildInfo {
  std::string version;     // "0.1.0", the project version of CMakeLists.txt
  std::string git_commit;  // 12 hex digits when the build was configured, or "unknown"
  std::string compiler;    // "GNU 12.2.0"
  std::string build_type;  // "RelWithDebInfo"
  std::string
      simd_target;  // best vector unit of this machine: "avx512", "avx2", "sse4", "neon", ...
};

BuildInfo GetBuildInfo();

}  // namespace caldera::base

#endif  // CALDERA_COMMON_BASE_BUILD_INFO_H_
