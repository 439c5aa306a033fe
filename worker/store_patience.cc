#include "worker/store_patience.h"

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "common/base/status.h"

namespace caldera::worker {
namespace {

// Not the wall clock: it may be set while we wait.
using SteadyClock = std::chrono::steady_clock;

constexpr absl::Duration kFirstPause = absl::Milliseconds(100);
constexpr absl::Duration kLongestPause = absl::Seconds(10);
constexpr absl::Duration kTick = absl::Milliseconds(100);

bool MayComeBack(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsResourceExhausted(status);
}

// Sleeps, unless there is a reason to stop.
absl::Status Pause(absl::Duration pause, const StorePatience& patience) {
  const auto end = SteadyClock::now() + absl::ToChronoNanoseconds(pause);
  while (SteadyClock::now() < end) {
    CALDERA_RETURN_IF_ERROR(patience.stop_reason());
    std::this_thread::sleep_for(absl::ToChronoNanoseconds(std::min(kTick, pause)));
  }
  return patience.stop_reason();
}

class PatientObjectIo final : public ObjectIo {
 public:
  PatientObjectIo(std::unique_ptr<ObjectIo> inner, StorePatience patience)
      : inner_(std::move(inner)), patience_(std::move(patience)) {}

  absl::StatusOr<std::vector<std::byte>> Read(const v1::ObjectRef& object) override {
    absl::StatusOr<std::vector<std::byte>> bytes;
    CALDERA_RETURN_IF_ERROR(WhileStoreIsAway(patience_, [&] {
      bytes = inner_->Read(object);
      return bytes.status();
    }));
    return bytes;
  }

  absl::StatusOr<v1::ObjectRef> Write(std::span<const std::byte> bytes) override {
    absl::StatusOr<v1::ObjectRef> object;
    CALDERA_RETURN_IF_ERROR(WhileStoreIsAway(patience_, [&] {
      object = inner_->Write(bytes);
      return object.status();
    }));
    return object;
  }

  absl::StatusOr<std::unique_ptr<ObjectSink>> Create() override { return inner_->Create(); }

 private:
  const std::unique_ptr<ObjectIo> inner_;
  const StorePatience patience_;
};

}  // namespace

absl::Status WhileStoreIsAway(const StorePatience& patience,
                              const std::function<absl::Status()>& attempt) {
  absl::Status status = attempt();
  const auto give_up = SteadyClock::now() + absl::ToChronoNanoseconds(patience.limit);
  for (absl::Duration pause = kFirstPause; MayComeBack(status);
       pause = std::min(pause * 2, kLongestPause)) {
    const absl::Duration left = absl::FromChrono(give_up - SteadyClock::now());
    if (left <= absl::ZeroDuration()) {
      return base::WithContext(
          status, fmt::format("waited {} for the store", absl::FormatDuration(patience.limit)));
    }
    patience.on_waiting(status);
    CALDERA_RETURN_IF_ERROR(Pause(std::min(pause, left), patience));
    status = attempt();
  }
  return status;
}

std::unique_ptr<ObjectIo> MakePatientObjectIo(std::unique_ptr<ObjectIo> inner,
                                              StorePatience patience) {
  return std::make_unique<PatientObjectIo>(std::move(inner), std::move(patience));
}

}  // namespace caldera::worker
