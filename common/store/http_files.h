// Models and texts on a web server, read by range requests.
//
// A server lists no folders, so a folder is known by the files that tell of others: `manifest.json`
// (a published checkpoint lists all its files), else `config.json` with `model.safetensors` or
// `model.safetensors.index.json` (which names the shards), and the names that tokenizers and
// settings have. `https://huggingface.co/ORG/MODEL/resolve/main` is such a folder; there, the token
// of HF_TOKEN is sent (to huggingface.co alone).
#ifndef CALDERA_COMMON_STORE_HTTP_FILES_H_
#define CALDERA_COMMON_STORE_HTTP_FILES_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/model/byte_source.h"
#include "common/store/http_client.h"

namespace caldera::store {

bool IsHttpUri(const std::string& uri);
// http(s)://host[:port]/path. INVALID_ARGUMENT for user names, queries and fragments (they may hold
// secrets, and URIs of jobs are shown), and for control characters and spaces.
absl::Status CheckHttpUri(const std::string& uri);

struct HttpFilesOptions {
  HttpOptions http;
  absl::Duration patience = absl::Seconds(60);  // for all attempts of one request
  std::string bearer_token;                     // for https://huggingface.co/ only
};

// A folder, or one file when the path ends with ".gguf". Errors: NOT_FOUND; UNAUTHENTICATED and
// PERMISSION_DENIED for 401 and 403; FAILED_PRECONDITION when the server knows no ranges;
// UNAVAILABLE when the patience is over; those of ParseManifest and ParseSafetensorsIndex.
absl::StatusOr<std::unique_ptr<model::FileSet>> OpenHttpFiles(const std::string& uri,
                                                              const HttpFilesOptions& options);
// One file, whatever it is called.
absl::StatusOr<std::unique_ptr<model::ByteSource>> OpenHttpFile(const std::string& uri,
                                                                const HttpFilesOptions& options);

}  // namespace caldera::store

#endif  // CALDERA_COMMON_STORE_HTTP_FILES_H_
