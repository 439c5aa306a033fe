// Where the time of a decomposition goes.
#ifndef CALDERA_NUMERICS_DECOMPOSE_STEP_CLOCK_H_
#define CALDERA_NUMERICS_DECOMPOSE_STEP_CLOCK_H_

#include <array>
#include <chrono>
#include <cstddef>

namespace caldera::decompose {

// What takes time that grows faster than the matrix; docs/algorithms.md has a section on each.
enum class Step { kEigenvectors, kDowndate, kLdlq, kSweep, kLowRank, kReportedError };
inline constexpr std::array<const char*, 6> kStepNames = {"eigenvectors", "downdate", "ldlq",
                                                          "sweep",        "low_rank", "error"};

// Seconds of wall time by step; waiting for other ranks is part of a step.
using StepSeconds = std::array<double, kStepNames.size()>;

// Adds the time from its making to its end to one step. Timers of one decomposition do not overlap.
class StepTimer {
 public:
  StepTimer(StepSeconds& seconds, Step step)
      : seconds_(seconds[static_cast<std::size_t>(step)]), start_(Clock::now()) {}
  ~StepTimer() { seconds_ += std::chrono::duration<double>(Clock::now() - start_).count(); }
  StepTimer(const StepTimer&) = delete;
  StepTimer& operator=(const StepTimer&) = delete;

 private:
  using Clock = std::chrono::steady_clock;
  double& seconds_;
  Clock::time_point start_;
};

}  // namespace caldera::decompose

#endif  // CALDERA_NUMERICS_DECOMPOSE_STEP_CLOCK_H_
