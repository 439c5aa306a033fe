#include "numerics/llama/compressed_source.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "common/base/status.h"
#include "common/model/compressed_matrix.h"
#include "common/model/compressed_matrix_io.h"
#include "common/model/embedding_table.h"
#include "common/model/hf_model.h"
#include "numerics/decompose/linear_map.h"

namespace caldera::llama {
namespace {

using model::CompressedMatrix;
using model::EmbeddingHeader;
using model::EmbeddingTable;
using model::TensorInfo;

constexpr char kMatrixSuffix[] = ".q_codes";
constexpr char kCodesSuffix[] = ".codes";

std::string WithoutSuffix(const std::string& name, const std::string& suffix) {
  return name.substr(0, name.size() - suffix.size());
}

absl::Status CheckStored(const model::TensorSource& stored, const std::string& name,
                         model::Dtype dtype, const std::vector<std::int64_t>& shape) {
  const TensorInfo* info = stored.Find(name);
  if (info == nullptr) return base::DataLoss("{}: tensor {} is missing", stored.name(), name);
  if (info->dtype == dtype && info->shape == shape) return absl::OkStatus();
  return base::DataLoss("{}: tensor {} has another type or shape than its header says",
                        stored.name(), name);
}

TensorInfo DecodedInfo(const std::string& name, const std::vector<std::int64_t>& shape) {
  TensorInfo info{name, model::Dtype::kF32, shape, 0};
  info.bytes = static_cast<std::uint64_t>(info.elements()) * sizeof(float);
  return info;
}

class CompressedSource final : public model::TensorSource {
 public:
  explicit CompressedSource(std::unique_ptr<model::TensorSource> stored)
      : stored_(std::move(stored)) {}

  absl::Status Index(const MatrixHeaders& headers) {
    for (const TensorInfo& tensor : stored_->tensors()) {
      if (tensor.name.ends_with(kMatrixSuffix)) {
        CALDERA_RETURN_IF_ERROR(AddMatrix(WithoutSuffix(tensor.name, kMatrixSuffix), headers));
      } else if (tensor.name.ends_with(kCodesSuffix)) {
        CALDERA_RETURN_IF_ERROR(AddEmbedding(tensor, headers));
      }
    }
    for (const TensorInfo& tensor : stored_->tensors()) {
      if (!parts_.contains(tensor.name)) tensors_.push_back(tensor);
    }
    std::sort(tensors_.begin(), tensors_.end(),
              [](const TensorInfo& a, const TensorInfo& b) { return a.name < b.name; });
    return absl::OkStatus();
  }

  const std::string& name() const override { return stored_->name(); }
  const std::vector<TensorInfo>& tensors() const override { return tensors_; }

  absl::Status ReadRows(const std::string& tensor, std::int64_t first_row, std::int64_t row_count,
                        std::span<float> out) const override {
    const TensorInfo* info = Find(tensor);
    if (info == nullptr) return base::NotFound("{}: no tensor {}", name(), tensor);
    const bool matrix = headers_.contains(tensor);
    if (!matrix && !embeddings_.contains(tensor)) {
      return stored_->ReadRows(tensor, first_row, row_count, out);
    }
    if (first_row < 0 || row_count < 0 || first_row > info->rows() - row_count) {
      return base::OutOfRange("{}: rows {} to {} of tensor {}, which has {}", name(), first_row,
                              first_row + row_count, tensor, info->rows());
    }
    const linalg::ViewF rows{out.data(), row_count, info->row_elements(), info->row_elements()};
    if (static_cast<std::int64_t>(out.size()) != row_count * info->row_elements()) {
      return base::InvalidArgument("{}: room for {} values of {} rows of tensor {}", name(),
                                   out.size(), row_count, tensor);
    }
    return matrix ? ReadMatrixRows(tensor, first_row, rows)
                  : ReadEmbeddingRows(tensor, first_row, rows);
  }

