// Life of a gRPC server: listen, report health, shut down in bounded time.
//
// Thread rule: Start and Shutdown from one thread; SetServing and the getters from any.
#ifndef CALDERA_COMMON_RPC_SERVER_H_
#define CALDERA_COMMON_RPC_SERVER_H_

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/rpc/credentials.h"

namespace caldera::rpc {

enum class Reflection { kOff, kOn };
enum class ServingStatus { kServing, kNotServing };

struct ServerOptions {
  std::string listen = "127.0.0.1:0";  // HOST:PORT; port 0 = any free one, see address()
  TlsFiles tls = {};
  PlaintextPolicy plaintext = PlaintextPolicy::kLoopbackOnly;
  Reflection reflection = Reflection::kOff;
  // Longer requests get RESOURCE_EXHAUSTED; large data goes in chunks (chunked.h).
  int largest_message_bytes = 4 << 20;
  int streams_per_connection = 1024;  // calls under way at a time; more wait in the client
  // Clients that ping more often than this are cut off.
  absl::Duration minimum_ping_interval = absl::Seconds(30);
  // Full names ("caldera.v1.DispatchService") that the health service answers for, beside "".
  std::vector<std::string> health_names = {};
};

class Server {
 public:
  // Starts serving `services` (not owned; they outlive the server). The health service
  // (grpc.health.v1) answers for "" and each of options.health_names, all serving at first.
  // `interceptors` see every call (metrics); may be empty. Without services it is a server for
  // health alone.
  // Errors: FAILED_PRECONDITION for plaintext beyond loopback; UNAVAILABLE naming the address when
  // it cannot be bound.
  using InterceptorFactories =
      std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>>;
  static absl::StatusOr<std::unique_ptr<Server>> Start(const ServerOptions& options,
                                                       const std::vector<grpc::Service*>& services,
                                                       InterceptorFactories interceptors = {});
  ~Server();  // Shutdown(zero) if it has not happened

  // "host:port" that clients dial: the host of `listen` with the actual port.
  const std::string& address() const { return address_; }
  int port() const { return port_; }

  // What the health service says of one service ("caldera.v1.DispatchService"), or of all with "".
  void SetServing(const std::string& service, ServingStatus status);

  // Refuses new calls, lets those in flight end within `grace`, cancels the rest, returns when all
  // handlers have returned. Health turns to not serving first. Repeating it does nothing.
  void Shutdown(absl::Duration grace);
  // Blocks until Shutdown by another thread has finished.
  void Wait();

 private:
  Server() = default;
  // Answers UNIMPLEMENTED: gRPC starts no server without a service.
  grpc::CallbackGenericService nothing_;
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
  int port_ = 0;
};

}  // namespace caldera::rpc

#endif  // CALDERA_COMMON_RPC_SERVER_H_
