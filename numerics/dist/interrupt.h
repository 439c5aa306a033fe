// How a long computation over ranks is told to end early, without knowing why or a clock.
//
// Between steps all ranks ask together (CheckStop) and end together. Within a step each rank may
// look by itself (Left) and leave it; the step's result is of no use then, and the next CheckStop,
// which must come before anybody reads it, ends the computation on every rank.
#ifndef CALDERA_NUMERICS_DIST_INTERRUPT_H_
#define CALDERA_NUMERICS_DIST_INTERRUPT_H_

#include <functional>

#include "absl/status/status.h"
#include "common/base/status.h"

namespace caldera::dist {

struct Interrupt {
  // Collective: every rank must answer alike. May be empty.
  std::function<bool()> stop;
  // Not collective, from any thread, up to some thousand times a second. Once it has said true on
  // one rank, `stop` says true on all of them. May be empty.
  std::function<bool()> leave;

  // CANCELLED when a stop is requested. Collective.
  absl::Status CheckStop() const {
    return stop && stop() ? base::Cancelled("stopped on request") : absl::OkStatus();
  }
  bool Left() const { return leave && leave(); }
};

}  // namespace caldera::dist

#endif  // CALDERA_NUMERICS_DIST_INTERRUPT_H_
