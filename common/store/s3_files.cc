#include "common/store/s3_files.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "common/base/status.h"
#include "common/store/range_source.h"
#include "common/store/s3_objects.h"

namespace caldera::store {
namespace {

using Entries = std::vector<model::FileSet::Entry>;

std::string BaseName(const std::string& key) { return key.substr(key.rfind('/') + 1); }

class S3FileSet final : public model::FileSet {
 public:
  S3FileSet(std::shared_ptr<const S3Client> client, S3Location folder, std::string name,
            Entries entries)
      : client_(std::move(client)),
        folder_(std::move(folder)),
        name_(std::move(name)),
        entries_(std::move(entries)) {}

  const std::string& name() const override { return name_; }
  absl::StatusOr<Entries> List() const override { return entries_; }

  absl::StatusOr<std::unique_ptr<model::ByteSource>> Open(const std::string& file) const override {
    const bool listed = std::any_of(entries_.begin(), entries_.end(),
                                    [&file](const Entry& entry) { return entry.name == file; });
    if (!listed) return base::NotFound("{}: no file \"{}\"", name_, file);
    return cache_.Open(file, [this](const std::string& opened) {
      return OpenS3File(client_, folder_.Below(opened));
    });
  }

 private:
  const std::shared_ptr<const S3Client> client_;
  const S3Location folder_;
  const std::string name_;
  const Entries entries_;
  const SourceCache cache_;
};

Entries EntriesOf(const S3ListPage& page, const std::string& prefix) {
  Entries entries;
  for (const S3ListEntry& entry : page.entries) {
    const std::string name = entry.key.substr(prefix.size());
    if (!name.empty()) entries.push_back({name, entry.size});  // "" is a folder's own marker
  }
  std::sort(entries.begin(), entries.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  return entries;
}

}  // namespace

absl::StatusOr<std::unique_ptr<model::FileSet>> OpenS3Files(std::shared_ptr<const S3Client> client,
                                                            const S3Location& location) {
  const std::string name = location.Uri();
  const std::string prefix = location.key.empty() ? "" : location.key + "/";
  CALDERA_ASSIGN_OR_RETURN(
      const S3ListPage page,
      ListObjects(*client, location.bucket, {.prefix = prefix, .delimiter = "/"}));
  Entries entries = EntriesOf(page, prefix);
  if (!entries.empty() || location.key.empty()) {
    return std::make_unique<S3FileSet>(std::move(client), location, name, std::move(entries));
  }
  const auto facts = HeadObject(*client, location);
  if (absl::IsNotFound(facts.status())) {
    return base::NotFound("{}: no object, and none below it", name);
  }
  CALDERA_RETURN_IF_ERROR(facts.status());
  const std::string file = BaseName(location.key);
  const std::size_t cut = location.key.size() - file.size();
  const S3Location folder{location.bucket, location.key.substr(0, cut == 0 ? 0 : cut - 1)};
  return std::make_unique<S3FileSet>(std::move(client), folder, name, Entries{{file, facts->size}});
}

absl::StatusOr<std::unique_ptr<model::ByteSource>> OpenS3File(
    std::shared_ptr<const S3Client> client, const S3Location& location) {
  CALDERA_ASSIGN_OR_RETURN(const S3ObjectFacts facts, HeadObject(*client, location));
  const auto fetch = [client = std::move(client), location](
                         std::uint64_t offset,
                         std::span<std::byte> out) -> absl::StatusOr<RangeFacts> {
    CALDERA_ASSIGN_OR_RETURN(const S3ObjectFacts answer, GetRange(*client, location, offset, out));
    return RangeFacts{answer.size, answer.etag};
  };
  return std::make_unique<RangeSource>(location.Uri(), RangeFacts{facts.size, facts.etag}, fetch);
}

}  // namespace caldera::store