  absl::StatusOr<std::vector<std::byte>> ReadRaw(const std::string& tensor) const override {
    if (headers_.contains(tensor) || embeddings_.contains(tensor)) {
      return base::Unimplemented("{}: tensor {} is decoded, it has no stored bytes", name(),
                                 tensor);
    }
    if (Find(tensor) == nullptr) return base::NotFound("{}: no tensor {}", name(), tensor);
    return stored_->ReadRaw(tensor);
  }

 private:
  absl::Status AddMatrix(const std::string& prefix, const MatrixHeaders& headers) {
    const auto json = headers.find(prefix);
    if (json == headers.end()) {
      return base::DataLoss("{}: matrix {} has no header in the metadata", name(), prefix);
    }
    CALDERA_ASSIGN_OR_RETURN(const model::CompressedMatrixHeader header,
                             model::ParseMatrixHeader(json->second, prefix));
    for (const auto& part : model::MatrixTensors(header, prefix)) {
      CALDERA_RETURN_IF_ERROR(CheckStored(*stored_, part.name, part.dtype, part.shape));
      parts_.insert(part.name);
    }
    const std::string weight = prefix + ".weight";
    headers_[weight] = json->second;
    tensors_.push_back(DecodedInfo(weight, {header.rows, header.columns}));
    return absl::OkStatus();
  }

  absl::Status AddEmbedding(const TensorInfo& codes, const MatrixHeaders& headers) {
    const std::string stem = WithoutSuffix(codes.name, kCodesSuffix);
    CALDERA_ASSIGN_OR_RETURN(const EmbeddingHeader header, HeaderOf(codes, stem, headers));
    for (const auto& part : model::EmbeddingTensors(header, stem)) {
      CALDERA_RETURN_IF_ERROR(CheckStored(*stored_, part.name, part.dtype, part.shape));
      parts_.insert(part.name);
    }
    embeddings_[stem + ".weight"] = {header, nullptr};
    tensors_.push_back(DecodedInfo(stem + ".weight", {header.rows, header.columns}));
    return absl::OkStatus();
  }

  // A table without a header has 8 bits.
  absl::StatusOr<EmbeddingHeader> HeaderOf(const TensorInfo& codes, const std::string& stem,
                                           const MatrixHeaders& headers) const {
    const auto json = headers.find(stem);
    if (json != headers.end()) {
      return model::ParseEmbeddingHeader(json->second, name() + ": tensor " + codes.name);
    }
    if (codes.shape.size() != 2) {
      return base::DataLoss("{}: tensor {} is no matrix", name(), codes.name);
    }
    if (codes.dtype != model::Dtype::kI8) {
      return base::DataLoss("{}: tensor {} is {} and has no header in the metadata", name(),
                            codes.name, model::DtypeName(codes.dtype));
    }
    return EmbeddingHeader{codes.rows(), codes.row_elements(), base::Bits{8}};
  }

  absl::Status ReadMatrixRows(const std::string& weight, std::int64_t first_row,
                              linalg::ViewF out) const {
    CALDERA_ASSIGN_OR_RETURN(const auto matrix, Matrix(weight));
    return base::WithContext(decompose::DecodeRows(*matrix, first_row, out.rows, out),
                             name() + ": tensor " + weight);
  }

  absl::Status ReadEmbeddingRows(const std::string& weight, std::int64_t first_row,
                                 linalg::ViewF out) const {
    CALDERA_ASSIGN_OR_RETURN(const auto table, Embedding(weight));
    return table->DecodeRows(first_row,
                             {out.data, static_cast<std::size_t>(out.rows * out.columns)});
  }

  absl::StatusOr<std::shared_ptr<const CompressedMatrix>> Matrix(const std::string& weight) const {
    const std::lock_guard lock(mutex_);
    if (last_weight_ == weight) return last_matrix_;
    const std::string prefix = WithoutSuffix(weight, ".weight");
    CALDERA_ASSIGN_OR_RETURN(CompressedMatrix matrix,
                             model::ReadMatrix(*stored_, prefix, headers_.at(weight)));
    last_matrix_ = std::make_shared<const CompressedMatrix>(std::move(matrix));
    last_weight_ = weight;
    return last_matrix_;
  }

