// Certificates for tests, made by the openssl program.
#ifndef CALDERA_TESTS_COMMON_RPC_TEST_CERTIFICATES_H_
#define CALDERA_TESTS_COMMON_RPC_TEST_CERTIFICATES_H_

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "common/rpc/credentials.h"

namespace caldera::rpc {

// A certificate of localhost that signs itself: DIRECTORY/NAME-cert.pem (also the authority) and
// NAME-key.pem, valid for two days.
inline TlsFiles MakeSelfSigned(const std::string& directory, const std::string& name) {
  TlsFiles files;
  files.certificate_file = directory + "/" + name + "-cert.pem";
  files.key_file = directory + "/" + name + "-key.pem";
  files.ca_file = files.certificate_file;
  const std::string command =
      "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "
      "/CN=" +
      name + " -addext subjectAltName=DNS:localhost -keyout " + files.key_file + " -out " +
      files.certificate_file + " 2>/dev/null";
  EXPECT_EQ(std::system(command.c_str()), 0);
  return files;
}

}  // namespace caldera::rpc

#endif  // CALDERA_TESTS_COMMON_RPC_TEST_CERTIFICATES_H_
