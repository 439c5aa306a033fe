// Input: a safetensors file. The whole input is also read as the header of a file that has the data
// it asks for.
#include "common/base/check.h"
#include "common/model/safetensors.h"
#include "common/model/safetensors_writer.h"
#include "tests/fuzz/inputs.h"
#include "tests/fuzz/targets.h"

namespace caldera::fuzz {
namespace {

using model::SafetensorsFile;
using model::TensorInfo;

// What was read can be written and read again.
void WriteAgain(const SafetensorsFile& file) {
  std::vector<model::SafetensorsTensor> tensors;
  for (const TensorInfo& info : file.tensors()) {
    if (info.name.empty()) return;  // other programs write such names, ours does not
    tensors.push_back({{info.name, info.dtype, info.shape}, *file.ReadRaw(info.name)});
  }
  const auto written = model::WriteSafetensors(file.metadata(), tensors);
  CALDERA_CHECK(written.ok(), "what was read cannot be written");
  const auto again = SafetensorsFile::Open(SourceOf(TextOf(*written)));
  CALDERA_CHECK(again.ok(), "what was written cannot be read");
  CALDERA_CHECK((*again)->metadata() == file.metadata(), "the metadata is another");
  for (const model::SafetensorsTensor& tensor : tensors) {
    CALDERA_CHECK((*again)->ReadRaw(tensor.declaration.name).value() == tensor.bytes,
                  "{} is another", tensor.declaration.name);
  }
}

Verdict ReadFile(const std::string& bytes) {
  const auto file = SafetensorsFile::Open(SourceOf(bytes));
  if (!file.ok()) return Verdict::kRefused;
  ReadEveryTensor(**file);
  for (const TensorInfo& info : (*file)->tensors()) {
    std::vector<std::byte> part(static_cast<std::size_t>(info.bytes - info.bytes / 2));
    CALDERA_CHECK((*file)->ReadRawRange(info.name, info.bytes / 2, part).ok(),
                  "the second half of {} cannot be read", info.name);
    part.resize(part.size() + 1);
    CALDERA_CHECK(!(*file)->ReadRawRange(info.name, info.bytes / 2, part).ok(),
                  "{} has a byte beyond its last", info.name);
  }
  WriteAgain(**file);
  return Verdict::kAccepted;
}

Verdict Run(const std::string& input) {
  const Verdict whole = ReadFile(input);
  const Verdict header = ReadFile(SafetensorsAround(input));
  return whole == Verdict::kAccepted ? whole : header;
}

constexpr char kHeader[] =
    R"({"__metadata__":{"format":"pt","k":""},"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
    R"("b":{"dtype":"BF16","shape":[4],"data_offsets":[24,32]},)"
    R"("c":{"dtype":"I8","shape":[0,7],"data_offsets":[32,32]},)"
    R"("d":{"dtype":"F16","shape":[],"data_offsets":[32,34]}})";

std::vector<Seed> Seeds() {
  std::string hole = kHeader;
  hole.replace(hole.find("[24,32]"), 7, "[25,33]");
  return {{"header", Verdict::kAccepted, kHeader},
          {"file", Verdict::kAccepted, SafetensorsAround(kHeader)},
          {"empty", Verdict::kAccepted, SafetensorsAround("{}")},
          {"doubles", Verdict::kAccepted,
           R"({"w":{"dtype":"F64","shape":[2,2],"data_offsets":[0,32]},)"
           R"("u":{"dtype":"U8","shape":[32],"data_offsets":[32,64]}} )"},
          {"hole", Verdict::kRefused, hole},
          {"huge_shape", Verdict::kRefused,
           R"({"w":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}})"},
          {"long_header", Verdict::kRefused, std::string("\xFF\xFF\xFF\xFF\0\0\0\0{}", 10)}};
}

}  // namespace

Target SafetensorsTarget() { return {"safetensors", Run, Seeds}; }

}  // namespace caldera::fuzz
