#include "common/base/check.h"

#include <cstdio>
#include <cstdlib>

namespace caldera::base {

void CheckFailed(const CheckSite& site, const std::string& message) {
  std::fprintf(stderr, "%s:%d: check failed: %s: %s\n", site.file, site.line, site.condition,
               message.c_str());
  std::abort();
}

}  // namespace caldera::base
