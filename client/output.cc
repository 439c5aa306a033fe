#include "client/output.h"

#include <fmt/format.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/timestamp.pb.h>
#include <google/protobuf/util/time_util.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "common/base/status.h"

namespace caldera::client {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

// One value of a field: `index` < 0 for a singular field.
Json FieldValue(const Message& message, const FieldDescriptor* field, int index) {
  const Reflection& get = *message.GetReflection();
  const bool one = index < 0;
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return one ? get.GetInt32(message, field) : get.GetRepeatedInt32(message, field, index);
    case FieldDescriptor::CPPTYPE_INT64:
      return one ? get.GetInt64(message, field) : get.GetRepeatedInt64(message, field, index);
    case FieldDescriptor::CPPTYPE_UINT32:
      return one ? get.GetUInt32(message, field) : get.GetRepeatedUInt32(message, field, index);
    case FieldDescriptor::CPPTYPE_UINT64:
      return one ? get.GetUInt64(message, field) : get.GetRepeatedUInt64(message, field, index);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return one ? get.GetDouble(message, field) : get.GetRepeatedDouble(message, field, index);
    case FieldDescriptor::CPPTYPE_FLOAT:
      return one ? get.GetFloat(message, field) : get.GetRepeatedFloat(message, field, index);
    case FieldDescriptor::CPPTYPE_BOOL:
      return one ? get.GetBool(message, field) : get.GetRepeatedBool(message, field, index);
    case FieldDescriptor::CPPTYPE_ENUM:
      return one ? get.GetEnum(message, field)->name()
                 : get.GetRepeatedEnum(message, field, index)->name();
    case FieldDescriptor::CPPTYPE_STRING:
      return one ? get.GetString(message, field) : get.GetRepeatedString(message, field, index);
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return ToJson(one ? get.GetMessage(message, field)
                        : get.GetRepeatedMessage(message, field, index));
  }
  return nullptr;
}

// A value as text in a table cell.
std::string Cell(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_float()) return fmt::format("{:.4g}", value.get<double>());
  return value.is_null() ? "" : value.dump();
}

Json ValueAt(const Json& item, const std::string& field) {
  if (!field.starts_with('/')) return item.value(field, Json());
  const Json::json_pointer pointer(field);
  return item.contains(pointer) ? item.at(pointer) : Json();
}

void PrintTable(const std::vector<Json>& items, const std::vector<Column>& columns) {
  std::vector<std::vector<std::string>> rows(1);
  for (const Column& column : columns) rows[0].push_back(column.title);
  for (const Json& item : items) {
    rows.emplace_back();
    for (const Column& column : columns) rows.back().push_back(Cell(ValueAt(item, column.field)));
  }
  std::vector<std::size_t> widths(columns.size(), 0);
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      line += fmt::format("{:<{}}", row[i], i + 1 < row.size() ? widths[i] + 2 : 0);
    }
    fmt::print("{}\n", line);
  }
}

}  // namespace

absl::StatusOr<OutputFormat> ParseOutputFormat(const std::string& name) {
  if (name == "table") return OutputFormat::kTable;
  if (name == "json") return OutputFormat::kJson;
  if (name == "jsonl") return OutputFormat::kJsonLines;
  if (name == "name") return OutputFormat::kName;
  return base::InvalidArgument("output format {}: expected table, json, jsonl or name", name);
}

Json ToJson(const Message& message) {
  if (const auto* time = dynamic_cast<const google::protobuf::Timestamp*>(&message)) {
    return google::protobuf::util::TimeUtil::ToString(*time);
  }
  Json object = Json::object();
  const Reflection& reflection = *message.GetReflection();
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor* field = message.GetDescriptor()->field(i);
    if (field->is_repeated()) {
      Json list = Json::array();
      for (int k = 0; k < reflection.FieldSize(message, field); ++k) {
        list.push_back(FieldValue(message, field, k));
      }
      object[field->name()] = std::move(list);
    } else if (!field->has_presence() || reflection.HasField(message, field)) {
      object[field->name()] = FieldValue(message, field, -1);
    }
  }
  return object;
}

void PrintObject(const Json& object, OutputFormat format) {
  if (format == OutputFormat::kJson) {
    fmt::print("{}\n", object.dump(2));
  } else if (format == OutputFormat::kJsonLines) {
    fmt::print("{}\n", object.dump());
    std::fflush(stdout);  // whoever reads a pipe gets each line as it comes
  } else if (format == OutputFormat::kName) {
    fmt::print("{}\n", object.value("name", ""));
  } else {
    std::size_t width = 0;
    for (const auto& [key, value] : object.items()) width = std::max(width, key.size());
    for (const auto& [key, value] : object.items()) {
      fmt::print("{:<{}}  {}\n", key, width, Cell(value));
    }
  }
}

void PrintList(const std::string& key, const std::vector<Json>& items,
               const std::vector<Column>& columns, OutputFormat format) {
  if (format == OutputFormat::kTable) return PrintTable(items, columns);
  if (format == OutputFormat::kJson) return PrintObject(Json{{key, items}}, format);
  for (const Json& item : items) PrintObject(item, format);
}

std::string HumanBytes(double bytes) {
  const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  while (bytes >= 1024 && unit + 1 < std::size(units)) {
    bytes /= 1024;
    ++unit;
  }
  return fmt::format("{:.{}f} {}", bytes, unit >= 2 ? 1 : 0, units[unit]);
}

std::string HumanSeconds(double seconds) {
  if (!(seconds >= 0)) return "?";
  const auto whole = static_cast<long>(std::lround(seconds));
  if (whole >= 3600) return fmt::format("{} h {:02} min", whole / 3600, whole % 3600 / 60);
  if (whole >= 60) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  return fmt::format("{} s", whole);
}

}  // namespace caldera::client
