#include "client/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>

#include "client/output.h"

namespace caldera::client {

Terminal StderrTerminal() {
  const char* term = std::getenv("TERM");
  const bool dumb = term == nullptr || std::string(term) == "dumb";
  const bool plain = dumb || std::getenv("NO_COLOR") != nullptr;
  return isatty(STDERR_FILENO) != 0 && !plain ? Terminal::kYes : Terminal::kNo;
}

std::string ProgressLine(const v1::JobEvent& event) {
  const v1::JobProgress& progress = event.job().progress();
  std::string line = fmt::format("{:3.0f} %  ", 100 * progress.ratio());
  if (event.has_matrix()) {
    line += fmt::format("layer {} {}  error {:.4f}  ", event.layer(), event.matrix().projection(),
                        event.matrix().relative_error());
  } else {
    line += event.message() + "  ";
  }
  line += fmt::format("{}/{} matrices", progress.matrices_committed(), progress.matrices());
  if (progress.eta_seconds() >= 0 && !progress.matrices() == 0) {
    line += "  ETA " + HumanSeconds(progress.eta_seconds());
  }
  return line;
}

ProgressPrinter::~ProgressPrinter() {
  if (open_line_) fmt::print(stderr, "\n");
}

void ProgressPrinter::Show(const v1::JobEvent& event) {
  if (terminal_ == Terminal::kYes) {
    fmt::print(stderr, "\r\033[K{}", ProgressLine(event));
    open_line_ = true;
    return;
  }
  const int tenth = static_cast<int>(10 * event.job().progress().ratio());
  if (tenth == shown_tenth_) return;
  shown_tenth_ = tenth;
  fmt::print(stderr, "{}\n", ProgressLine(event));
}

}  // namespace caldera::client
