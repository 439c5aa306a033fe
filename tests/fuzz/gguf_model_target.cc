// Input: a GGUF file as lines of text, so that every mutant has a sound frame and the fuzzer works
// on what the metadata mean. A line is a key and values between tabs:
//
//   s KEY text       S KEY text text ...     a string, a list of strings
//   i KEY number     I KEY number ...        an INT64, a list of them
//   f KEY number     F KEY number ...        a FLOAT32, a list of them
//   b KEY number                             a bool
//   t NAME type dimension ...                a tensor, outermost dimension first, with filler bytes
#include <cstdlib>

#include "common/model/stored_tensor.h"
#include "tests/common/model/test_files.h"
#include "tests/fuzz/gguf_reading.h"
#include "tests/fuzz/inputs.h"
#include "tests/fuzz/targets.h"

namespace caldera::fuzz {
namespace {

using model::testing::Bytes;
using model::testing::GgufBytes;

constexpr std::uint32_t kInt64 = 11;
constexpr std::size_t kMostTensorBytes = 1 << 14;

std::int64_t Integer(const std::string& text) { return std::strtoll(text.c_str(), nullptr, 10); }
float Float(const std::string& text) { return std::strtof(text.c_str(), nullptr); }

// Bytes of a tensor of `type`, or none when they are too many to write down.
Bytes TensorData(std::uint32_t type, const std::vector<std::int64_t>& shape) {
  const model::Dtype dtypes[] = {model::Dtype::kF32,  model::Dtype::kF16,  model::Dtype::kQ4_0,
                                 model::Dtype::kQ4_1, model::Dtype::kQ5_0, model::Dtype::kQ5_1,
                                 model::Dtype::kQ8_0, model::Dtype::kQ4_K, model::Dtype::kQ6_K};
  const std::uint32_t codes[] = {0, 1, 2, 3, 6, 7, 8, 12, 14};
  for (std::size_t i = 0; i < std::size(codes); ++i) {
    if (codes[i] != type) continue;
    const auto extent = model::ExtentOf(dtypes[i], shape);
    if (!extent.ok() || extent->bytes > kMostTensorBytes) return {};
    return model::testing::BytesOf(FillerBytes(static_cast<std::size_t>(extent->bytes)));
  }
  return {};
}

void AddTensor(const std::vector<std::string>& fields, GgufBytes& gguf) {
  if (fields.size() < 3) return;
  std::vector<std::int64_t> shape;
  for (std::size_t i = 3; i < fields.size(); ++i) shape.push_back(Integer(fields[i]));
  const auto type = static_cast<std::uint32_t>(Integer(fields[2]));
  gguf.Tensor(fields[1], {shape.begin(), shape.end()}, type, TensorData(type, shape));
}

void AddList(const std::vector<std::string>& fields, GgufBytes& gguf) {
  const std::string& key = fields[1];
  const std::vector<std::string> values(fields.begin() + 2, fields.end());
  if (fields[0] == "S") gguf.Texts(key, values);
  if (fields[0] == "I") {
    std::vector<std::int64_t> integers;
    for (const std::string& value : values) integers.push_back(Integer(value));
    gguf.Array(key, kInt64, integers);
  }
  if (fields[0] == "F") {
    std::vector<float> floats;
    for (const std::string& value : values) floats.push_back(Float(value));
    gguf.Array(key, 6, floats);
  }
}

void AddLine(const std::string& line, GgufBytes& gguf) {
  constexpr std::size_t kMostFields = 256;
  const std::vector<std::string> fields = Parts(line, '\t', kMostFields);
  std::size_t count = kMostFields;
  while (count > 0 && fields[count - 1].empty()) --count;
  if (count < 2) return;
  const std::vector<std::string> used(fields.begin(),
                                      fields.begin() + static_cast<std::ptrdiff_t>(count));
  const std::string& key = used[1];
  const std::string value = count > 2 ? used[2] : "";
  if (used[0] == "s") gguf.Text(key, value);
  if (used[0] == "i") gguf.Value(key, kInt64, Integer(value));
  if (used[0] == "f") gguf.F32(key, Float(value));
  if (used[0] == "b") gguf.Value(key, 7, static_cast<std::uint8_t>(Integer(value)));
  if (used[0] == "t") AddTensor(used, gguf);
  AddList(used, gguf);
}

Verdict Run(const std::string& input) {
  GgufBytes gguf;
  std::string rest = input;
  while (!rest.empty()) {
    const std::vector<std::string> parts = Parts(rest, '\n', 2);
    AddLine(parts[0], gguf);
    rest = parts[1];
  }
  return ReadGguf(TextOf(gguf.Finish()));
}

constexpr char kLlama[] =
    "s\tgeneral.architecture\tllama\n"
    "i\tllama.embedding_length\t8\ni\tllama.block_count\t1\ni\tllama.context_length\t64\n"
    "i\tllama.feed_forward_length\t16\ni\tllama.attention.head_count\t2\n"
    "I\tllama.attention.head_count_kv\t1\t1\n"
    "f\tllama.attention.layer_norm_rms_epsilon\t1e-5\nf\tllama.rope.freq_base\t10000\n"
    "t\ttoken_embd.weight\t0\t6\t8\nt\toutput_norm.weight\t0\t8\n"
    "t\tblk.0.attn_q.weight\t0\t8\t8\nt\tblk.0.attn_k.weight\t1\t4\t8\n";
constexpr char kScaled[] =
    "s\tllama.rope.scaling.type\tlinear\nf\tllama.rope.scaling.factor\t2\n"
    "t\trope_freqs.weight\t0\t2\n";
constexpr char kQwen[] =
    "s\tgeneral.architecture\tqwen2\n"
    "i\tqwen2.embedding_length\t32\ni\tqwen2.block_count\t1\ni\tqwen2.context_length\t64\n"
    "i\tqwen2.feed_forward_length\t32\ni\tqwen2.attention.head_count\t2\n"
    "f\tqwen2.attention.layer_norm_rms_epsilon\t1e-6\n"
    "t\ttoken_embd.weight\t8\t4\t32\nt\tblk.0.attn_q.bias\t0\t32\nt\tblk.0.ffn_down."
    "weight\t2\t2\t32\n";
constexpr char kScored[] =
    "s\ttokenizer.ggml.model\tllama\n"
    "S\ttokenizer.ggml.tokens\t<unk>\t<s>\t</s>\t\xE2\x96\x81\ta\tb\tab\t<0x0A>\t\xE2\x96\x81"
    "a\n"
    "F\ttokenizer.ggml.scores\t0\t0\t0\t-9\t-3\t-2\t-1\t0\t-4\n"
    "I\ttokenizer.ggml.token_type\t2\t3\t3\t1\t1\t1\t4\t6\t1\n"
    "i\ttokenizer.ggml.bos_token_id\t1\ni\ttokenizer.ggml.unknown_token_id\t0\n"
    "b\ttokenizer.ggml.add_bos_token\t1\ns\ttokenizer.chat_template\t{{ x }}\n";
constexpr char kRanked[] =
    "s\ttokenizer.ggml.model\tgpt2\ns\ttokenizer.ggml.pre\tllama-bpe\n"
    "S\ttokenizer.ggml.tokens\ta\tb\tl\to\tab\tlo\t\xC4\xA0\t\xC4\xA0"
    "a\t<eos>\n"
    "S\ttokenizer.ggml.merges\ta b\tl o\t\xC4\xA0 a\n"
    "i\ttokenizer.ggml.eos_token_id\t8\nI\ttokenizer.ggml.token_type\t1\t1\t1\t1\t1\t1\t1\t1\t3\n";

std::vector<Seed> Seeds() {
  return {{"llama", Verdict::kAccepted, kLlama},
          {"scaled", Verdict::kAccepted, std::string(kLlama) + kScaled},
          {"qwen", Verdict::kAccepted, kQwen},
          {"scored_vocabulary", Verdict::kAccepted, kScored},
          {"ranked_vocabulary", Verdict::kAccepted, kRanked},
          {"all", Verdict::kAccepted, std::string(kLlama) + kScored},
          {"negative_dimension", Verdict::kRefused, "t\tx\t0\t-1\n"},
          {"tensor_without_data", Verdict::kRefused, "t\tx\t0\t1048576\t1048576\n"}};
}

}  // namespace

Target GgufModelTarget() { return {"gguf_model", Run, Seeds}; }

}  // namespace caldera::fuzz
