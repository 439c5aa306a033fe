// Every method of every service of the house, by their descriptors.
#ifndef CALDERA_TESTS_COORDINATOR_ALL_METHODS_H_
#define CALDERA_TESTS_COORDINATOR_ALL_METHODS_H_

#include <google/protobuf/descriptor.h>

#include <string>
#include <vector>

#include "caldera/v1/checkpoint.pb.h"
#include "caldera/v1/compression.pb.h"
#include "caldera/v1/dispatch.pb.h"

namespace caldera::coordinator {

struct Method {
  std::string name;  // "GetCompressionJob"
  std::string path;  // "/caldera.v1.CompressionService/GetCompressionJob"
};

inline std::vector<Method> AllMethods() {
  std::vector<Method> methods;
  for (const auto* file :
       {v1::CompressionJob::descriptor()->file(), v1::RegisterRequest::descriptor()->file(),
        v1::ReadRequest::descriptor()->file()}) {
    for (int i = 0; i < file->service_count(); ++i) {
      const auto* service = file->service(i);
      for (int j = 0; j < service->method_count(); ++j) {
        const std::string& name = service->method(j)->name();
        methods.push_back({name, "/" + service->full_name() + "/" + name});
      }
    }
  }
  return methods;
}

}  // namespace caldera::coordinator

#endif  // CALDERA_TESTS_COORDINATOR_ALL_METHODS_H_
