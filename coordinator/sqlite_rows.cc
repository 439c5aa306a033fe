#include "coordinator/sqlite_rows.h"

#include <string>

#include "common/base/status.h"
#include "coordinator/sqlite_times.h"

namespace caldera::coordinator {
namespace {

absl::Status RunAll(absl::StatusOr<int> changed) { return changed.status(); }

template <typename Message>
absl::Status ParseBody(const std::string& bytes, const std::string& table, Message* message) {
  if (message->ParseFromString(bytes)) return absl::OkStatus();
  return base::DataLoss("state database: a row of {} does not parse", table);
}

// Calls `on_row` for each row of `sql`.
template <typename OnRow>
absl::Status ForEachRow(Database* database, const std::string& sql, OnRow on_row) {
  CALDERA_ASSIGN_OR_RETURN(Statement statement, database->Prepare(sql));
  while (true) {
    CALDERA_ASSIGN_OR_RETURN(const Statement::Row row, statement.Step());
    if (row == Statement::Row::kDone) return absl::OkStatus();
    CALDERA_RETURN_IF_ERROR(on_row(statement));
  }
}

absl::Status DataLossOfParent(const std::string& table, const std::string& job) {
  return base::DataLoss("state database: {} of unknown job {}", table, job);
}

}  // namespace

absl::Status SaveJob(const JobRecord& record, Database* database) {
  CALDERA_ASSIGN_OR_RETURN(
      Statement statement,
      database->Prepare(
          "INSERT INTO jobs (job, ordinal, request_id, request_fingerprint, state,"
          " calibration_sha256, calibration_tokens, last_sequence, body)"
          " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (job) DO UPDATE SET"
          " state = excluded.state, last_sequence = excluded.last_sequence, body = excluded.body"));
  const std::string body = record.job.SerializeAsString();
  statement.Bind(record.id.value()).Bind(record.ordinal);
  if (record.request_id.empty()) {
    statement.BindNull();
  } else {
    statement.Bind(record.request_id);
  }
  statement.Bind(record.request_fingerprint)
      .Bind(static_cast<int>(record.job.state()))
      .Bind(record.calibration_sha256)
      .Bind(record.calibration_tokens)
      .Bind(record.last_sequence)
      .Bind(Blob{body});
  return RunAll(statement.Run());
}

absl::Status SaveMatrix(const MatrixChange& change, Database* database) {
  CALDERA_ASSIGN_OR_RETURN(
      Statement statement,
      database->Prepare("INSERT INTO matrices (job, layer, projection, attempt, worker, body)"
                        " VALUES (?, ?, ?, ?, ?, ?)"));
  const std::string body = change.matrix.result.SerializeAsString();
  statement.Bind(change.job.value())
      .Bind(change.key.first)
      .Bind(change.key.second)
      .Bind(change.matrix.attempt)
      .Bind(change.matrix.worker.value())
      .Bind(Blob{body});
  return RunAll(statement.Run());
}

absl::Status SaveHessian(const HessianChange& change, Database* database) {
  CALDERA_ASSIGN_OR_RETURN(Statement statement,
                           database->Prepare("INSERT INTO hessians (job, layer, range, kind, body)"
                                             " VALUES (?, ?, ?, ?, ?)"));
  const std::string body = change.hessian.SerializeAsString();
  statement.Bind(change.job.value())
      .Bind(change.hessian.layer())
      .Bind(change.hessian.range())
      .Bind(change.hessian.kind())
      .Bind(Blob{body});
  return RunAll(statement.Run());
}

absl::Status DeleteMatrix(const LostMatrix& lost, Database* database) {
  CALDERA_ASSIGN_OR_RETURN(
      Statement statement,
      database->Prepare("DELETE FROM matrices WHERE job = ? AND layer = ? AND projection = ?"));
  statement.Bind(lost.job.value()).Bind(lost.key.first).Bind(lost.key.second);
  return RunAll(statement.Run());
}

absl::Status DeleteHessian(const LostHessian& lost, Database* database) {
  CALDERA_ASSIGN_OR_RETURN(
      Statement statement,
      database->Prepare(
          "DELETE FROM hessians WHERE job = ? AND layer = ? AND range = ? AND kind = ?"));
  const auto& [layer, range, kind] = lost.key;
  statement.Bind(lost.job.value()).Bind(layer).Bind(range).Bind(kind);
  return RunAll(statement.Run());
}

absl::Status SaveEvent(const EventChange& change, Database* database) {
  CALDERA_ASSIGN_OR_RETURN(
      Statement statement,
      database->Prepare("INSERT INTO events (job, sequence, body) VALUES (?, ?, ?)"));
  const std::string body = change.event.SerializeAsString();
  statement.Bind(change.job.value()).Bind(change.event.sequence()).Bind(Blob{body});
  return RunAll(statement.Run());
}

absl::Status SaveWorker(const WorkerRecord& worker, Database* database) {
  CALDERA_ASSIGN_OR_RETURN(
      Statement statement,
      database->Prepare("INSERT OR REPLACE INTO workers (worker, incarnation, body)"
                        " VALUES (?, ?, ?)"));
  v1::RegisterRequest body;
  body.set_version(worker.version);
  body.set_ranks(worker.ranks);
  body.set_threads_per_rank(worker.threads_per_rank);
  body.set_memory_bytes(worker.memory_bytes);
  body.set_host(worker.host);
  const std::string bytes = body.SerializeAsString();
  statement.Bind(worker.id.value()).Bind(worker.incarnation).Bind(Blob{bytes});
  return RunAll(statement.Run());
}

absl::Status LoadJobs(Database* database, ClusterState* state) {
  return ForEachRow(
      database,
      "SELECT job, ordinal, ifnull(request_id, ''), request_fingerprint, calibration_sha256,"
      " calibration_tokens, last_sequence, body FROM jobs",
      [state](const Statement& row) -> absl::Status {
        JobRecord record;
        record.id = base::JobId(row.Bytes(0));
        record.ordinal = row.Integer(1);
        record.request_id = row.Bytes(2);
        record.request_fingerprint = row.Bytes(3);
        record.calibration_sha256 = row.Bytes(4);
        record.calibration_tokens = row.Integer(5);
        record.last_sequence = row.Integer(6);
        CALDERA_RETURN_IF_ERROR(ParseBody(row.Bytes(7), "jobs", &record.job));
        state->jobs[record.id.value()].record = record;
        return absl::OkStatus();
      });
}

absl::Status LoadMatrices(Database* database, ClusterState* state) {
  return ForEachRow(
      database, "SELECT job, layer, projection, attempt, worker, body FROM matrices",
      [state](const Statement& row) -> absl::Status {
        const auto job = state->jobs.find(row.Bytes(0));
        if (job == state->jobs.end()) return DataLossOfParent("matrix", row.Bytes(0));
        MatrixRecord matrix;
        matrix.attempt = static_cast<int>(row.Integer(3));
        matrix.worker = base::WorkerId(row.Bytes(4));
        CALDERA_RETURN_IF_ERROR(ParseBody(row.Bytes(5), "matrices", &matrix.result));
        const MatrixKey key{static_cast<int>(row.Integer(1)), static_cast<int>(row.Integer(2))};
        job->second.matrices[key] = matrix;
        return absl::OkStatus();
      });
}

absl::Status LoadHessians(Database* database, ClusterState* state) {
  return ForEachRow(database, "SELECT job, layer, range, kind, body FROM hessians",
                    [state](const Statement& row) -> absl::Status {
                      const auto job = state->jobs.find(row.Bytes(0));
                      if (job == state->jobs.end())
                        return DataLossOfParent("Hessian", row.Bytes(0));
                      v1::HessianRef hessian;
                      CALDERA_RETURN_IF_ERROR(ParseBody(row.Bytes(4), "hessians", &hessian));
                      const HessianKey key{static_cast<int>(row.Integer(1)),
                                           static_cast<int>(row.Integer(2)), row.Bytes(3)};
                      job->second.hessians[key] = hessian;
                      return absl::OkStatus();
                    });
}

absl::Status LoadWorkers(Database* database, ClusterState* state) {
  return ForEachRow(database, "SELECT worker, incarnation, body FROM workers",
                    [state](const Statement& row) -> absl::Status {
                      v1::RegisterRequest body;
                      CALDERA_RETURN_IF_ERROR(ParseBody(row.Bytes(2), "workers", &body));
                      WorkerRecord worker;
                      worker.id = base::WorkerId(row.Bytes(0));
                      worker.incarnation = row.Bytes(1);
                      worker.version = body.version();
                      worker.ranks = body.ranks();
                      worker.threads_per_rank = body.threads_per_rank();
                      worker.memory_bytes = body.memory_bytes();
                      worker.host = body.host();
                      state->workers[worker.id.value()] = worker;
                      return absl::OkStatus();
                    });
}

}  // namespace caldera::coordinator
