// Input: a model.safetensors.index.json beside two shards, one.safetensors with the tensors "a" and
// "b" and two.safetensors with "c".
#include "common/base/check.h"
#include "common/model/hf_model.h"
#include "common/model/local_files.h"
#include "common/store/shard_index.h"
#include "tests/common/model/test_files.h"
#include "tests/fuzz/inputs.h"
#include "tests/fuzz/targets.h"

namespace caldera::fuzz {
namespace {

model::SafetensorsTensor TensorNamed(const std::string& name) {
  return {{name, model::Dtype::kF32, {2, 2}}, model::testing::BytesOf(model::testing::Ramp(4, 1))};
}

// Files that say so when somebody looks for one outside of the folder.
class WatchedFiles final : public model::FileSet {
 public:
  WatchedFiles() : files_("model") {
    files_.Put("one.safetensors",
               *model::WriteSafetensors({}, {TensorNamed("a"), TensorNamed("b")}));
    files_.Put("two.safetensors", *model::WriteSafetensors({}, {TensorNamed("c")}));
  }
  void Put(const std::string& file, const std::string& text) { files_.Put(file, text); }

  const std::string& name() const override { return files_.name(); }
  absl::StatusOr<std::vector<Entry>> List() const override { return files_.List(); }
  absl::StatusOr<std::unique_ptr<model::ByteSource>> Open(const std::string& file) const override {
    CALDERA_CHECK(!file.empty() && file != "." && file != ".." &&
                      file.find('/') == std::string::npos && file.find('\0') == std::string::npos,
                  "\"{}\" is opened", file);
    return files_.Open(file);
  }

 private:
  model::MemoryFileSet files_;
};

Verdict Run(const std::string& input) {
  WatchedFiles files;
  files.Put(model::kSafetensorsIndexFile, input);
  const auto model = model::HfModel::Open(files);
  if (!model.ok()) return Verdict::kRefused;
  ReadEveryTensor(**model);
  return Verdict::kAccepted;
}

std::string Index(const std::map<std::string, std::string>& weight_map) {
  return store::ShardIndexToJson({48, weight_map});
}

std::vector<Seed> Seeds() {
  const std::string one = "one.safetensors";
  const std::string two = "two.safetensors";
  return {{"both", Verdict::kAccepted, Index({{"a", one}, {"b", one}, {"c", two}})},
          {"second_only", Verdict::kAccepted, Index({{"c", two}})},
          {"not_listed", Verdict::kRefused, Index({{"a", one}})},
          {"not_there", Verdict::kRefused, Index({{"c", two}, {"d", two}})},
          {"outside", Verdict::kRefused, Index({{"c", "../two.safetensors"}})},
          {"absolute", Verdict::kRefused, Index({{"c", "/two.safetensors"}})},
          {"no_text", Verdict::kRefused, R"({"weight_map":{"a":1}})"}};
}

}  // namespace

Target ModelIndexTarget() { return {"model_index", Run, Seeds}; }

}  // namespace caldera::fuzz
