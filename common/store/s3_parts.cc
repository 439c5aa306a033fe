#include "common/store/s3_parts.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "common/base/status.h"

namespace caldera::store {

S3PartStream::S3PartStream(const S3Client* client, const MultipartUpload* upload,
                           const PartOptions& options)
    : client_(client), upload_(upload), options_(options) {}

void S3PartStream::Settle() {
  for (std::future<Sent>& part : in_flight_) part.wait();
}

absl::Status S3PartStream::Append(std::span<const std::byte> bytes) {
  CALDERA_RETURN_IF_ERROR(broken_);
  broken_ = TryAppend(bytes);
  return broken_;
}

absl::Status S3PartStream::TryAppend(std::span<const std::byte> bytes) {
  // What has arrived meanwhile, so that an error is told soon.
  while (!in_flight_.empty() &&
         in_flight_.front().wait_for(std::chrono::seconds(0)) == std::future_status::ready) {
    CALDERA_RETURN_IF_ERROR(TakeOldest());
  }
  while (!bytes.empty()) {
    if (buffer_.size() == options_.bytes) CALDERA_RETURN_IF_ERROR(Send());
    const std::size_t count = std::min(bytes.size(), options_.bytes - buffer_.size());
    if (!IsUnsent()) buffer_.reserve(options_.bytes);
    buffer_.insert(buffer_.end(), bytes.begin(),
                   bytes.begin() + static_cast<std::ptrdiff_t>(count));
    bytes = bytes.subspan(count);
  }
  return absl::OkStatus();
}

absl::Status S3PartStream::Send() {
  const int number = static_cast<int>(etags_.size() + in_flight_.size()) + 1;
  if (number > kMaximumParts) {
    return base::ResourceExhausted("{}: more than {} parts of {} bytes", upload_->location.Uri(),
                                   kMaximumParts, options_.bytes);
  }
  const auto limit = static_cast<std::size_t>(options_.in_flight);
  if (in_flight_.size() >= limit) CALDERA_RETURN_IF_ERROR(TakeOldest());
  in_flight_.push_back(
      std::async(std::launch::async, [this, number, bytes = std::move(buffer_)]() mutable {
        return Sent{UploadPart(*client_, *upload_, number, bytes), std::move(bytes)};
      }));
  buffer_.clear();
  if (spare_.empty()) return absl::OkStatus();
  buffer_ = std::move(spare_.back());
  spare_.pop_back();
  buffer_.clear();
  return absl::OkStatus();
}

absl::Status S3PartStream::TakeOldest() {
  Sent sent = in_flight_.front().get();
  in_flight_.pop_front();
  if (absl::IsNotFound(sent.etag.status())) {
    return base::FailedPrecondition("{}: staging was removed", upload_->location.Uri());
  }
  CALDERA_RETURN_IF_ERROR(sent.etag.status());
  etags_.push_back(*std::move(sent.etag));
  spare_.push_back(std::move(sent.buffer));
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> S3PartStream::Finish() {
  CALDERA_RETURN_IF_ERROR(broken_);
  if (!buffer_.empty()) broken_ = Send();
  while (broken_.ok() && !in_flight_.empty()) broken_ = TakeOldest();
  CALDERA_RETURN_IF_ERROR(broken_);
  return etags_;
}

}  // namespace caldera::store
