// Progress of a job on stderr: a live line on a terminal, one plain line per tenth otherwise.
#ifndef CALDERA_CLIENT_PROGRESS_H_
#define CALDERA_CLIENT_PROGRESS_H_

#include <string>

#include "caldera/v1/compression.pb.h"

namespace caldera::client {

enum class Terminal { kNo, kYes };

// kYes when stderr is a terminal and NO_COLOR and TERM=dumb do not speak against it.
Terminal StderrTerminal();

// "layer 3 self_attn.q_proj  error .0812  42/210 matrices  ETA 2 min 10 s" of an event.
std::string ProgressLine(const v1::JobEvent& event);

class ProgressPrinter {
 public:
  explicit ProgressPrinter(Terminal terminal) : terminal_(terminal) {}
  // Ends the live line.
  ~ProgressPrinter();
  void Show(const v1::JobEvent& event);

 private:
  const Terminal terminal_;
  bool open_line_ = false;
  int shown_tenth_ = -1;
};

}  // namespace caldera::client

#endif  // CALDERA_CLIENT_PROGRESS_H_
