// What every JSON text from outside must be before somebody builds a tree of it.
//
// The library keeps the last of repeated keys, and walking or writing a deep tree takes one stack
// frame a level; both are refused here, so one text has one meaning and hostile input stays cheap.
#ifndef CALDERA_COMMON_MODEL_JSON_TEXT_H_
#define CALDERA_COMMON_MODEL_JSON_TEXT_H_

#include <string>

#include "absl/status/status.h"

namespace caldera::model {

// Objects and lists that may be open at once.
inline constexpr int kMaxJsonDepth = 64;

// INVALID_ARGUMENT for what is no JSON (or holds a number beyond float64), for a key that occurs
// twice in an object (the message names it) and for more than kMaxJsonDepth levels. Linear in the
// text; stops at the first fault. Memory: the keys of the objects that are open.
absl::Status CheckJsonText(const std::string& text);

}  // namespace caldera::model

#endif  // CALDERA_COMMON_MODEL_JSON_TEXT_H_
