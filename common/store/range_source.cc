#include "common/store/range_source.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "common/base/status.h"

namespace caldera::store {
namespace {

constexpr std::uint64_t kHeadBytes = std::uint64_t{256} << 10;
constexpr std::uint64_t kAheadBytes = std::uint64_t{1} << 20;
constexpr std::size_t kRequestBytes = std::size_t{32} << 20;

// A source that others hold, too.
class SharedSource final : public model::ByteSource {
 public:
  explicit SharedSource(std::shared_ptr<const model::ByteSource> source)
      : source_(std::move(source)) {}
  const std::string& name() const override { return source_->name(); }
  std::uint64_t size() const override { return source_->size(); }
  absl::Status Read(std::uint64_t offset, std::span<std::byte> out) const override {
    return source_->Read(offset, out);
  }

 private:
  const std::shared_ptr<const model::ByteSource> source_;
};

}  // namespace

RangeSource::RangeSource(std::string name, RangeFacts facts, FetchRange fetch)
    : name_(std::move(name)), facts_(std::move(facts)), fetch_(std::move(fetch)) {}

bool RangeSource::Window::Copy(std::uint64_t offset, std::span<std::byte> out) const {
  if (offset < begin || offset - begin > bytes.size() ||
      out.size() > bytes.size() - (offset - begin)) {
    return false;
  }
  std::memcpy(out.data(), bytes.data() + (offset - begin), out.size());
  return true;
}

absl::Status RangeSource::Fetch(std::uint64_t offset, std::span<std::byte> out) const {
  while (!out.empty()) {
    const auto piece = out.first(std::min(out.size(), kRequestBytes));
    CALDERA_ASSIGN_OR_RETURN(const RangeFacts facts, fetch_(offset, piece));
    if (facts.size != facts_.size || facts.etag != facts_.etag) {
      return base::DataLoss("{}: was replaced while it was read", name_);
    }
    offset += piece.size();
    out = out.subspan(piece.size());
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const RangeSource::Window>> RangeSource::FetchWindow(
    std::uint64_t begin, std::uint64_t bytes) const {
  auto window = std::make_shared<Window>();
  window->begin = begin;
  window->bytes.resize(static_cast<std::size_t>(std::min(bytes, facts_.size - begin)));
  CALDERA_RETURN_IF_ERROR(Fetch(begin, window->bytes));
  return window;
}

absl::StatusOr<std::shared_ptr<const RangeSource::Window>> RangeSource::WindowFor(
    std::uint64_t offset, std::size_t count) const {
  const bool in_head = offset + count <= std::min(kHeadBytes, facts_.size);
  std::shared_ptr<const Window> head, ahead;
  bool goes_on = false;
  {
    base::MutexLock lock(mutex_);
    head = head_;
    ahead = ahead_;
    goes_on = offset == next_ && offset > 0;
    next_ = offset + count;
  }
  if (in_head && head != nullptr) return head;
  if (in_head) {
    CALDERA_ASSIGN_OR_RETURN(head, FetchWindow(0, kHeadBytes));
    base::MutexLock lock(mutex_);
    head_ = head;
    return head;
  }
  const bool in_ahead = ahead != nullptr && offset >= ahead->begin &&
                        offset + count <= ahead->begin + ahead->bytes.size();
  if (in_ahead) return ahead;
  if (!goes_on || count >= kAheadBytes) return std::shared_ptr<const Window>();
  CALDERA_ASSIGN_OR_RETURN(ahead, FetchWindow(offset, kAheadBytes));
  base::MutexLock lock(mutex_);
  ahead_ = ahead;
  return ahead;
}

absl::Status RangeSource::Read(std::uint64_t offset, std::span<std::byte> out) const {
  if (offset > facts_.size || out.size() > facts_.size - offset) {
    return base::OutOfRange("{}: {} bytes at {} are beyond its {} bytes", name_, out.size(), offset,
                            facts_.size);
  }
  if (out.empty()) return absl::OkStatus();
  CALDERA_ASSIGN_OR_RETURN(const auto window, WindowFor(offset, out.size()));
  if (window != nullptr && window->Copy(offset, out)) return absl::OkStatus();
  return Fetch(offset, out);
}

absl::StatusOr<std::unique_ptr<model::ByteSource>> SourceCache::Open(const std::string& file,
                                                                     const Opener& opener) const {
  {
    base::MutexLock lock(mutex_);
    const auto found = sources_.find(file);
    if (found != sources_.end()) return std::make_unique<SharedSource>(found->second);
  }
  CALDERA_ASSIGN_OR_RETURN(std::unique_ptr<model::ByteSource> opened, opener(file));
  base::MutexLock lock(mutex_);
  std::shared_ptr<const model::ByteSource>& kept = sources_[file];
  if (kept == nullptr) kept = std::move(opened);
  return std::make_unique<SharedSource>(kept);
}

}  // namespace caldera::store
