// The embeddings task: the first shard of the checkpoint (embeddings, final norm, untied head).
#ifndef CALDERA_WORKER_EMBEDDINGS_JOB_H_
#define CALDERA_WORKER_EMBEDDINGS_JOB_H_

#include "absl/status/statusor.h"
#include "caldera/v1/compression.pb.h"
#include "worker/task_context.h"

namespace caldera::worker {

// Rank 0 only. Embedding and head at the 4, 8 or 16 bits of the spec (docs/formats/checkpoint.md),
// rows streamed (twice at 4 bits); other tensors as given. Memory: the coded tables (at most 1 byte
// per value) and a piece of rows.
absl::StatusOr<v1::ObjectRef> RunEmbeddings(const v1::Lease& lease, Leader& leader);

}  // namespace caldera::worker

#endif  // CALDERA_WORKER_EMBEDDINGS_JOB_H_
