// A small real CheckpointService over a MemoryStore, whose streams can be made to break.
#ifndef CALDERA_TESTS_COMMON_RPC_CHECKPOINT_TEST_SERVER_H_
#define CALDERA_TESTS_COMMON_RPC_CHECKPOINT_TEST_SERVER_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "caldera/v1/checkpoint.grpc.pb.h"
#include "common/base/mutex.h"
#include "common/rpc/server.h"
#include "common/store/memory_store.h"

namespace caldera::rpc {

// What goes wrong. Each break happens once, after so many chunks of a stream; -1 = never.
struct Faults {
  int break_read_after = -1;
  int break_write_after = -1;
  int lose_write_answers = 0;      // commits whose answer is replaced by UNAVAILABLE
  int abort_writes = 0;            // streams that end with ABORTED once they brought a chunk
  bool forget_uploads = false;     // with break_write_after: as if restarted
  bool refuse_everything = false;  // UNAVAILABLE, always
  bool bad_crc = false;            // of the second chunk read
  bool bad_offset = false;
  bool end_early = false;  // OK after the first chunk
  bool bad_size = false;   // of the object an upload made
};

class CheckpointTestServer final : public v1::CheckpointService::Service {
 public:
  explicit CheckpointTestServer(const Faults& faults) : faults_(faults) {}

  store::MemoryStore& store() { return store_; }
  // Streams opened so far, and bytes that arrived by Write.
  int streams() const;
  std::size_t received_bytes() const;
  std::vector<std::string> metadata() const;  // "authorization" of each stream

  grpc::Status Read(grpc::ServerContext* context, const v1::ReadRequest* request,
                    grpc::ServerWriter<v1::ReadResponse>* writer) override;
  grpc::Status Write(grpc::ServerContext* context, grpc::ServerReader<v1::WriteRequest>* reader,
                     v1::WriteResponse* response) override;
  grpc::Status QueryWriteStatus(grpc::ServerContext* context,
                                const v1::QueryWriteStatusRequest* request,
                                v1::QueryWriteStatusResponse* response) override;

 private:
  struct Upload {
    std::string bytes;
    bool finished = false;
  };
  absl::Status Open(const grpc::ServerContext& context);
  absl::Status SendChunks(const v1::ReadRequest& request,
                          grpc::ServerWriter<v1::ReadResponse>& writer);
  absl::Status ReceiveChunks(grpc::ServerReader<v1::WriteRequest>& reader,
                             v1::WriteResponse& response);
  absl::Status Accept(const v1::WriteRequest& request, Upload& upload);
  absl::Status Commit(Upload& upload, v1::WriteResponse& response);
  bool TakeBreak(int& after, int chunks);

  store::MemoryStore store_{"test"};
  mutable base::Mutex mutex_;
  Faults faults_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, Upload> uploads_ ABSL_GUARDED_BY(mutex_);
  int streams_ ABSL_GUARDED_BY(mutex_) = 0;
  std::size_t received_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<std::string> metadata_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace caldera::rpc

#endif  // CALDERA_TESTS_COMMON_RPC_CHECKPOINT_TEST_SERVER_H_
