// State databases as earlier versions of the program wrote them, schema and rows: never change one.
// A new schema version brings another here.
#ifndef CALDERA_TESTS_COORDINATOR_OLD_DATABASES_H_
#define CALDERA_TESTS_COORDINATOR_OLD_DATABASES_H_

#include <array>

namespace caldera::coordinator {

// Entry i is of user_version i + 1. One job with a finished and a leased task.
inline constexpr std::array kOldDatabases = {
    R"sql(
CREATE TABLE jobs (
  job TEXT PRIMARY KEY,
  ordinal INTEGER NOT NULL UNIQUE,
  request_id TEXT UNIQUE,
  request_fingerprint TEXT NOT NULL,
  state INTEGER NOT NULL,
  calibration_sha256 TEXT NOT NULL,
  calibration_tokens INTEGER NOT NULL,
  last_sequence INTEGER NOT NULL,
  body BLOB NOT NULL
) STRICT;
CREATE TABLE tasks (
  job TEXT NOT NULL REFERENCES jobs(job) ON DELETE CASCADE,
  task TEXT NOT NULL,
  position INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  idx INTEGER NOT NULL,
  work REAL NOT NULL,
  state INTEGER NOT NULL,
  failures INTEGER NOT NULL,
  last_error TEXT NOT NULL,
  not_before INTEGER NOT NULL,
  lease TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  worker TEXT NOT NULL,
  incarnation TEXT NOT NULL,
  granted INTEGER NOT NULL,
  deadline INTEGER NOT NULL,
  completion BLOB NOT NULL,
  PRIMARY KEY (job, task)
) STRICT, WITHOUT ROWID;
CREATE TABLE task_failures (
  job TEXT NOT NULL,
  task TEXT NOT NULL,
  worker TEXT NOT NULL,
  failures INTEGER NOT NULL,
  PRIMARY KEY (job, task, worker),
  FOREIGN KEY (job, task) REFERENCES tasks(job, task) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE TABLE matrices (
  job TEXT NOT NULL REFERENCES jobs(job) ON DELETE CASCADE,
  layer INTEGER NOT NULL,
  projection INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  worker TEXT NOT NULL,
  body BLOB NOT NULL,
  PRIMARY KEY (job, layer, projection)
) STRICT, WITHOUT ROWID;
CREATE TABLE hessians (
  job TEXT NOT NULL REFERENCES jobs(job) ON DELETE CASCADE,
  layer INTEGER NOT NULL,
  range INTEGER NOT NULL,
  kind TEXT NOT NULL,
  body BLOB NOT NULL,
  PRIMARY KEY (job, layer, range, kind)
) STRICT, WITHOUT ROWID;
CREATE TABLE events (
  job TEXT NOT NULL REFERENCES jobs(job) ON DELETE CASCADE,
  sequence INTEGER NOT NULL,
  body BLOB NOT NULL,
  PRIMARY KEY (job, sequence)
) STRICT, WITHOUT ROWID;
CREATE TABLE workers (
  worker TEXT PRIMARY KEY,
  incarnation TEXT NOT NULL,
  body BLOB NOT NULL
) STRICT;
INSERT INTO jobs VALUES ('a', 4, 'request', 'fingerprint', 2, 'text', 12345, 1,
  x'0a11636f6d7072657373696f6e4a6f62732f611802');
INSERT INTO tasks VALUES ('a', 'embeddings', 0, 2, 0, 1000.0, 3, 0, '', -9223372036854775808, 'l0', 1,
  'w1', 'i1', 1700000000123, -9223372036854775808, x'1a040a026162210000000000002940');
INSERT INTO tasks VALUES ('a', 'compress-4', 1, 1, 4, 1.5e9, 1, 2, 'it broke', 1700000000000,
  'l1', 3, 'w1', 'i1', 1700000000123, 1700000090123, x'');
INSERT INTO task_failures VALUES ('a', 'compress-4', 'w0', 2);
INSERT INTO matrices VALUES ('a', 4, 0, 2, 'w0', x'0a1073656c665f6174746e2e715f70726f6a');
INSERT INTO hessians VALUES ('a', 4, 1, 'attn_in', x'10011a076174746e5f696e');
INSERT INTO events VALUES ('a', 1, x'08011a0b6a6f622e63726561746564');
INSERT INTO workers VALUES ('w1', 'i1', x'1a03302e3120023a056e6f646537');
)sql",
    R"sql(
CREATE TABLE jobs (
  job TEXT PRIMARY KEY,
  ordinal INTEGER NOT NULL UNIQUE,
  request_id TEXT UNIQUE,
  request_fingerprint TEXT NOT NULL,
  state INTEGER NOT NULL,
  calibration_sha256 TEXT NOT NULL,
  calibration_tokens INTEGER NOT NULL,
  last_sequence INTEGER NOT NULL,
  body BLOB NOT NULL
) STRICT;
CREATE TABLE tasks (
  job TEXT NOT NULL REFERENCES jobs(job) ON DELETE CASCADE,
  task TEXT NOT NULL,
  position INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  idx INTEGER NOT NULL,
  work REAL NOT NULL,
  state INTEGER NOT NULL,
  failures INTEGER NOT NULL,
  last_error TEXT NOT NULL,
  not_before INTEGER NOT NULL,
  lease TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  worker TEXT NOT NULL,
  incarnation TEXT NOT NULL,
  granted INTEGER NOT NULL,
  deadline INTEGER NOT NULL,
  completion BLOB NOT NULL,
  PRIMARY KEY (job, task)
) STRICT, WITHOUT ROWID;
CREATE TABLE task_failures (
  job TEXT NOT NULL,
  task TEXT NOT NULL,
  worker TEXT NOT NULL,
  failures INTEGER NOT NULL,
  PRIMARY KEY (job, task, worker),
  FOREIGN KEY (job, task) REFERENCES tasks(job, task) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE TABLE matrices (
  job TEXT NOT NULL REFERENCES jobs(job) ON DELETE CASCADE,
  layer INTEGER NOT NULL,
  projection INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  worker TEXT NOT NULL,
  body BLOB NOT NULL,
  PRIMARY KEY (job, layer, projection)
) STRICT, WITHOUT ROWID;
CREATE TABLE hessians (
  job TEXT NOT NULL REFERENCES jobs(job) ON DELETE CASCADE,
  layer INTEGER NOT NULL,
  range INTEGER NOT NULL,
  kind TEXT NOT NULL,
  body BLOB NOT NULL,
  PRIMARY KEY (job, layer, range, kind)
) STRICT, WITHOUT ROWID;
CREATE TABLE events (
  job TEXT NOT NULL REFERENCES jobs(job) ON DELETE CASCADE,
  sequence INTEGER NOT NULL,
  body BLOB NOT NULL,
  PRIMARY KEY (job, sequence)
) STRICT, WITHOUT ROWID;
CREATE TABLE workers (
  worker TEXT PRIMARY KEY,
  incarnation TEXT NOT NULL,
  body BLOB NOT NULL
) STRICT;
ALTER TABLE tasks ADD COLUMN allotment BLOB NOT NULL DEFAULT x'';
INSERT INTO jobs VALUES ('a', 4, 'request', 'fingerprint', 2, 'text', 12345, 1,
  x'0a11636f6d7072657373696f6e4a6f62732f611802');
INSERT INTO tasks VALUES ('a', 'embeddings', 0, 2, 0, 1000.0, 3, 0, '', -9223372036854775808, 'l0', 1,
  'w1', 'i1', 1700000000123, -9223372036854775808, x'1a040a026162210000000000002940', x'');
INSERT INTO tasks VALUES ('a', 'compress-4', 1, 1, 4, 1.5e9, 1, 2, 'it broke', 1700000000000,
  'l1', 3, 'w1', 'i1', 1700000000123, 1700000090123, x'',
  x'2218000000000000044000000000000004400000000000000440');
INSERT INTO task_failures VALUES ('a', 'compress-4', 'w0', 2);
INSERT INTO matrices VALUES ('a', 4, 0, 2, 'w0', x'0a1073656c665f6174746e2e715f70726f6a');
INSERT INTO hessians VALUES ('a', 4, 1, 'attn_in', x'10011a076174746e5f696e');
INSERT INTO events VALUES ('a', 1, x'08011a0b6a6f622e63726561746564');
INSERT INTO workers VALUES ('w1', 'i1', x'1a03302e3120023a056e6f646537');
)sql"};

}  // namespace caldera::coordinator

#endif  // CALDERA_TESTS_COORDINATOR_OLD_DATABASES_H_
