// Files by URI, wherever they lie: what takes a model, a text or a published checkpoint.
//
//   /path, file:///path                 this machine; relative paths, too, where a person gave them
//   s3://bucket/key                     with the keys of the environment (s3_settings.h)
//   https://host/path, http://...       read only (http_files.h)
//
// The environment is read here, at every opening, and nowhere else:
// docs/decisions/0013-stores-by-uri.md.
#ifndef CALDERA_COMMON_STORE_OPEN_FILES_H_
#define CALDERA_COMMON_STORE_OPEN_FILES_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/allowed_roots.h"
#include "common/model/byte_source.h"
#include "common/model/model_directory.h"

namespace caldera::store {

// A directory or what stands for one, or a single file under its base name. Here and below,
// PERMISSION_DENIED for what lies outside `roots`.
absl::StatusOr<std::unique_ptr<model::FileSet>> OpenFiles(const std::string& uri_or_path,
                                                          const base::AllowedRoots& roots = {});

// model::OpenModel for any of these places.
absl::StatusOr<model::OpenedModel> OpenModel(const std::string& uri_or_path,
                                             const base::AllowedRoots& roots = {});

// Exactly one file.
absl::StatusOr<std::unique_ptr<model::ByteSource>> OpenFile(const std::string& uri_or_path,
                                                            const base::AllowedRoots& roots = {});

// The URI in the form that is kept: file:///path for paths, no '/' at the end. Nothing is opened.
// INVALID_ARGUMENT for what OpenFiles, or a store that publishes, would refuse by its form alone.
enum class UriUse { kRead, kPublish };
absl::StatusOr<std::string> NormalUri(const std::string& uri, UriUse use);

}  // namespace caldera::store

#endif  // CALDERA_COMMON_STORE_OPEN_FILES_H_
