// test-read-tensor: lets Python tests reach the readers and the writer of common/model.
//
//   test-read-tensor list MODEL                             facts and tensors as JSON
//   test-read-tensor config MODEL                           ModelConfigToJson
//   test-read-tensor validate MODEL                         ValidateModelTensors
//   test-read-tensor dump MODEL TENSOR FIRST_ROW ROWS OUT   raw float32 rows into OUT
//   test-read-tensor raw MODEL TENSOR OUT                   the stored bytes into OUT
//   test-read-tensor rewrite IN.safetensors OUT.safetensors our writer's file of the same tensors
//
// MODEL is a directory or a GGUF file. Exit code 1 and the status on stderr on failure.
#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/base/status.h"
#include "common/base/utf8.h"
#include "common/model/local_files.h"
#include "common/model/model_directory.h"
#include "common/model/model_tensors.h"
#include "common/model/safetensors.h"
#include "common/model/safetensors_writer.h"

namespace {

using caldera::model::OpenedModel;
using caldera::model::TensorInfo;
using Arguments = std::vector<std::string>;
namespace base = caldera::base;
namespace model = caldera::model;

absl::Status WriteBytes(const std::string& path, std::span<const std::byte> bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  file.close();
  return file ? absl::OkStatus() : base::Internal("{}: cannot write", path);
}

absl::Status PrintTensors(const OpenedModel& opened) {
  fmt::print(
      "{{\"fingerprint\": \"{}\", \"source_bytes\": {}, \"bfloat16_bytes\": {}, \"tensors\": [",
      opened.fingerprint_sha256, opened.source_bytes, opened.bfloat16_bytes);
  const char* separator = "";
  for (const TensorInfo& info : opened.tensors->tensors()) {
    fmt::print("{}{{\"name\": {}, \"dtype\": \"{}\", \"shape\": {}, \"bytes\": {}}}", separator,
               base::JsonQuote(info.name), model::DtypeName(info.dtype),
               model::ShapeText(info.shape), info.bytes);
    separator = ",\n";
  }
  fmt::print("]}}\n");
  return absl::OkStatus();
}

absl::Status Dump(const OpenedModel& opened, const Arguments& arguments) {
  const TensorInfo* info = opened.tensors->Find(arguments[2]);
  if (info == nullptr) return base::NotFound("no tensor {}", arguments[2]);
  const std::int64_t rows = std::atoll(arguments[4].c_str());
  std::vector<float> values(static_cast<std::size_t>(rows * info->row_elements()));
  CALDERA_RETURN_IF_ERROR(
      opened.tensors->ReadRows(arguments[2], std::atoll(arguments[3].c_str()), rows, values));
  return WriteBytes(arguments[5], std::as_bytes(std::span(values)));
}

absl::Status DumpRaw(const OpenedModel& opened, const Arguments& arguments) {
  CALDERA_ASSIGN_OR_RETURN(const auto bytes, opened.tensors->ReadRaw(arguments[2]));
  return WriteBytes(arguments[3], bytes);
}

absl::Status Rewrite(const std::string& from, const std::string& to) {
  CALDERA_ASSIGN_OR_RETURN(auto source, model::FileByteSource::Open(from));
  CALDERA_ASSIGN_OR_RETURN(const auto file, model::SafetensorsFile::Open(std::move(source)));
  std::vector<model::SafetensorsTensor> tensors;
  for (const TensorInfo& info : file->tensors()) {
    CALDERA_ASSIGN_OR_RETURN(auto bytes, file->ReadRaw(info.name));
    tensors.push_back({{info.name, info.dtype, info.shape}, std::move(bytes)});
  }
  CALDERA_ASSIGN_OR_RETURN(const auto bytes, model::WriteSafetensors(file->metadata(), tensors));
  return WriteBytes(to, bytes);
}

absl::Status Run(const Arguments& arguments) {
  const std::string command = arguments.empty() ? "" : arguments[0];
  if (command == "rewrite" && arguments.size() == 3) return Rewrite(arguments[1], arguments[2]);
  if (arguments.size() < 2) return base::InvalidArgument("see the head of the source for usage");
  CALDERA_ASSIGN_OR_RETURN(const OpenedModel opened, model::OpenModel(arguments[1]));
  if (command == "list") return PrintTensors(opened);
  if (command == "validate") return model::ValidateModelTensors(opened);
  if (command == "dump" && arguments.size() == 6) return Dump(opened, arguments);
  if (command == "raw" && arguments.size() == 4) return DumpRaw(opened, arguments);
  if (command != "config") return base::InvalidArgument("unknown command {}", command);
  fmt::print("{}", model::ModelConfigToJson(opened.config));
  return absl::OkStatus();
}

}  // namespace

int main(int argc, char** argv) {
  const absl::Status status = Run(Arguments(argv + 1, argv + argc));
  if (status.ok()) return EXIT_SUCCESS;
  fmt::print(stderr, "{}\n", status.ToString());
  return EXIT_FAILURE;
}
