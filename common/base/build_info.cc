#include "common/base/build_info.h"

#include "common/base/build_info_config.h"

namespace caldera::base {
namespace {

std::string SimdTarget() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) return "avx512";
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return "avx2";
  if (__builtin_cpu_supports("sse4.2")) return "sse4";
  return "sse2";
#elif defined(__aarch64__)
  return "neon";
#else
  return "scalar";
#endif
}

}  // namespace

BuildInfo GetBuildInfo() {
  return {.version = CALDERA_VERSION,
          .git_commit = CALDERA_GIT_COMMIT,
          .compiler = CALDERA_COMPILER,
          .build_type = CALDERA_BUILD_TYPE,
          .simd_target = SimdTarget()};
}

}  // namespace caldera::base
