#include "common/model/safetensors_writer.h"

#include <algorithm>
#include <exception>
#include <nlohmann/json.hpp>
#include <tuple>
#include <utility>

#include "common/base/status.h"
#include "common/model/safetensors.h"
#include "common/model/stored_tensor.h"

namespace caldera::model {
namespace {

absl::StatusOr<TensorInfo> Declare(const SafetensorsDeclaration& declaration) {
  const auto& [name, dtype, shape] = declaration;
  if (name.empty() || name == "__metadata__") {
    return base::InvalidArgument("\"{}\" is no name of a tensor", name);
  }
  if (IsBlockType(dtype)) {
    return base::InvalidArgument("tensor {}: safetensors has no dtype {}", name, DtypeName(dtype));
  }
  const auto extent = ExtentOf(dtype, shape);
  if (!extent.ok()) return base::WithContext(extent.status(), "tensor " + name);
  return TensorInfo{name, dtype, shape, extent->bytes};
}

// Tensors in the order of their data; see the header for why it is not by name alone.
absl::StatusOr<std::vector<TensorInfo>> OrderOf(const std::vector<SafetensorsDeclaration>& all) {
  std::vector<TensorInfo> order;
  for (const SafetensorsDeclaration& declaration : all) {
    CALDERA_ASSIGN_OR_RETURN(order.emplace_back(), Declare(declaration));
  }
  std::sort(order.begin(), order.end(), [](const TensorInfo& a, const TensorInfo& b) {
    return std::tuple(-BlockBytes(a.dtype), a.name) < std::tuple(-BlockBytes(b.dtype), b.name);
  });
  return order;
}

absl::StatusOr<std::string> HeaderText(const SafetensorsWriter::Metadata& metadata,
                                       const std::vector<TensorInfo>& order) {
  nlohmann::json header = nlohmann::json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::uint64_t begin = 0;
  for (const TensorInfo& info : order) {
    if (header.contains(info.name)) {
      return base::InvalidArgument("tensor {} is declared twice", info.name);
    }
    header[info.name] = {{"dtype", DtypeName(info.dtype)},
                         {"shape", info.shape},
                         {"data_offsets", {begin, begin + info.bytes}}};
    begin += info.bytes;
  }
  try {
    std::string text = header.dump();
    text.resize((text.size() + 7) / 8 * 8, ' ');
    return text;
  } catch (const std::exception& error) {
    return base::InvalidArgument("a name or metadata value is not UTF-8: {}", error.what());
  }
}

absl::Status WriteHeader(const std::string& text, const SafetensorsWriter::Sink& sink) {
  if (text.size() > kMaxSafetensorsHeaderBytes) {
    return base::InvalidArgument("a safetensors header of {} bytes, at most {} are allowed",
                                 text.size(), kMaxSafetensorsHeaderBytes);
  }
  const std::uint64_t length = text.size();
  CALDERA_RETURN_IF_ERROR(sink(std::as_bytes(std::span(&length, 1))));
  return sink(std::as_bytes(std::span(text)));
}

}  // namespace

SafetensorsWriter::SafetensorsWriter(std::vector<TensorInfo> order, Sink sink)
    : order_(std::move(order)), sink_(std::move(sink)) {}

absl::StatusOr<SafetensorsWriter> SafetensorsWriter::Start(
    const Metadata& metadata, const std::vector<SafetensorsDeclaration>& tensors, Sink sink) {
  CALDERA_ASSIGN_OR_RETURN(std::vector<TensorInfo> order, OrderOf(tensors));
  CALDERA_ASSIGN_OR_RETURN(const std::string text, HeaderText(metadata, order));
  CALDERA_RETURN_IF_ERROR(WriteHeader(text, sink));
  SafetensorsWriter writer(std::move(order), std::move(sink));
  writer.file_bytes_ = sizeof(std::uint64_t) + text.size();
  for (const TensorInfo& info : writer.order_) writer.file_bytes_ += info.bytes;
  writer.SkipComplete();
  return writer;
}

void SafetensorsWriter::SkipComplete() {
  while (current_ < order_.size() && written_ == order_[current_].bytes) {
    ++current_;
    written_ = 0;
  }
}

absl::Status SafetensorsWriter::Append(const std::string& tensor,
                                       std::span<const std::byte> bytes) {
  if (bytes.empty()) return absl::OkStatus();
  if (current_ == order_.size() || order_[current_].name != tensor) {
    return base::InvalidArgument("tensor {} is not next, expected {}", tensor,
                                 current_ == order_.size() ? "the end" : order_[current_].name);
  }
  const std::uint64_t room = order_[current_].bytes - written_;
  if (bytes.size() > room) {
    return base::InvalidArgument("tensor {}: {} bytes where {} are missing", tensor, bytes.size(),
                                 room);
  }
  CALDERA_RETURN_IF_ERROR(sink_(bytes));
  written_ += bytes.size();
  SkipComplete();
  return absl::OkStatus();
}

absl::Status SafetensorsWriter::Finish() const {
  if (current_ == order_.size()) return absl::OkStatus();
  return base::FailedPrecondition("tensor {}: {} of {} bytes written", order_[current_].name,
                                  written_, order_[current_].bytes);
}

absl::StatusOr<std::vector<std::byte>> WriteSafetensors(
    const SafetensorsWriter::Metadata& metadata, const std::vector<SafetensorsTensor>& tensors) {
  std::vector<SafetensorsDeclaration> declarations;
  std::map<std::string, const std::vector<std::byte>*> bytes_of;
  for (const SafetensorsTensor& tensor : tensors) {
    declarations.push_back(tensor.declaration);
    bytes_of[tensor.declaration.name] = &tensor.bytes;
  }
  std::vector<std::byte> file;
  CALDERA_ASSIGN_OR_RETURN(
      SafetensorsWriter writer,
      SafetensorsWriter::Start(metadata, declarations, [&file](std::span<const std::byte> bytes) {
        file.insert(file.end(), bytes.begin(), bytes.end());
        return absl::OkStatus();
      }));
  for (const TensorInfo& info : writer.order()) {
    CALDERA_RETURN_IF_ERROR(writer.Append(info.name, *bytes_of.at(info.name)));
  }
  CALDERA_RETURN_IF_ERROR(writer.Finish());
  return file;
}

}  // namespace caldera::model
