// Why a server could not listen: the libraries only say that they could not.
#ifndef CALDERA_COMMON_RPC_LISTENING_H_
#define CALDERA_COMMON_RPC_LISTENING_H_

#include <optional>
#include <string>

namespace caldera::rpc {

// "Address already in use", "Permission denied", ...: what the system says to a socket bound to
// "HOST:PORT" and closed again at once; nullopt when it has nothing against it.
std::optional<std::string> WhyNoListening(const std::string& address);

}  // namespace caldera::rpc

#endif  // CALDERA_COMMON_RPC_LISTENING_H_
