#include "coordinator/request_limits.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "common/base/status.h"
#include "coordinator/error_details.h"

namespace caldera::coordinator {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

constexpr std::size_t kLongestText = 4096;
constexpr std::size_t kLongestError = std::size_t{64} << 10;
constexpr int kLongestList = 10'000;
// More is of no use to anybody who has to mend the request.
constexpr std::size_t kMostViolations = 10;

struct Exception {
  const char* field;
  std::size_t bytes;
};
constexpr Exception kExceptions[] = {
    {"google.rpc.Status.message", kLongestError},  // of FailLease: logs of a failed tool, say
    {"google.protobuf.Any.value", kLongestError},
};

std::size_t LimitOf(const FieldDescriptor& field) {
  const auto found =
      std::find_if(std::begin(kExceptions), std::end(kExceptions),
                   [&field](const Exception& e) { return field.full_name() == e.field; });
  return found == std::end(kExceptions) ? kLongestText : found->bytes;
}

bool HasControlCharacter(const std::string& text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return absl::ascii_iscntrl(static_cast<unsigned char>(c)); });
}

class Checker {
 public:
  std::vector<FieldViolation> TakeViolations() { return std::move(violations_); }

  void CheckMessage(const Message& message, const std::string& prefix) {
    std::vector<const FieldDescriptor*> present;
    message.GetReflection()->ListFields(message, &present);
    for (const FieldDescriptor* field : present) {
      if (violations_.size() >= kMostViolations) return;
      CheckField(message, *field, prefix + field->name());
    }
  }

 private:
  void CheckField(const Message& message, const FieldDescriptor& field, const std::string& path) {
    const Reflection& reflection = *message.GetReflection();
    if (!field.is_repeated()) {
      CheckValue(message, field, path);
      return;
    }
    const int count = reflection.FieldSize(message, &field);
    if (count > kLongestList) {
      violations_.push_back({path, fmt::format("{} elements, at most {}", count, kLongestList)});
      return;
    }
    CheckElements(message, field, path, count);
  }

  void CheckElements(const Message& message, const FieldDescriptor& field, const std::string& path,
                     int count) {
    const Reflection& reflection = *message.GetReflection();
    const auto type = field.cpp_type();
    const bool text = type == FieldDescriptor::CPPTYPE_STRING;
    if (!text && type != FieldDescriptor::CPPTYPE_MESSAGE) return;  // numbers
    for (int i = 0; i < count && violations_.size() < kMostViolations; ++i) {
      const std::string element = fmt::format("{}[{}]", path, i);
      if (text) {
        std::string scratch;
        CheckText(reflection.GetRepeatedStringReference(message, &field, i, &scratch), field,
                  element);
      } else {
        CheckMessage(reflection.GetRepeatedMessage(message, &field, i), element + ".");
      }
    }
  }

  void CheckValue(const Message& message, const FieldDescriptor& field, const std::string& path) {
    const Reflection& reflection = *message.GetReflection();
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      CheckMessage(reflection.GetMessage(message, &field), path + ".");
    } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
      std::string scratch;
      CheckText(reflection.GetStringReference(message, &field, &scratch), field, path);
    }
  }

  void CheckText(const std::string& text, const FieldDescriptor& field, const std::string& path) {
    const std::size_t limit = LimitOf(field);
    if (text.size() > limit) {
      violations_.push_back({path, fmt::format("{} bytes, at most {}", text.size(), limit)});
    } else if (field.type() == FieldDescriptor::TYPE_STRING && limit == kLongestText &&
               HasControlCharacter(text)) {
      violations_.push_back({path, "contains a control character"});
    }
  }

  std::vector<FieldViolation> violations_;
};

}  // namespace

absl::Status CheckRequestLimits(const Message& request) {
  Checker checker;
  checker.CheckMessage(request, "");
  return WithReason(rpc::BadRequest(checker.TakeViolations()), kReasonInvalidRequest);
}

}  // namespace caldera::coordinator