  absl::StatusOr<std::shared_ptr<const EmbeddingTable>> Embedding(const std::string& weight) const {
    const std::lock_guard lock(mutex_);
    Embedded& embedding = embeddings_.at(weight);
    if (embedding.table != nullptr) return embedding.table;
    const std::string stem = WithoutSuffix(weight, ".weight");
    CALDERA_ASSIGN_OR_RETURN(EmbeddingTable table,
                             EmbeddingTable::Read(*stored_, stem, embedding.header));
    embedding.table = std::make_shared<const EmbeddingTable>(std::move(table));
    return embedding.table;
  }

  struct Embedded {
    EmbeddingHeader header;
    std::shared_ptr<const EmbeddingTable> table;  // once read
  };

  const std::unique_ptr<model::TensorSource> stored_;
  MatrixHeaders headers_;        // by weight name
  std::set<std::string> parts_;  // stored tensors that stand for a decoded one
  std::vector<TensorInfo> tensors_;
  mutable std::mutex mutex_;  // guards what follows
  mutable std::string last_weight_;
  mutable std::shared_ptr<const CompressedMatrix> last_matrix_;
  mutable std::map<std::string, Embedded> embeddings_;
};

// The headers of all matrices and tables, from the metadata of the shards that hold them.
absl::StatusOr<MatrixHeaders> CollectHeaders(const model::HfModel& stored) {
  MatrixHeaders headers;
  for (const TensorInfo& tensor : stored.tensors()) {
    const bool matrix = tensor.name.ends_with(kMatrixSuffix);
    if (!matrix && !tensor.name.ends_with(kCodesSuffix)) continue;
    const std::string prefix = WithoutSuffix(tensor.name, matrix ? kMatrixSuffix : kCodesSuffix);
    CALDERA_ASSIGN_OR_RETURN(const auto metadata, stored.MetadataOf(tensor.name));
    if (const auto json = metadata.find(prefix); json != metadata.end()) headers.insert(*json);
  }
  return headers;
}

absl::StatusOr<model::OpenedModel> Decoded(model::OpenedModel model) {
  if (model.quantization_method.empty()) return model;
  if (!IsCompressed(model)) {
    return base::Unimplemented("{}: quantization method {} is not supported", model.files->name(),
                               model.quantization_method);
  }
  CALDERA_ASSIGN_OR_RETURN(std::unique_ptr<model::HfModel> stored,
                           model::HfModel::Open(*model.files));
  CALDERA_ASSIGN_OR_RETURN(const MatrixHeaders headers, CollectHeaders(*stored));
  CALDERA_ASSIGN_OR_RETURN(model.tensors, MakeCompressedSource(std::move(stored), headers));
  return model;
}

}  // namespace

absl::StatusOr<std::unique_ptr<model::TensorSource>> MakeCompressedSource(
    std::unique_ptr<model::TensorSource> stored, const MatrixHeaders& headers) {
  auto source = std::make_unique<CompressedSource>(std::move(stored));
  CALDERA_RETURN_IF_ERROR(source->Index(headers));
  return source;
}

absl::StatusOr<model::OpenedModel> OpenAnyModel(const std::string& uri_or_path) {
  CALDERA_ASSIGN_OR_RETURN(model::OpenedModel model, model::OpenModel(uri_or_path));
  return Decoded(std::move(model));
}

absl::StatusOr<model::OpenedModel> OpenAnyModel(std::shared_ptr<const model::FileSet> files) {
  CALDERA_ASSIGN_OR_RETURN(model::OpenedModel model, model::OpenModel(std::move(files)));
  return Decoded(std::move(model));
}

}  // namespace caldera::llama
