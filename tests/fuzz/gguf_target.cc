// Input: a GGUF file, byte by byte.
#include "common/model/gguf.h"
#include "tests/common/model/test_files.h"
#include "tests/fuzz/gguf_reading.h"
#include "tests/fuzz/inputs.h"
#include "tests/fuzz/targets.h"

namespace caldera::fuzz {
namespace {

using model::testing::Bytes;
using model::testing::GgufBytes;

Verdict Run(const std::string& input) { return ReadGguf(input); }

std::string Values() {
  GgufBytes gguf;
  gguf.Value<std::uint8_t>("u8", 0, 200).Value<std::int16_t>("i16", 3, -300);
  gguf.Value<std::int32_t>("i32", 5, -70000).Value<std::uint8_t>("bool", 7, 1);
  gguf.Value<std::uint64_t>("u64", 10, 1).Value<double>("f64", 12, 0.25);
  gguf.Texts("texts", {"a", "", "b"}).Array<std::int32_t>("list", 5, {3, -4});
  gguf.Array<float>("floats", 6, {1.5F}).U32("general.alignment", 64);
  return TextOf(gguf.Finish());
}

// One block of every type, in rows of one block.
std::string Blocks() {
  struct Type {
    std::uint32_t code;
    std::uint64_t values;
    std::size_t bytes;
  };
  GgufBytes gguf;
  for (const auto& [code, values, bytes] :
       {Type{2, 32, 18}, Type{3, 32, 20}, Type{6, 32, 22}, Type{7, 32, 24}, Type{8, 32, 34},
        Type{12, 256, 144}, Type{14, 256, 210}}) {
    gguf.Tensor("t" + std::to_string(code), {1, values}, code, Bytes(bytes, std::byte{0x3C}));
  }
  return TextOf(gguf.Finish());
}

std::string Vocabulary() {
  GgufBytes gguf;
  gguf.Text("tokenizer.ggml.model", "llama");
  gguf.Texts("tokenizer.ggml.tokens", {"<unk>", "<s>", "</s>", "a", "b", "ab"});
  gguf.Array<float>("tokenizer.ggml.scores", 6, {0, 0, 0, -3, -2, -1});
  gguf.Array<std::int32_t>("tokenizer.ggml.token_type", 5, {2, 3, 3, 1, 1, 4});
  return TextOf(gguf.Finish());
}

std::string TensorAt(std::uint64_t offset) {
  GgufBytes gguf;
  gguf.TensorAt("t", {4}, 0, offset, Bytes(64));
  return TextOf(gguf.Finish());
}

std::vector<Seed> Seeds() {
  return {
      {"values", Verdict::kAccepted, Values()},
      {"blocks", Verdict::kAccepted, Blocks()},
      {"vocabulary", Verdict::kAccepted, Vocabulary()},
      {"configuration", Verdict::kAccepted, TextOf(model::testing::SmallGgufMetadata().Finish())},
      {"tensor", Verdict::kAccepted, TensorAt(32)},
      {"tensor_beyond_the_end", Verdict::kRefused, TensorAt(64)},
      {"tensor_at_no_alignment", Verdict::kRefused, TensorAt(4)},
      {"huge_offset", Verdict::kRefused, TensorAt(~std::uint64_t{31})}};
}

}  // namespace

Target GgufTarget() { return {"gguf", Run, Seeds}; }

}  // namespace caldera::fuzz
