// Input: a credentials file, a configuration file and an s3:// URI, NUL between them.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

#include "common/base/check.h"
#include "common/base/file.h"
#include "common/store/s3_settings.h"
#include "tests/fuzz/inputs.h"
#include "tests/fuzz/targets.h"

namespace caldera::fuzz {
namespace {

// A file in memory that lasts as long as this.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& bytes) : fd_(memfd_create("fuzz", MFD_CLOEXEC)) {
    CALDERA_CHECK(
        fd_ && write(fd_.get(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()),
        "no file of {} bytes", bytes.size());
  }
  std::string path() const { return "/proc/self/fd/" + std::to_string(fd_.get()); }

 private:
  const base::UniqueFd fd_;
};

bool ReadUri(const std::string& uri) {
  const auto location = store::ParseS3Uri(uri);
  if (!location.ok()) return false;
  CALDERA_CHECK(store::ParseS3Uri(location->Uri()).value() == *location,
                "\"{}\" reads differently as \"{}\"", uri, location->Uri());
  CALDERA_CHECK(location->bucket.find('/') == std::string::npos, "bucket {}", location->bucket);
  for (const char* outside : {"/../", "/./", "//"}) {
    CALDERA_CHECK(
        ("/" + location->key + "/").find(outside) == std::string::npos || location->key.empty(),
        "key {}", location->key);
  }
  return true;
}

bool ReadProfiles(const std::string& credentials, const std::string& config) {
  const TemporaryFile credentials_file(credentials);
  const TemporaryFile config_file(config);
  const auto settings = store::ReadS3Settings([&](const std::string& name) -> std::string {
    if (name == "AWS_SHARED_CREDENTIALS_FILE") return credentials_file.path();
    return name == "AWS_CONFIG_FILE" ? config_file.path() : "";
  });
  if (!settings.ok()) return false;
  CALDERA_CHECK(!settings->credentials.access_key_id.empty() &&
                    !settings->credentials.secret_access_key.empty(),
                "settings without keys");
  CALDERA_CHECK(settings->endpoint.starts_with("http") && !settings->endpoint.ends_with('/'),
                "endpoint {}", settings->endpoint);
  return true;
}

Verdict Run(const std::string& input) {
  const std::vector<std::string> parts = Parts(input, '\0', 3);
  const bool uri = ReadUri(parts[2]);
  const bool profiles = ReadProfiles(parts[0], parts[1]);
  return uri || profiles ? Verdict::kAccepted : Verdict::kRefused;
}

constexpr char kCredentials[] =
    "# keys\n[other]\naws_access_key_id = x\n\n[default]\n aws_nested = 1\n"
    "aws_access_key_id=AKID\naws_secret_access_key = secret/+=\r\naws_session_token=t\n";
constexpr char kConfig[] =
    "[profile default]\nregion = eu-west-1\nendpoint_url = http://127.0.0.1:8000/\n";

std::vector<Seed> Seeds() {
  const std::string nul(1, '\0');
  return {
      {"profiles", Verdict::kAccepted, kCredentials + nul + kConfig},
      {"credentials", Verdict::kAccepted, kCredentials},
      {"uri", Verdict::kAccepted, nul + nul + "s3://bucket.a-b/models/x/"},
      {"bucket", Verdict::kAccepted, nul + nul + "s3://abc"},
      {"no_section", Verdict::kRefused, "[default"},
      {"bad_endpoint", Verdict::kRefused, kCredentials + nul + "[default]\nendpoint_url=ftp://x"},
      {"outside", Verdict::kRefused, nul + nul + "s3://bucket/a/../b"}};
}

}  // namespace

Target S3SettingsTarget() { return {"s3_settings", Run, Seeds}; }

}  // namespace caldera::fuzz
