#include "common/store/s3_settings.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <sstream>

#include "absl/strings/ascii.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "common/store/keys.h"

namespace caldera::store {
namespace {

constexpr char kScheme[] = "s3://";
constexpr std::uint64_t kMaximumProfileBytes = std::uint64_t{1} << 20;

using Profile = std::map<std::string, std::string>;

std::string Stripped(std::string text) {
  absl::StripAsciiWhitespace(&text);
  return text;
}

// The name of a section: "[work]" of the credentials, "[profile work]" of the configuration.
std::string SectionName(const std::string& line) {
  std::string name = Stripped(line.substr(1, line.find(']') - 1));
  if (name.starts_with("profile ")) name = Stripped(name.substr(8));
  return name;
}

// The settings of one profile in an INI file. Messages name file and line, never what it says.
absl::StatusOr<Profile> ParseProfile(const std::string& text, const std::string& profile,
                                     const std::string& path) {
  Profile settings;
  std::istringstream lines(text);
  std::string line;
  bool inside = false;
  for (int number = 1; std::getline(lines, line); ++number) {
    const bool nested = !line.empty() && absl::ascii_isspace(static_cast<unsigned char>(line[0]));
    line = Stripped(line);
    if (line.empty() || line[0] == '#' || line[0] == ';') continue;
    if (line[0] == '[') {
      inside = SectionName(line) == profile;
      continue;
    }
    const std::size_t equals = line.find('=');
    if (equals == std::string::npos) {
      return base::InvalidArgument("{}: line {} is neither [section] nor name = value", path,
                                   number);
    }
    if (inside && !nested) {
      settings[Stripped(line.substr(0, equals))] = Stripped(line.substr(equals + 1));
    }
  }
  return settings;
}

// An absent file holds no profile, unless a variable names it.
absl::StatusOr<Profile> ReadProfile(const Environment& environment, const std::string& variable,
                                    const std::string& name_below_home) {
  std::string path = environment(variable);
  const bool named = !path.empty();
  if (!named && environment("HOME").empty()) return Profile();
  if (!named) path = environment("HOME") + "/.aws/" + name_below_home;
  const auto text = base::ReadFile(path, kMaximumProfileBytes);
  if (absl::IsNotFound(text.status()) && !named) return Profile();
  if (!text.ok()) return base::WithContext(text.status(), variable);
  const std::string profile = environment("AWS_PROFILE");
  return ParseProfile(*text, profile.empty() ? "default" : profile, path);
}

std::string FirstOf(const std::vector<std::string>& candidates) {
  const auto found = std::find_if(candidates.begin(), candidates.end(),
                                  [](const std::string& text) { return !text.empty(); });
  return found == candidates.end() ? std::string() : *found;
}

absl::Status ReadCredentials(const Environment& environment, const Profile& credentials,
                             const Profile& config, S3Credentials* result) {
  result->access_key_id = environment("AWS_ACCESS_KEY_ID");
  result->secret_access_key = environment("AWS_SECRET_ACCESS_KEY");
  result->session_token = environment("AWS_SESSION_TOKEN");
  for (Profile profile : {credentials, config}) {
    if (!result->access_key_id.empty()) break;
    *result = {profile["aws_access_key_id"], profile["aws_secret_access_key"],
               profile["aws_session_token"]};
  }
  if (!result->access_key_id.empty() && !result->secret_access_key.empty()) {
    return absl::OkStatus();
  }
  return absl::UnauthenticatedError(
      "no S3 credentials: neither AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY nor the profile of "
      "AWS_PROFILE in AWS_SHARED_CREDENTIALS_FILE (~/.aws/credentials) has both keys");
}

absl::Status ReadEndpoint(const std::string& given, S3Settings* settings) {
  settings->endpoint = given;
  while (settings->endpoint.ends_with('/')) settings->endpoint.pop_back();
  if (settings->endpoint.empty()) {
    settings->endpoint = "https://s3." + settings->region + ".amazonaws.com";
  }
  const std::string& endpoint = settings->endpoint;
  const std::size_t host = endpoint.find("://") + 3;
  const bool scheme = endpoint.starts_with("http://") || endpoint.starts_with("https://");
  if (scheme && endpoint.size() > host && endpoint.find_first_of("/?#@", host) == std::string::npos)
    return absl::OkStatus();
  return base::InvalidArgument("AWS_ENDPOINT_URL: expected http(s)://host[:port]");
}

absl::Status ReadAddressing(const std::string& given, S3Settings* settings) {
  if (!given.empty() && given != "path" && given != "virtual") {
    return base::InvalidArgument("CALDERA_S3_ADDRESSING is \"{}\": expected path or virtual",
                                 given);
  }
  const bool amazon = settings->endpoint.ends_with(".amazonaws.com");
  const bool virtual_host = given == "virtual" || (given.empty() && amazon);
  settings->addressing = virtual_host ? S3Addressing::kVirtualHost : S3Addressing::kPath;
  return absl::OkStatus();
}

bool IsBucketName(const std::string& bucket) {
  return bucket.size() >= 3 && bucket.size() <= 63 && bucket.front() != '.' &&
         bucket.back() != '.' && bucket.find("..") == std::string::npos &&
         std::all_of(bucket.begin(), bucket.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-';
         });
}

bool IsKey(const std::string& key) {
  const bool control = std::any_of(key.begin(), key.end(), [](char c) {
    return absl::ascii_iscntrl(static_cast<unsigned char>(c));
  });
  const std::vector<std::string> parts = SplitKey(key);
  return !control && std::all_of(parts.begin(), parts.end(), [](const std::string& part) {
    return !part.empty() && part != "." && part != "..";
  });
}

}  // namespace

