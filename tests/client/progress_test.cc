#include "client/progress.h"

#include <gtest/gtest.h>

namespace caldera::client {
namespace {

v1::JobEvent Event(double ratio, double eta_seconds) {
  v1::JobEvent event;
  v1::JobProgress& progress = *event.mutable_job()->mutable_progress();
  progress.set_ratio(ratio);
  progress.set_eta_seconds(eta_seconds);
  progress.set_matrices(210);
  progress.set_matrices_committed(42);
  event.set_message("calibrated range 1");
  return event;
}

// What showing the ratios one after another writes to stderr.
std::string Shown(Terminal terminal, const std::vector<double>& ratios) {
  testing::internal::CaptureStderr();
  {
    ProgressPrinter printer(terminal);
    for (const double ratio : ratios) printer.Show(Event(ratio, -1));
  }
  return testing::internal::GetCapturedStderr();
}

std::string Line(double ratio) { return ProgressLine(Event(ratio, -1)); }

TEST(ProgressLine, TellsTheMatrixItsErrorAndTheTimeLeft) {
  v1::JobEvent event = Event(0.2, 130);
  event.set_layer(3);
  event.mutable_matrix()->set_projection("self_attn.q_proj");
  event.mutable_matrix()->set_relative_error(0.08123);

  EXPECT_EQ(ProgressLine(event),
            " 20 %  layer 3 self_attn.q_proj  error 0.0812  42/210 matrices  ETA 2 min 10 s");
}

TEST(ProgressLine, TellsTheMessageOfOtherEventsAndNoUnknownTime) {
  EXPECT_EQ(ProgressLine(Event(0, -1)), "  0 %  calibrated range 1  42/210 matrices");
  EXPECT_EQ(ProgressLine(Event(1, -1)), "100 %  calibrated range 1  42/210 matrices");
}

TEST(ProgressLine, TellsNoTimeBeforeTheWorkIsKnown) {
  EXPECT_EQ(ProgressLine(v1::JobEvent()), "  0 %    0/0 matrices");
}

TEST(ProgressPrinter, WritesOneLinePerTenthWithoutATerminal) {
  EXPECT_EQ(Shown(Terminal::kNo, {0, 0.01, 0.09, 0.11, 0.19, 0.5, 1}),
            Line(0) + "\n" + Line(0.11) + "\n" + Line(0.5) + "\n" + Line(1) + "\n");
}

TEST(ProgressPrinter, RewritesOneLineOnATerminalAndEndsIt) {
  EXPECT_EQ(Shown(Terminal::kYes, {0, 0.01}),
            "\r\033[K" + Line(0) + "\r\033[K" + Line(0.01) + "\n");
}

TEST(ProgressPrinter, WritesNothingForNothing) {
  EXPECT_EQ(Shown(Terminal::kNo, {}), "");
  EXPECT_EQ(Shown(Terminal::kYes, {}), "");
}

}  // namespace
}  // namespace caldera::client
