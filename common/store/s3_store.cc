#include "common/store/s3_store.h"

#include <algorithm>
#include <utility>

#include "common/base/file.h"
#include "common/base/sha256.h"
#include "common/base/status.h"
#include "common/base/uuid.h"
#include "common/store/file_publish.h"
#include "common/store/keys.h"
#include "common/store/s3_multipart.h"
#include "common/store/s3_publish.h"
#include "common/store/s3_writer.h"

namespace caldera::store {
namespace {

constexpr std::size_t kReadBytes = std::size_t{32} << 20;

// A part of the names below the root that are the store's own.
bool IsReserved(const std::string& name) { return name == "objects" || name == "staging"; }

// "<label>-<uuid>" and nothing longer: label "a" does not own the staging of "a-b".
bool IsStagingOf(const S3Location& staging, const S3Location& location, const std::string& label) {
  const std::size_t uuid = staging.key.size() + 1 + label.size() + 1;
  return location.key.starts_with(staging.key + "/" + label + "-") &&
         base::IsUuid(location.key.substr(uuid));
}

// NOT_FOUND in the words of the contract.
absl::Status NamingObject(const absl::Status& status, const std::string& sha256) {
  if (!absl::IsNotFound(status)) return status;
  return base::NotFound("object {}: no such object ({})", sha256, base::MessageOf(status));
}

}  // namespace

S3Store::S3Store(S3Location root, S3Settings settings, const S3StoreOptions& options)
    : root_(std::move(root)),
      uri_(root_.Uri()),
      options_(options),
      client_(std::make_shared<const S3Client>(std::move(settings), options.client)) {}

absl::StatusOr<std::unique_ptr<S3Store>> S3Store::Open(const std::string& uri, S3Settings settings,
                                                       const S3StoreOptions& options) {
  CALDERA_ASSIGN_OR_RETURN(S3Location root, ParseS3Uri(uri));
  std::unique_ptr<S3Store> store(new S3Store(std::move(root), std::move(settings), options));
  const ListOptions one{.prefix = store->root_.Below("objects/").key, .page_size = 1, .maximum = 1};
  CALDERA_RETURN_IF_ERROR(ListObjects(*store->client_, store->root_.bucket, one).status());
  return store;
}

S3Location S3Store::ObjectLocation(const std::string& sha256) const {
  return root_.Below(ObjectKey(sha256));
}

absl::StatusOr<std::unique_ptr<ObjectWriter>> S3Store::Stage(const std::string& label) {
  CALDERA_RETURN_IF_ERROR(ValidateKeyPart(label));
  const S3Location location = root_.Below("staging/" + label + "-" + base::NewUuid());
  CALDERA_ASSIGN_OR_RETURN(MultipartUpload upload, CreateUpload(*client_, location));
  return std::make_unique<S3Writer>(client_, root_, std::move(upload), options_);
}

absl::Status S3Store::RemoveStaging(const std::string& label) {
  CALDERA_RETURN_IF_ERROR(ValidateKeyPart(label));
  const S3Location staging = root_.Below("staging");
  const S3Location prefix = staging.Below(label + "-");
  CALDERA_ASSIGN_OR_RETURN(const auto uploads, ListUploads(*client_, prefix, options_.page_size));
  for (const MultipartUpload& upload : uploads) {
    if (!IsStagingOf(staging, upload.location, label)) continue;
    CALDERA_RETURN_IF_ERROR(AbortUpload(*client_, upload, Attempts::kUntilPatienceEnds));
  }
  // Completed in staging, but not yet copied out of it.
  const ListOptions all{.prefix = prefix.key, .page_size = options_.page_size};
  CALDERA_ASSIGN_OR_RETURN(const S3ListPage page, ListObjects(*client_, root_.bucket, all));
  for (const S3ListEntry& entry : page.entries) {
    const S3Location location{root_.bucket, entry.key};
    if (!IsStagingOf(staging, location, label)) continue;
    CALDERA_RETURN_IF_ERROR(DeleteObject(*client_, location));
  }
  return absl::OkStatus();
}

absl::StatusOr<ObjectInfo> S3Store::StatObject(const std::string& sha256) const {
  CALDERA_RETURN_IF_ERROR(ValidateDigest(sha256));
  const auto facts = HeadObject(*client_, ObjectLocation(sha256));
  if (!facts.ok()) return NamingObject(facts.status(), sha256);
  return ObjectInfo{.sha256 = sha256, .size = facts->size};
}

absl::Status S3Store::ReadObject(const std::string& sha256, std::uint64_t offset,
                                 std::span<std::byte> out) const {
  CALDERA_RETURN_IF_ERROR(ValidateDigest(sha256));
  if (out.empty()) {
    CALDERA_ASSIGN_OR_RETURN(const ObjectInfo info, StatObject(sha256));
    if (offset <= info.size) return absl::OkStatus();
    return base::OutOfRange("object {}: offset {}, it has {} bytes", sha256, offset, info.size);
  }
  while (!out.empty()) {
    const auto piece = out.first(std::min(out.size(), kReadBytes));
    const auto facts = GetRange(*client_, ObjectLocation(sha256), offset, piece);
    if (!facts.ok()) return NamingObject(facts.status(), sha256);
    offset += piece.size();
    out = out.subspan(piece.size());
  }
  return absl::OkStatus();
}

absl::Status S3Store::VerifyObject(const std::string& sha256) const {
  CALDERA_ASSIGN_OR_RETURN(const ObjectInfo info, StatObject(sha256));
  const auto digest = DigestOfObject(*client_, ObjectLocation(sha256), info.size);
  if (!digest.ok()) return NamingObject(digest.status(), sha256);
  if (*digest == sha256) return absl::OkStatus();
  return base::DataLoss("{}: stored bytes have the digest {}", ObjectLocation(sha256).Uri(),
                        *digest);
}

absl::Status S3Store::RemoveObject(const std::string& sha256) {
  CALDERA_RETURN_IF_ERROR(StatObject(sha256).status());
  return DeleteObject(*client_, ObjectLocation(sha256));
}

// A bucket would hold "a" beside "a/b"; a file system would not, and a store may be copied there.
absl::Status S3Store::CheckFolders(const std::string& key) {
  const std::string uri = uri_ + "/" + key;
  const ListOptions below{.prefix = root_.Below(key).key + "/", .page_size = 1, .maximum = 1};
  CALDERA_ASSIGN_OR_RETURN(const S3ListPage page, ListObjects(*client_, root_.bucket, below));
  if (!page.entries.empty()) return base::FailedPrecondition("{}: other keys lie below it", uri);
  for (std::size_t slash = key.find('/'); slash != std::string::npos;
       slash = key.find('/', slash + 1)) {
    const std::string folder = key.substr(0, slash);
    {
      base::MutexLock lock(mutex_);
      if (folders_.contains(folder)) continue;
    }
    const absl::Status status = HeadObject(*client_, root_.Below(folder)).status();
    if (status.ok()) return base::FailedPrecondition("{}: {} is a key itself", uri, folder);
    if (!absl::IsNotFound(status)) return status;
    base::MutexLock lock(mutex_);
    folders_.insert(folder);
  }
  return absl::OkStatus();
}

absl::Status S3Store::WriteKey(const std::string& key, const std::string& bytes) {
  CALDERA_RETURN_IF_ERROR(ValidateKey(key));
  CALDERA_RETURN_IF_ERROR(CheckFolders(key));
  {
    base::MutexLock lock(mutex_);
    std::erase_if(folders_, [&key](const std::string& f) { return KeyHasPrefix(f, key); });
  }
  return PutObject(*client_, root_.Below(key), std::as_bytes(std::span(bytes)),
                   IfPresent::kReplace);
}

absl::StatusOr<std::string> S3Store::ReadKey(const std::string& key) const {
  CALDERA_RETURN_IF_ERROR(ValidateKey(key));
  return GetObject(*client_, root_.Below(key));
}

absl::Status S3Store::RemoveKey(const std::string& key) {
  CALDERA_RETURN_IF_ERROR(ValidateKey(key));
  CALDERA_RETURN_IF_ERROR(HeadObject(*client_, root_.Below(key)).status());
  return DeleteObject(*client_, root_.Below(key));
}

absl::StatusOr<std::vector<std::string>> S3Store::ListKeys(const std::string& prefix) const {
  if (!prefix.empty()) CALDERA_RETURN_IF_ERROR(ValidateKey(prefix));
  const std::string base_key = root_.key.empty() ? "" : root_.key + "/";
  std::vector<std::string> keys;
  const auto add = [&](const S3ListPage& page) {
    for (const S3ListEntry& entry : page.entries) {
      const std::string key = entry.key.substr(base_key.size());
      if (ValidateKey(key).ok() && KeyHasPrefix(key, prefix)) keys.push_back(key);
    }
  };
  ListOptions options{.prefix = base_key + prefix,
                      .delimiter = prefix.empty() ? "/" : "",
                      .page_size = options_.page_size};
  CALDERA_ASSIGN_OR_RETURN(const S3ListPage top, ListObjects(*client_, root_.bucket, options));
  add(top);
  // With a delimiter: folder by folder, so that no object is listed.
  for (const std::string& folder : top.prefixes) {
    if (IsReserved(folder.substr(base_key.size(), folder.size() - base_key.size() - 1))) continue;
    options.prefix = folder;
    options.delimiter.clear();
    CALDERA_ASSIGN_OR_RETURN(const S3ListPage page, ListObjects(*client_, root_.bucket, options));
    add(page);
  }
  std::sort(keys.begin(), keys.end());
  return keys;
}

absl::Status S3Store::Publish(const std::string& sha256, const std::string& output_uri,
                              const std::string& file) {
  CALDERA_RETURN_IF_ERROR(ValidateKeyPart(file));
  CALDERA_ASSIGN_OR_RETURN(const ObjectInfo object, StatObject(sha256));
  if (IsS3Uri(output_uri)) {
    CALDERA_ASSIGN_OR_RETURN(const S3Location output, ParseS3Uri(output_uri));
    return PublishToBucket(object, output.Below(file));
  }
  CALDERA_ASSIGN_OR_RETURN(const std::string directory, PathOfFileUri(output_uri));
  const auto read = [&](std::uint64_t offset, std::span<std::byte> out) {
    return ReadObject(sha256, offset, out);
  };
  return PublishCopy({object, read}, directory, file);
}

// Two publishers of one name race between the look and the copy, but both carry the bytes of the
// same job.
absl::Status S3Store::PublishToBucket(const ObjectInfo& object, const S3Location& to) {
  const absl::Status present = CheckPublished(*client_, to, object);
  if (!absl::IsNotFound(present)) return present;
  CALDERA_RETURN_IF_ERROR(
      CopyObject(*client_, {ObjectLocation(object.sha256), to, object.size}, options_.copy));
  CALDERA_ASSIGN_OR_RETURN(const S3ObjectFacts facts, HeadObject(*client_, to));
  if (facts.size == object.size) return absl::OkStatus();
  return base::DataLoss("{}: {} bytes where {} were copied", to.Uri(), facts.size, object.size);
}

absl::Status S3Store::PublishBytes(const std::string& bytes, const std::string& output_uri,
                                   const std::string& file) {
  CALDERA_RETURN_IF_ERROR(ValidateKeyPart(file));
  if (IsS3Uri(output_uri)) {
    CALDERA_ASSIGN_OR_RETURN(const S3Location output, ParseS3Uri(output_uri));
    return PutObject(*client_, output.Below(file), std::as_bytes(std::span(bytes)),
                     IfPresent::kReplace);
  }
  CALDERA_ASSIGN_OR_RETURN(const std::string directory, PathOfFileUri(output_uri));
  CALDERA_RETURN_IF_ERROR(base::MakeDirectories(directory));
  return base::ReplaceFile(directory + "/" + file, bytes);
}

absl::StatusOr<std::uint64_t> S3Store::FreeBytes() const {
  return base::Unimplemented("{}: a bucket does not tell its free space", uri_);
}

}  // namespace caldera::store
