#include "common/model/json_text.h"

#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "common/base/status.h"

namespace caldera::model {
namespace {

using Json = nlohmann::json;

// Sees the text go by without a tree. The parser's callback, which sees it beside the tree, walks
// all members of an object again at the end of each: quadratic for one of many objects.
class Watcher final : public nlohmann::json_sax<Json> {
 public:
  const std::string& problem() const { return problem_; }

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }

  bool start_object(std::size_t) override {
    keys_.emplace_back();
    return Enter();
  }
  bool key(string_t& name) override {
    if (keys_.back().insert(name).second) return true;
    problem_ = "key \"" + name + "\" occurs twice";
    return false;
  }
  bool end_object() override {
    keys_.pop_back();
    --depth_;
    return true;
  }
  bool start_array(std::size_t) override { return Enter(); }
  bool end_array() override {
    --depth_;
    return true;
  }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override {
    problem_ = "not valid JSON";
    return false;
  }

 private:
  bool Enter() {
    if (++depth_ <= kMaxJsonDepth) return true;
    problem_ = "nested too deeply";
    return false;
  }

  int depth_ = 0;
  std::vector<std::set<std::string>> keys_;  // of the open objects
  std::string problem_;
};

}  // namespace

absl::Status CheckJsonText(const std::string& text) {
  Watcher watcher;
  if (Json::sax_parse(text, &watcher)) return absl::OkStatus();
  return base::InvalidArgument("{}", watcher.problem());
}

}  // namespace caldera::model
