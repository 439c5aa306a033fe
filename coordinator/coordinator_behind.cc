// Coordinator: what happens behind its answers. Who waited is served, durable changes are
// announced, receipts written, objects removed, and memory is loaded again after a loss.
#include <future>
#include <utility>

#include "common/base/status.h"
#include "coordinator/coordinator.h"
#include "coordinator/coordinator_section.h"
#include "coordinator/job_graph.h"

namespace caldera::coordinator {

Coordinator::Calls Coordinator::CollectCalls() {
  Calls calls;
  JobNames changed = core_->TakeChangedJobs();
  if (time_passed_) {
    for (const std::string& job : unfinished_) publishing_.erase(job);
    changed.merge(std::exchange(unfinished_, {}));
  }
  CollectLeaseCalls(changed, &calls);
  changed.merge(core_->TakeChangedJobs());  // giving leases makes events
  CollectPublishCalls(changed, &calls);
  CollectEventCalls(changed, &calls);
  return calls;
}

bool Coordinator::TryWait(WaitId id, Calls* calls) {
  const auto wait = lease_waits_.find(id);
  if (wait == lease_waits_.end()) return true;
  absl::StatusOr<std::optional<v1::Lease>> lease = leases_.TryAcquire(wait->second.request);
  const bool over = stopping_ || wait->second.deadline <= core_->Now();
  if (lease.ok() && !lease->has_value() && !over) return false;
  absl::StatusOr<v1::AcquireLeaseResponse> response = v1::AcquireLeaseResponse();
  if (!lease.ok()) {
    response = lease.status();
  } else if (lease->has_value()) {
    *response->mutable_lease() = **std::move(lease);
  }
  calls->push_back([done = std::move(wait->second.done), response](const absl::Status& durable) {
    done(durable.ok() ? response : durable);
  });
  lease_waits_.erase(wait);
  return true;
}

void Coordinator::ServeAfresh(const std::string& worker) {
  for (const auto& [id, wait] : lease_waits_) {
    if (wait.request.worker_id() == worker) fresh_waits_.insert(id);
  }
}

// Most changes make nothing grantable: then a thousand waiting workers cost nothing.
void Coordinator::CollectLeaseCalls(const JobNames& changed, Calls* calls) {
  for (const WaitId id : std::exchange(fresh_waits_, {})) TryWait(id, calls);
  const bool look_everywhere = std::exchange(time_passed_, false) || stopping_;
  if (lease_waits_.empty()) return;
  JobNames jobs = changed;
  if (look_everywhere) {
    for (const auto& [id, job] : core_->state().jobs) jobs.insert(id);
  }
  bool grantable = core_->HasGrantableTask(jobs);
  for (auto it = lease_waits_.begin(); grantable && it != lease_waits_.end();) {
    const WaitId id = (it++)->first;
    if (!TryWait(id, calls)) grantable = core_->HasGrantableTask(jobs);
  }
  for (auto it = lease_waits_.begin(); look_everywhere && it != lease_waits_.end();) {
    const auto& [id, wait] = *it++;
    if (stopping_ || wait.deadline <= core_->Now()) TryWait(id, calls);
  }
}

void Coordinator::CollectPublishCalls(const JobNames& changed, Calls* calls) {
  if (stopping_) return;
  JobNames jobs = publish_waits_.DueAt(core_->Now());
  jobs.insert(changed.begin(), changed.end());
  for (const std::string& id : jobs) {
    const auto job = core_->state().jobs.find(id);
    const bool ready = job != core_->state().jobs.end() &&
                       job->second.record.job.state() == v1::RUNNING && AllTasksDone(job->second);
    if (!ready) publish_waits_.Forget(id);
    if (!ready || !publish_waits_.IsDue(id, core_->Now())) continue;
    if (!publishing_.insert(id).second) continue;
    calls->push_back([this, id](const absl::Status& durable) {
      if (durable.ok()) {
        dependencies_.pool->Post([this, id] { PublishJob(base::JobId(id)); });
      } else {
        base::MutexLock lock(mutex_);
        publishing_.erase(id);
      }
    });
  }
}

void Coordinator::CollectEventCalls(const JobNames& changed, Calls* calls) {
  if (stopping_) {
    for (auto& [key, wake] : std::exchange(event_waits_, {})) {
      calls->push_back([wake = std::move(wake)](const absl::Status& /*durable*/) { wake(); });
    }
  }
  if (changed.empty()) return;
  std::map<std::string, std::int64_t> sequences;
  for (const std::string& id : changed) {
    const auto job = core_->state().jobs.find(id);
    sequences[id] = job == core_->state().jobs.end() ? -1 : job->second.record.last_sequence;
  }
  calls->push_back([this, sequences = std::move(sequences)](const absl::Status& durable) {
    // What was lost is announced, or not, after the state has been loaded again.
    if (durable.ok()) Announce(sequences);
  });
}

void Coordinator::Announce(const std::map<std::string, std::int64_t>& sequences) {
  std::vector<std::function<void()>> wakes;
  {
    base::MutexLock lock(mutex_);
    for (const auto& [job, sequence] : sequences) {
      if (sequence < 0) {
        announced_.erase(job);
      } else {
        announced_[job] = std::max(announced_[job], sequence);
      }
      for (auto it = event_waits_.lower_bound({job, 0});
           it != event_waits_.end() && it->first.first == job;) {
        wakes.push_back(std::move(it->second));
        it = event_waits_.erase(it);
      }
    }
  }
  for (const std::function<void()>& wake : wakes) wake();
}

void Coordinator::StopWaiting(WaitId id) {
  base::MutexLock lock(mutex_);
  lease_waits_.erase(id);
  std::erase_if(event_waits_, [id](const auto& wait) { return wait.first.second == id; });
}

void Coordinator::Tick() {
  ReloadAfterLoss();
  Section section(this);
  time_passed_ = true;
  const absl::Status status = leases_.Tick(completing_);
  // Once, not at each tick of a long trouble.
  const std::string trouble = base::MessageOf(status);
  if (!status.ok() && trouble != tick_trouble_) core_->log().Error("tick: {}", trouble);
  tick_trouble_ = trouble;
}

void Coordinator::BeginShutdown() {
  Section section(this);
  stopping_ = true;
}

CommitQueue::Position Coordinator::Position() const {
  return dependencies_.commits == nullptr ? 0 : dependencies_.commits->position();
}

void Coordinator::RunWhenDurable(CommitQueue::Position since, Calls calls) {
  if (calls.empty()) return;
  auto run = [calls = std::move(calls)](const absl::Status& durable) {
    for (const auto& call : calls) call(durable);
  };
  if (dependencies_.commits == nullptr) {
    run(absl::OkStatus());
  } else {
    dependencies_.commits->Await(since, std::move(run));
  }
}

void Coordinator::LeaveToClerk(CommitQueue::Position since, std::function<void()> work) {
  Calls calls;
  calls.push_back([this, work = std::move(work)](const absl::Status& durable) {
    if (durable.ok()) clerk_.Post(work);
  });
  RunWhenDurable(since, std::move(calls));
}

void Coordinator::RunOnClerk(CommitQueue::Position since, const std::function<void()>& work) {
  std::promise<void> over;
  Calls calls;
  calls.push_back([&](const absl::Status& durable) {
    if (durable.ok()) clerk_.Post(work);
    clerk_.Post([&over] { over.set_value(); });
  });
  RunWhenDurable(since, std::move(calls));
  over.get_future().wait();
}

void Coordinator::ReloadAfterLoss() {
  Section section(this);
  if (!lost_) return;
  const absl::Status status = core_->Reload();
  lost_ = !status.ok();
  if (status.ok()) {
    core_->log().Warning("the state was loaded again: what could not be written is undone");
  } else {
    core_->log().Error("loading the state again: {}", base::MessageOf(status));
  }
}

void Coordinator::DrainReceipts() {
  if (dependencies_.commits != nullptr) dependencies_.commits->Drain();
  clerk_.Drain();
}

void Coordinator::RemoveUnused(const std::set<std::string>& objects) {
  for (const std::string& object : objects) {
    {
      base::MutexLock lock(mutex_);
      if (core_->IsUsed(object) || pinned_.count(object) > 0) continue;
      removing_.insert(object);
    }
    RemoveObject(object);
    base::MutexLock lock(mutex_);
    removing_.erase(object);
  }
}

void Coordinator::RemoveDamaged(const std::vector<std::string>& objects) {
  for (const std::string& object : objects) {
    {
      base::MutexLock lock(mutex_);
      removing_.insert(object);
    }
    // Again, now that nobody can commit to it: it may have been made anew meanwhile.
    if (absl::IsDataLoss(dependencies_.store->VerifyObject(object))) RemoveObject(object);
    base::MutexLock lock(mutex_);
    removing_.erase(object);
  }
}

void Coordinator::RemoveObject(const std::string& object) {
  const absl::Status status = dependencies_.store->RemoveObject(object);
  if (!status.ok() && status.code() != absl::StatusCode::kNotFound) {
    dependencies_.core.log.Warning("removing object {}: {}", object, base::MessageOf(status));
  }
}

}  // namespace caldera::coordinator
