// Ranks as MPI processes. Only this file's source knows mpi.h; target caldera_mpi.
//
// Thread rule: MPI is initialised FUNNELED, so everything here belongs to the thread that called
// MpiSession::Start (the main thread). An MPI error ends the whole job (MPI_ERRORS_ARE_FATAL).
#ifndef CALDERA_NUMERICS_DIST_MPI_COMMUNICATOR_H_
#define CALDERA_NUMERICS_DIST_MPI_COMMUNICATOR_H_

#include <memory>

#include "absl/status/statusor.h"
#include "numerics/dist/communicator.h"

namespace caldera::dist {

// MPI from start to end of the program: one at a time, and once per process (MPI cannot be
// restarted).
class MpiSession {
 public:
  // MPI_Init_thread. argc and argv are main()'s. FAILED_PRECONDITION when MPI already ran or offers
  // no FUNNELED support. Without mpirun there is one rank.
  static absl::StatusOr<std::unique_ptr<MpiSession>> Start(int* argc, char*** argv);
  // MPI_Finalize: waits for the other ranks.
  ~MpiSession();
  MpiSession(const MpiSession&) = delete;
  MpiSession& operator=(const MpiSession&) = delete;

  // All ranks; owned by the session. Messages over 1 GiB travel in pieces. BroadcastWhenReady polls
  // with sleeps of 1 to 20 ms.
  Communicator& world() { return *world_; }

  // Ends every rank of the job at once with this exit code; for a rank that cannot go on.
  [[noreturn]] void Abort(int exit_code);

 private:
  explicit MpiSession(std::unique_ptr<Communicator> world);
  std::unique_ptr<Communicator> world_;
};

}  // namespace caldera::dist

#endif  // CALDERA_NUMERICS_DIST_MPI_COMMUNICATOR_H_