Environment ProcessEnvironment() {
  return [](const std::string& name) {
    const char* value = std::getenv(name.c_str());
    return std::string(value == nullptr ? "" : value);
  };
}

absl::StatusOr<S3Settings> ReadS3Settings(const Environment& environment) {
  CALDERA_ASSIGN_OR_RETURN(Profile credentials,
                           ReadProfile(environment, "AWS_SHARED_CREDENTIALS_FILE", "credentials"));
  CALDERA_ASSIGN_OR_RETURN(Profile config, ReadProfile(environment, "AWS_CONFIG_FILE", "config"));
  S3Settings settings;
  CALDERA_RETURN_IF_ERROR(ReadCredentials(environment, credentials, config, &settings.credentials));
  settings.region = FirstOf({environment("AWS_REGION"), environment("AWS_DEFAULT_REGION"),
                             credentials["region"], config["region"], "us-east-1"});
  CALDERA_RETURN_IF_ERROR(
      ReadEndpoint(FirstOf({environment("AWS_ENDPOINT_URL_S3"), environment("AWS_ENDPOINT_URL"),
                            credentials["endpoint_url"], config["endpoint_url"]}),
                   &settings));
  CALDERA_RETURN_IF_ERROR(ReadAddressing(environment("CALDERA_S3_ADDRESSING"), &settings));
  settings.ca_file = environment("AWS_CA_BUNDLE");
  return settings;
}

std::string S3Location::Uri() const {
  return kScheme + bucket + (key.empty() ? std::string() : "/" + key);
}

S3Location S3Location::Below(const std::string& name) const {
  return {bucket, key.empty() ? name : key + "/" + name};
}

bool IsS3Uri(const std::string& uri) { return uri.starts_with(kScheme); }

absl::StatusOr<S3Location> ParseS3Uri(const std::string& uri) {
  if (!IsS3Uri(uri)) return base::InvalidArgument("\"{}\": expected s3://bucket/prefix", uri);
  std::string rest = uri.substr(sizeof(kScheme) - 1);
  while (rest.ends_with('/')) rest.pop_back();
  const std::size_t slash = rest.find('/');
  const S3Location location{rest.substr(0, slash),
                            slash == std::string::npos ? "" : rest.substr(slash + 1)};
  if (!IsBucketName(location.bucket)) {
    return base::InvalidArgument("\"{}\": \"{}\" is no bucket name", uri, location.bucket);
  }
  if (!location.key.empty() && !IsKey(location.key)) {
    return base::InvalidArgument(
        "\"{}\": a key may not hold empty, \".\" or \"..\" parts or control characters", uri);
  }
  return location;
}

}  // namespace caldera::store
