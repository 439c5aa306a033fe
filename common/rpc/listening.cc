#include "common/rpc/listening.h"

#include <netdb.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "common/base/file.h"

namespace caldera::rpc {
namespace {

struct FreeAddresses {
  void operator()(addrinfo* addresses) const { freeaddrinfo(addresses); }
};

// errno of listening at that address, 0 when it works.
int TryListening(const addrinfo& address) {
  const base::UniqueFd socket(
      ::socket(address.ai_family, address.ai_socktype | SOCK_CLOEXEC, address.ai_protocol));
  if (!socket) return errno;
  const int on = 1;  // as servers do: connections that linger are no hindrance
  setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (bind(socket.get(), address.ai_addr, address.ai_addrlen) != 0) return errno;
  return listen(socket.get(), 1) == 0 ? 0 : errno;
}

}  // namespace

std::optional<std::string> WhyNoListening(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  if (colon == std::string::npos) return "no HOST:PORT";
  std::string host = address.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  addrinfo hints = {};
  hints.ai_flags = AI_PASSIVE;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int failed = getaddrinfo(host.empty() ? nullptr : host.c_str(),
                                 address.substr(colon + 1).c_str(), &hints, &found);
  if (failed != 0) return gai_strerror(failed);
  const std::unique_ptr<addrinfo, FreeAddresses> addresses(found);
  for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
    if (const int error = TryListening(*at); error != 0) return std::strerror(error);
  }
  return std::nullopt;
}

}  // namespace caldera::rpc
