#include <optional>
#include <string>

#include "common/base/status.h"
#include "coordinator/sqlite_rows.h"
#include "coordinator/sqlite_times.h"

namespace caldera::coordinator {
namespace {

constexpr char kUpsert[] =
    "INSERT INTO tasks (state, failures, last_error, not_before, lease, attempt, worker,"
    " incarnation, granted, deadline, completion, allotment, attempts, rival_lease, rival_attempt,"
    " rival_worker, rival_incarnation, rival_granted, rival_deadline, job, task, kind, idx, work,"
    " position)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,"
    " (SELECT count(*) FROM tasks WHERE job = ?))"
    " ON CONFLICT (job, task) DO UPDATE SET state = excluded.state, failures = excluded.failures,"
    " last_error = excluded.last_error, not_before = excluded.not_before, lease = excluded.lease,"
    " attempt = excluded.attempt, worker = excluded.worker, incarnation = excluded.incarnation,"
    " granted = excluded.granted, deadline = excluded.deadline, completion = excluded.completion,"
    " allotment = excluded.allotment, attempts = excluded.attempts,"
    " rival_lease = excluded.rival_lease, rival_attempt = excluded.rival_attempt,"
    " rival_worker = excluded.rival_worker, rival_incarnation = excluded.rival_incarnation,"
    " rival_granted = excluded.rival_granted, rival_deadline = excluded.rival_deadline";

constexpr char kFencedUpdate[] =
    "UPDATE tasks SET state = ?, failures = ?, last_error = ?, not_before = ?, lease = ?,"
    " attempt = ?, worker = ?, incarnation = ?, granted = ?, deadline = ?, completion = ?,"
    " allotment = ?, attempts = ?, rival_lease = ?, rival_attempt = ?, rival_worker = ?,"
    " rival_incarnation = ?, rival_granted = ?, rival_deadline = ?"
    " WHERE job = ? AND task = ? AND ((lease = ? AND attempt = ?) OR"
    " (rival_lease = ? AND rival_attempt = ?)) AND state IN (?, ?)";

// What only a finished task has, as one message.
std::string CompletionOf(const TaskRecord& task) {
  v1::CompleteLeaseRequest completion;
  if (!task.shard.sha256().empty()) *completion.mutable_shard() = task.shard;
  completion.set_seconds(task.seconds);
  completion.mutable_rank_flops()->Add(task.rank_flops.begin(), task.rank_flops.end());
  completion.mutable_probes()->Add(task.probes.begin(), task.probes.end());
  return completion.SerializeAsString();
}

absl::Status ReadCompletion(const std::string& bytes, TaskRecord* task) {
  v1::CompleteLeaseRequest completion;
  if (!completion.ParseFromString(bytes)) {
    return base::DataLoss("state database: a row of tasks does not parse");
  }
  task->shard = completion.shard();
  task->seconds = completion.seconds();
  task->rank_flops.assign(completion.rank_flops().begin(), completion.rank_flops().end());
  task->probes.assign(completion.probes().begin(), completion.probes().end());
  return absl::OkStatus();
}

std::string AllotmentOf(const TaskRecord& task) {
  v1::CompressTask allotment;
  allotment.mutable_q_bits()->Add(task.q_bits.begin(), task.q_bits.end());
  return allotment.SerializeAsString();
}

absl::Status ReadAllotment(const std::string& bytes, TaskRecord* task) {
  v1::CompressTask allotment;
  if (!allotment.ParseFromString(bytes)) {
    return base::DataLoss("state database: an allotment of tasks does not parse");
  }
  task->q_bits.assign(allotment.q_bits().begin(), allotment.q_bits().end());
  return absl::OkStatus();
}

void BindChanging(const TaskRecord& task, Statement* statement) {
  const std::string completion = CompletionOf(task);
  const std::string allotment = AllotmentOf(task);
  statement->Bind(static_cast<int>(task.state))
      .Bind(task.failures)
      .Bind(task.last_error)
      .Bind(ToMillis(task.not_before))
      .Bind(task.fence.lease.value())
      .Bind(task.fence.attempt)
      .Bind(task.worker.value())
      .Bind(task.incarnation)
      .Bind(ToMillis(task.granted))
      .Bind(ToMillis(task.deadline))
      .Bind(Blob{completion})
      .Bind(Blob{allotment})
      .Bind(task.attempts);
  const RivalLease rival = task.rival.value_or(RivalLease());
  statement->Bind(rival.fence.lease.value())
      .Bind(rival.fence.attempt)
      .Bind(rival.worker.value())
      .Bind(rival.incarnation)
      .Bind(ToMillis(rival.granted))
      .Bind(ToMillis(rival.deadline));
}

absl::Status Upsert(const TaskRecord& task, Database* database) {
  CALDERA_ASSIGN_OR_RETURN(Statement statement, database->Prepare(kUpsert));
  BindChanging(task, &statement);
  statement.Bind(task.job.value())
      .Bind(task.id)
      .Bind(static_cast<int>(task.kind))
      .Bind(task.index)
      .Bind(task.work)
      .Bind(task.job.value());
  return statement.Run().status();
}

absl::Status FencedUpdate(const TaskChange& change, Database* database) {
  CALDERA_ASSIGN_OR_RETURN(Statement statement, database->Prepare(kFencedUpdate));
  BindChanging(change.task, &statement);
  statement.Bind(change.task.job.value())
      .Bind(change.task.id)
      .Bind(change.fence->lease.value())
      .Bind(change.fence->attempt)
      .Bind(change.fence->lease.value())
      .Bind(change.fence->attempt)
      .Bind(static_cast<int>(TaskState::kLeased))
      .Bind(static_cast<int>(TaskState::kLapsed));
  CALDERA_ASSIGN_OR_RETURN(const int changed, statement.Run());
  return changed == 1 ? absl::OkStatus() : StaleFence(change);
}

absl::Status SaveFailures(const TaskRecord& task, Database* database) {
  CALDERA_ASSIGN_OR_RETURN(
      Statement clear, database->Prepare("DELETE FROM task_failures WHERE job = ? AND task = ?"));
  CALDERA_RETURN_IF_ERROR(clear.Bind(task.job.value()).Bind(task.id).Run().status());
  for (const auto& [worker, failures] : task.failures_of_worker) {
    CALDERA_ASSIGN_OR_RETURN(
        Statement insert,
        database->Prepare("INSERT INTO task_failures (job, task, worker, failures)"
                          " VALUES (?, ?, ?, ?)"));
    insert.Bind(task.job.value()).Bind(task.id).Bind(worker).Bind(failures);
    CALDERA_RETURN_IF_ERROR(insert.Run().status());
  }
  return absl::OkStatus();
}

std::optional<RivalLease> ReadRival(const Statement& row) {
  if (row.Bytes(18).empty()) return std::nullopt;
  RivalLease rival;
  rival.fence = {base::LeaseId(row.Bytes(18)), static_cast<int>(row.Integer(19))};
  rival.worker = base::WorkerId(row.Bytes(20));
  rival.incarnation = row.Bytes(21);
  rival.granted = FromMillis(row.Integer(22));
  rival.deadline = FromMillis(row.Integer(23));
  return rival;
}

absl::Status ReadTask(const Statement& row, ClusterState* state) {
  const auto job = state->jobs.find(row.Bytes(0));
  if (job == state->jobs.end()) return base::DataLoss("state database: task of unknown job");
  TaskRecord task;
  task.job = base::JobId(row.Bytes(0));
  task.id = row.Bytes(1);
  task.kind = static_cast<TaskKind>(row.Integer(2));
  task.index = static_cast<int>(row.Integer(3));
  task.work = row.Real(4);
  task.state = static_cast<TaskState>(row.Integer(5));
  task.failures = static_cast<int>(row.Integer(6));
  task.last_error = row.Bytes(7);
  task.not_before = FromMillis(row.Integer(8));
  task.fence = {base::LeaseId(row.Bytes(9)), static_cast<int>(row.Integer(10))};
  task.worker = base::WorkerId(row.Bytes(11));
  task.incarnation = row.Bytes(12);
  task.granted = FromMillis(row.Integer(13));
  task.deadline = FromMillis(row.Integer(14));
  CALDERA_RETURN_IF_ERROR(ReadCompletion(row.Bytes(15), &task));
  CALDERA_RETURN_IF_ERROR(ReadAllotment(row.Bytes(16), &task));
  task.attempts = static_cast<int>(row.Integer(17));
  task.rival = ReadRival(row);
  job->second.tasks.push_back(task);
  return absl::OkStatus();
}

absl::Status LoadFailures(Database* database, ClusterState* state) {
  CALDERA_ASSIGN_OR_RETURN(
      Statement row, database->Prepare("SELECT job, task, worker, failures FROM task_failures"));
  while (true) {
    CALDERA_ASSIGN_OR_RETURN(const Statement::Row step, row.Step());
    if (step == Statement::Row::kDone) return absl::OkStatus();
    for (TaskRecord& task : state->jobs[row.Bytes(0)].tasks) {
      if (task.id != row.Bytes(1)) continue;
      task.failures_of_worker[row.Bytes(2)] = static_cast<int>(row.Integer(3));
    }
  }
}

}  // namespace

absl::Status SaveTask(const TaskChange& change, Database* database) {
  CALDERA_RETURN_IF_ERROR(change.fence.has_value() ? FencedUpdate(change, database)
                                                   : Upsert(change.task, database));
  return SaveFailures(change.task, database);
}

absl::Status LoadTasks(Database* database, ClusterState* state) {
  CALDERA_ASSIGN_OR_RETURN(
      Statement statement,
      database->Prepare(
          "SELECT job, task, kind, idx, work, state, failures, last_error, not_before, lease,"
          " attempt, worker, incarnation, granted, deadline, completion, allotment, attempts,"
          " rival_lease, rival_attempt, rival_worker, rival_incarnation, rival_granted,"
          " rival_deadline"
          " FROM tasks ORDER BY job, position"));
  while (true) {
    CALDERA_ASSIGN_OR_RETURN(const Statement::Row row, statement.Step());
    if (row == Statement::Row::kDone) break;
    CALDERA_RETURN_IF_ERROR(ReadTask(statement, state));
  }
  return LoadFailures(database, state);
}

}  // namespace caldera::coordinator
