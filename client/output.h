// What commands print: data on stdout as table, JSON or names; progress and errors on stderr.
//
// JSON: snake_case keys, integers as numbers, times as RFC 3339, lists wrapped in an object.
#ifndef CALDERA_CLIENT_OUTPUT_H_
#define CALDERA_CLIENT_OUTPUT_H_

#include <google/protobuf/message.h>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace caldera::client {

enum class OutputFormat { kTable, kJson, kJsonLines, kName };

// "table", "json", "jsonl", "name"; INVALID_ARGUMENT otherwise.
absl::StatusOr<OutputFormat> ParseOutputFormat(const std::string& name);

// Key order is kept: first field first.
using Json = nlohmann::ordered_json;

// Every field that is set or has a scalar default; unset messages are left out.
Json ToJson(const google::protobuf::Message& message);

// One object: JSON as it is, a table as "key  value" lines (nested values as compact JSON), names
// as the "name" field.
void PrintObject(const Json& object, OutputFormat format);

// A list: JSON {"KEY": [...]}, one line each for jsonl, names, or a table of `columns` (field,
// title).
struct Column {
  std::string field;  // a JSON pointer such as "/progress/ratio", or a key
  std::string title;
};
void PrintList(const std::string& key, const std::vector<Json>& items,
               const std::vector<Column>& columns, OutputFormat format);

// "1.2 GiB", "13.0 MiB", "312 B".
std::string HumanBytes(double bytes);
// "1 h 02 min", "3 min 20 s", "7 s"; "?" for a negative time.
std::string HumanSeconds(double seconds);

}  // namespace caldera::client

#endif  // CALDERA_CLIENT_OUTPUT_H_
