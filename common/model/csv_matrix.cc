#include "common/model/csv_matrix.h"

#include <charconv>
#include <cmath>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "absl/strings/escaping.h"
#include "common/base/status.h"
#include "common/model/local_files.h"

namespace caldera::model {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

// Where a cell stands, for messages.
struct Place {
  const std::string& file;
  std::int64_t line;
  std::size_t column;
};

std::string_view Trimmed(std::string_view cell) {
  const auto first = cell.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return cell.substr(first, cell.find_last_not_of(" \t") - first + 1);
}

// What is shown of a cell: its beginning, without control characters.
std::string Shown(std::string_view cell) {
  constexpr std::size_t kLongest = 40;
  const std::string_view part = cell.substr(0, kLongest);
  return absl::CHexEscape(absl::string_view(part.data(), part.size())) +
         (cell.size() > kLongest ? "..." : "");
}

struct Parsed {
  double value = 0;
  std::errc error{};
};

// A trimmed cell as a number: error invalid_argument, or result_out_of_range beyond float64.
Parsed ParseNumber(std::string_view cell) {
  const bool plus = cell.size() > 1 && cell[0] == '+' && cell[1] != '-';
  const char* const begin = cell.data() + (plus ? 1 : 0);
  const char* const end = cell.data() + cell.size();
  Parsed parsed;
  const auto result = std::from_chars(begin, end, parsed.value);
  parsed.error = result.ptr == end ? result.ec : std::errc::invalid_argument;
  return parsed;
}

absl::StatusOr<double> ParseCell(std::string_view cell, const Place& place) {
  const std::string_view text = Trimmed(cell);
  if (text.empty()) {
    return base::InvalidArgument("{}: line {}, column {}: the cell is empty", place.file,
                                 place.line, place.column);
  }
  const Parsed parsed = ParseNumber(text);
  if (parsed.error == std::errc::result_out_of_range) {
    return base::InvalidArgument("{}: line {}, column {}: {} is out of the range of float64",
                                 place.file, place.line, place.column, Shown(text));
  }
  if (parsed.error != std::errc()) {
    return base::InvalidArgument("{}: line {}, column {}: \"{}\" is not a number", place.file,
                                 place.line, place.column, Shown(text));
  }
  if (!std::isfinite(parsed.value)) {
    return base::InvalidArgument("{}: line {}, column {}: {} is not finite", place.file, place.line,
                                 place.column, Shown(text));
  }
  return parsed.value;
}

std::vector<std::string_view> Split(std::string_view line) {
  std::vector<std::string_view> cells;
  for (;;) {
    const std::size_t comma = line.find(',');
    cells.push_back(line.substr(0, comma));
    if (comma == std::string_view::npos) return cells;
    line.remove_prefix(comma + 1);
  }
}

bool IsHeader(const std::vector<std::string_view>& cells) {
  for (const std::string_view cell : cells) {
    if (ParseNumber(Trimmed(cell)).error != std::errc::invalid_argument) return false;
  }
  return true;
}

// Takes the next line, without its end, off `text`; none when nothing is left.
std::optional<std::string_view> NextLine(std::string_view& text) {
  if (text.empty()) return std::nullopt;
  const std::size_t end = text.find('\n');
  std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

absl::Status AddRow(const std::vector<std::string_view>& cells, const std::string& file,
                    std::int64_t line, DataMatrix& matrix) {
  for (std::size_t k = 0; k < cells.size(); ++k) {
    CALDERA_ASSIGN_OR_RETURN(const double value, ParseCell(cells[k], {file, line, k + 1}));
    matrix.values.push_back(value);
  }
  ++matrix.rows;
  return absl::OkStatus();
}

absl::StatusOr<DataMatrix> ParseCsv(std::string_view text, const std::string& file) {
  DataMatrix matrix;
  std::size_t width = 0;
  std::int64_t line = 0;
  while (const auto next = NextLine(text)) {
    ++line;
    if (Trimmed(*next).empty()) return base::InvalidArgument("{}: line {} is blank", file, line);
    const std::vector<std::string_view> cells = Split(*next);
    if (line == 1) width = cells.size();
    if (cells.size() != width) {
      return base::InvalidArgument("{}: line {} has {} columns, line 1 has {}", file, line,
                                   cells.size(), width);
    }
    if (line == 1 && IsHeader(cells)) continue;
    CALDERA_RETURN_IF_ERROR(AddRow(cells, file, line, matrix));
  }
  if (matrix.rows == 0) return base::InvalidArgument("{}: holds no line of numbers", file);
  matrix.columns = static_cast<std::int64_t>(width);
  return matrix;
}

}  // namespace

absl::StatusOr<DataMatrix> ReadCsvMatrix(const ByteSource& source) {
  CALDERA_ASSIGN_OR_RETURN(const std::string bytes, ReadText(source, kMaxCsvBytes));
  std::string_view text = bytes;
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  return ParseCsv(text, source.name());
}

}  // namespace caldera::model
