#include "common/store/open_files.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "common/base/status.h"
#include "common/model/local_files.h"
#include "common/store/http_files.h"
#include "common/store/keys.h"
#include "common/store/s3_files.h"
#include "common/store/s3_publish.h"

namespace caldera::store {
namespace {

HttpFilesOptions HttpOptionsOfProcess() {
  const Environment environment = ProcessEnvironment();
  HttpFilesOptions options;
  options.http.ca_file = environment("CURL_CA_BUNDLE");
  options.bearer_token = environment("HF_TOKEN");
  return options;
}

// Local files are checked where they are opened.
absl::Status CheckRemote(const std::string& uri, const base::AllowedRoots& roots) {
  return IsHttpUri(uri) || IsS3Uri(uri) ? roots.CheckUri(uri) : absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<model::FileSet>> OpenFiles(const std::string& uri_or_path,
                                                          const base::AllowedRoots& roots) {
  CALDERA_RETURN_IF_ERROR(CheckRemote(uri_or_path, roots));
  if (IsHttpUri(uri_or_path)) return OpenHttpFiles(uri_or_path, HttpOptionsOfProcess());
  if (!IsS3Uri(uri_or_path)) return model::OpenLocalFiles(uri_or_path, roots);
  CALDERA_ASSIGN_OR_RETURN(const S3Location location, ParseS3Uri(uri_or_path));
  CALDERA_ASSIGN_OR_RETURN(auto client, MakeS3Client({}));
  return OpenS3Files(std::move(client), location);
}

absl::StatusOr<model::OpenedModel> OpenModel(const std::string& uri_or_path,
                                             const base::AllowedRoots& roots) {
  CALDERA_ASSIGN_OR_RETURN(std::unique_ptr<model::FileSet> files, OpenFiles(uri_or_path, roots));
  return model::OpenModel(std::shared_ptr<const model::FileSet>(std::move(files)));
}

absl::StatusOr<std::unique_ptr<model::ByteSource>> OpenFile(const std::string& uri_or_path,
                                                            const base::AllowedRoots& roots) {
  CALDERA_RETURN_IF_ERROR(CheckRemote(uri_or_path, roots));
  if (IsHttpUri(uri_or_path)) return OpenHttpFile(uri_or_path, HttpOptionsOfProcess());
  if (!IsS3Uri(uri_or_path)) {
    if (uri_or_path.find("://") == std::string::npos) {
      return model::FileByteSource::Open(uri_or_path, roots);
    }
    CALDERA_ASSIGN_OR_RETURN(const std::string path, PathOfFileUri(uri_or_path));
    return model::FileByteSource::Open(path, roots);
  }
  CALDERA_ASSIGN_OR_RETURN(const S3Location location, ParseS3Uri(uri_or_path));
  CALDERA_ASSIGN_OR_RETURN(auto client, MakeS3Client({}));
  return OpenS3File(std::move(client), location);
}

absl::StatusOr<std::string> NormalUri(const std::string& uri, UriUse use) {
  const bool control = std::any_of(uri.begin(), uri.end(), [](char c) {
    return absl::ascii_iscntrl(static_cast<unsigned char>(c));
  });
  if (control) return base::InvalidArgument("the URI contains a control character");
  if (IsS3Uri(uri)) {
    CALDERA_ASSIGN_OR_RETURN(const S3Location location, ParseS3Uri(uri));
    return location.Uri();
  }
  if (IsHttpUri(uri) && use == UriUse::kRead) {
    CALDERA_RETURN_IF_ERROR(CheckHttpUri(uri));
    return uri.substr(0, uri.find_last_not_of('/') + 1);
  }
  CALDERA_ASSIGN_OR_RETURN(const std::string path, PathOfFileUri(uri));
  return FileUriOfPath(path);
}

}  // namespace caldera::store
