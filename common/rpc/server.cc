#include "common/rpc/server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>

#include <algorithm>
#include <chrono>

#include "absl/time/clock.h"
#include "common/base/status.h"

namespace caldera::rpc {
namespace {

// Linking the reflection library switches reflection on for every server of the process; this makes
// it a choice of each server.
class ReflectionOption final : public grpc::ServerBuilderOption {
 public:
  explicit ReflectionOption(Reflection reflection) : reflection_(reflection) {}
  void UpdateArguments(grpc::ChannelArguments*) override {}
  void UpdatePlugins(std::vector<std::unique_ptr<grpc::ServerBuilderPlugin>>* plugins) override {
    std::erase_if(*plugins, [](const std::unique_ptr<grpc::ServerBuilderPlugin>& plugin) {
      return plugin->name() == grpc::reflection::ProtoServerReflectionPlugin().name();
    });
    if (reflection_ == Reflection::kOn) {
      plugins->push_back(std::make_unique<grpc::reflection::ProtoServerReflectionPlugin>());
    }
  }

 private:
  Reflection reflection_;
};

void SetArguments(grpc::ServerBuilder& builder, const ServerOptions& options) {
  builder.AddChannelArgument(
      GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
      static_cast<int>(absl::ToInt64Milliseconds(options.minimum_ping_interval)));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, options.streams_per_connection);
  builder.SetMaxReceiveMessageSize(options.largest_message_bytes);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  // Two servers on one port would each get some of the calls.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.SetOption(std::make_unique<ReflectionOption>(options.reflection));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const ServerOptions& options,
                                                      const std::vector<grpc::Service*>& services,
                                                      InterceptorFactories interceptors) {
  CALDERA_ASSIGN_OR_RETURN(const auto credentials,
                           MakeServerCredentials(options.listen, options.tls, options.plaintext));
  grpc::EnableDefaultHealthCheckService(true);
  grpc::ServerBuilder builder;
  std::unique_ptr<Server> server(new Server());
  builder.AddListeningPort(options.listen, credentials, &server->port_);
  for (grpc::Service* service : services) builder.RegisterService(service);
  if (services.empty()) builder.RegisterCallbackGenericService(&server->nothing_);
  SetArguments(builder, options);
  if (!interceptors.empty()) {
    builder.experimental().SetInterceptorCreators(std::move(interceptors));
  }
  server->server_ = builder.BuildAndStart();
  if (!server->server_) return base::Unavailable("{}: cannot listen there", options.listen);
  server->address_ =
      options.listen.substr(0, options.listen.rfind(':') + 1) + std::to_string(server->port_);
  server->SetServing("", ServingStatus::kServing);
  for (const std::string& name : options.health_names) {
    server->SetServing(name, ServingStatus::kServing);
  }
  return server;
}

Server::~Server() { Shutdown(absl::ZeroDuration()); }

void Server::SetServing(const std::string& service, ServingStatus status) {
  grpc::HealthCheckServiceInterface* health = server_->GetHealthCheckService();
  const bool serving = status == ServingStatus::kServing;
  if (service.empty()) {
    health->SetServingStatus(serving);
  } else {
    health->SetServingStatus(service, serving);
  }
}

void Server::Shutdown(absl::Duration grace) {
  if (!server_) return;
  SetServing("", ServingStatus::kNotServing);
  server_->Shutdown(absl::ToChronoTime(absl::Now() + grace));
  server_->Wait();
}

void Server::Wait() { server_->Wait(); }

}  // namespace caldera::rpc
