"""Our tokenizers against Hugging Face `tokenizers`, llama.cpp and `sentencepiece`: equal ids."""

import json
import os
import pathlib
import random
import re
import subprocess
import unicodedata

import gguf
import pytest
import sentencepiece
import tokenizers
import transformers
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

import llama_cpp_oracle

PROGRAM = pathlib.Path(os.environ["CALDERA_BUILD"]) / "bin" / "test-tokenize"
LLAMA3_PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
                  r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2_PATTERN = LLAMA3_PATTERN.replace(r"\p{N}{1,3}", r"\p{N}")
WORDS = ("the of and that river mountain compression matrices don't I'll we've they're can't IT'S "
         "You'd Naïve café Straße fiancé Привет мир доброе утро Ελληνικά שלום مرحبا नमस्ते สวัสดี "
         "日本語 テキスト 中文测试 한국어 kernel_size std::vector<int> x=y+1; https://example.org/a?b=c "
         "<s> </s> <|endoftext|> <|begin_of_text|> [INST] <unk> <0x0A> e-mail co-operate").split()
EMOJI = "😀🎉👩‍👩‍👧‍👦🇩🇪👍🏽❤️🧮∑∫√≠→…—“”«»€£¥"
SPACES = [" ", "  ", "   ", "        ", "\n", "\n\n", "\r\n", "\t", "\t\t", " \n ", " \n\n  ",
          "\u00a0", "\u3000", "\u2009", "\u2028", "\v", "\f"]


def mixed_text(size, seed):
    """Words, scripts, emoji, digits, white space runs; at least `size` bytes, fixed by the seed."""
    draw = random.Random(seed)
    pieces = []
    length = 0
    while length < size:
        kind = draw.random()
        if kind < 0.55:
            piece = draw.choice(WORDS)
        elif kind < 0.65:
            piece = "".join(draw.choice("0123456789.,٣५²") for _ in range(draw.randint(1, 9)))
        elif kind < 0.72:
            piece = "".join(draw.choice(EMOJI) for _ in range(draw.randint(1, 4)))
        elif kind < 0.80:
            piece = "".join(chr(draw.randint(0x4E00, 0x9FA5)) for _ in range(draw.randint(1, 6)))
        elif kind < 0.86:
            piece = "".join(chr(draw.randint(0x21, 0x7E)) for _ in range(draw.randint(1, 8)))
        elif kind < 0.90:
            piece = draw.choice("aeiouAEIOUn") + draw.choice("\u0301\u0300\u0308\u0323\u0303")
        else:
            piece = ""
        pieces.append(piece + (draw.choice(SPACES) if draw.random() < 0.4 else " "))
        length += len(pieces[-1].encode())
    return "".join(pieces)


@pytest.fixture(scope="session")
def text():
    return mixed_text(100_000, seed=7)


@pytest.fixture(scope="session")
def text_file(text, tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "mixed.txt"
    path.write_bytes(text.encode())
    return path


def run(*arguments):
    result = subprocess.run([str(PROGRAM), *map(str, arguments)], capture_output=True)
    assert result.returncode == 0, result.stderr.decode()
    return result.stdout


def our_ids(model, text_file):
    return [int(line) for line in run("encode", model, text_file).split()]


def hugging_face_ids(tokenizer, text):
    tokenizer.encode_special_tokens = True
    return tokenizer.encode(text, add_special_tokens=False).ids


def assert_equal_ids(ours, theirs):
    for position, (a, b) in enumerate(zip(ours, theirs)):
        assert a == b, (position, ours[position - 3:position + 5], theirs[position - 3:position + 5])
    assert len(ours) == len(theirs)


def save(tokenizer, folder):
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def trained_byte_level(pre_tokenizer, text, normalizer=None):
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    trainer = trainers.BpeTrainer(vocab_size=1500, special_tokens=["<|endoftext|>"],
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                                  show_progress=False)
    tokenizer.train_from_iterator(text.splitlines(keepends=True), trainer)
    return tokenizer


def regex_and_bytes(pattern):
    return pre_tokenizers.Sequence([
        pre_tokenizers.Split(tokenizers.Regex(pattern), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


LAYOUTS = {
    "llama3": lambda: regex_and_bytes(LLAMA3_PATTERN),
    "qwen2": lambda: regex_and_bytes(QWEN2_PATTERN),
    "gpt2": lambda: pre_tokenizers.ByteLevel(add_prefix_space=True),
    "smollm2": lambda: pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False)]),
    "contiguous digits": lambda: pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=False),
        pre_tokenizers.ByteLevel(add_prefix_space=False)]),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_byte_level_bpe_equals_tokenizers(layout, text, text_file, tmp_path):
    tokenizer = trained_byte_level(LAYOUTS[layout](), text)
    save(tokenizer, tmp_path)
    assert_equal_ids(our_ids(tmp_path, text_file), hugging_face_ids(tokenizer, text))
    if layout != "gpt2":  # which adds a space
        assert run("roundtrip", tmp_path, text_file) == text.encode()


@pytest.mark.parametrize("behavior", ["removed", "isolated", "merged_with_previous",
                                      "merged_with_next", "contiguous"])
@pytest.mark.parametrize("invert", [False, True])
def test_split_behaviors_equal_tokenizers(behavior, invert, text, text_file, tmp_path):
    split = pre_tokenizers.Sequence([
        pre_tokenizers.Split(tokenizers.Regex(r"\s|[aeiou]"), behavior, invert),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer = trained_byte_level(split, text[:20_000])
    save(tokenizer, tmp_path)
    assert_equal_ids(our_ids(tmp_path, text_file), hugging_face_ids(tokenizer, text))


def test_nfc_equals_tokenizers_and_unicodedata(text, tmp_path):
    draw = random.Random(3)
    marks = [chr(c) for c in range(0x300, 0x370) if unicodedata.combining(chr(c))]
    composed = [chr(c) for c in range(0xA0, 0x2000) if unicodedata.category(chr(c))[0] == "L"]
    stacks = "".join(draw.choice(composed) + "".join(draw.choices(marks, k=draw.randint(0, 3)))
                     for _ in range(4000))
    jamo = "".join(chr(draw.randint(0x1100, 0x1112)) + chr(draw.randint(0x1161, 0x1175)) +
                   draw.choice(["", chr(draw.randint(0x11A8, 0x11C2))]) for _ in range(500))
    sample = unicodedata.normalize("NFD", text[:20_000]) + stacks + jamo + "\u212b\uf900\u0344"
    path = tmp_path / "sample.txt"
    path.write_bytes(sample.encode())
    tokenizer = trained_byte_level(LAYOUTS["qwen2"](), text, normalizers.NFC())
    save(tokenizer, tmp_path)
    assert run("roundtrip", tmp_path, path).decode() == unicodedata.normalize("NFC", sample)
    assert_equal_ids(our_ids(tmp_path, path), hugging_face_ids(tokenizer, sample))


def test_added_tokens_in_plain_text_equal_tokenizers(text, text_file, tmp_path):
    tokenizer = trained_byte_level(LAYOUTS["llama3"](), text)
    tokenizer.add_tokens([
        tokenizers.AddedToken("kernel", normalized=False),
        tokenizers.AddedToken("kernel_size", normalized=False),
        tokenizers.AddedToken("日本語", normalized=True, lstrip=True),
        tokenizers.AddedToken("мир", normalized=False, lstrip=True, rstrip=True)])
    save(tokenizer, tmp_path)
    assert_equal_ids(our_ids(tmp_path, text_file), hugging_face_ids(tokenizer, text))


def trained_llama2_style(text, prepends_by_normalizer):
    tokenizer = tokenizers.Tokenizer(
        models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    if prepends_by_normalizer:
        tokenizer.normalizer = normalizers.Sequence(
            [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=True)
    tokenizer.decoder = decoders.Sequence([
        decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
        decoders.Strip(" ", 1, 0)])
    byte_tokens = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=2000, limit_alphabet=150, show_progress=False,
                                  special_tokens=["<unk>", "<s>", "</s>", *byte_tokens])
    # Without the spellings of special tokens, or merges would form them.
    lines = re.sub("</?s>|<unk>|<0x0A>", "", text).split("\n")
    tokenizer.train_from_iterator(lines, trainer)
    layout = json.loads(tokenizer.to_str())
    # The trainer takes byte tokens as special tokens only; in real files they are ordinary ones.
    layout["added_tokens"] = [token for token in layout["added_tokens"]
                              if not token["content"].startswith("<0x")]
    return tokenizers.Tokenizer.from_str(json.dumps(layout))


@pytest.mark.parametrize("prepends_by_normalizer", [True, False])
def test_bpe_with_byte_fallback_equals_tokenizers(prepends_by_normalizer, text, text_file, tmp_path):
    tokenizer = trained_llama2_style(text, prepends_by_normalizer)
    save(tokenizer, tmp_path)
    assert_equal_ids(our_ids(tmp_path, text_file), hugging_face_ids(tokenizer, text))
    assert run("roundtrip", tmp_path, text_file) == text.encode()


def test_llama3_tokenizer_json_equals_tokenizers(text, text_file, tmp_path):
    source = llama_cpp_oracle.llama3_tokenizer_json()
    (tmp_path / "tokenizer.json").write_bytes(source.read_bytes())
    tokenizer = tokenizers.Tokenizer.from_file(str(source))
    assert_equal_ids(our_ids(tmp_path, text_file), hugging_face_ids(tokenizer, text))
    assert run("roundtrip", tmp_path, text_file) == text.encode()


def smollm2():
    path = pathlib.Path(os.environ["CALDERA_SMOLLM2"])
    assert path.is_file(), path
    return path


GGUF_FILES = {
    "smollm2": smollm2,
    "llama-spm": lambda: llama_cpp_oracle.vocabulary("llama-spm"),
    "llama-bpe": lambda: llama_cpp_oracle.vocabulary("llama-bpe"),
    "gpt-2": lambda: llama_cpp_oracle.vocabulary("gpt-2"),
    "qwen2": lambda: llama_cpp_oracle.vocabulary("qwen2"),
}


@pytest.mark.parametrize("name", GGUF_FILES)
def test_gguf_vocabulary_equals_llama_cpp(name, text, text_file):
    path = GGUF_FILES[name]()
    assert_equal_ids(our_ids(path, text_file), llama_cpp_oracle.llama_cpp_ids(path, text_file))


@pytest.mark.parametrize("name", GGUF_FILES)
def test_written_tokenizer_json_gives_the_same_ids_everywhere(name, text, text_file, tmp_path):
    path = GGUF_FILES[name]()
    run("json", path, tmp_path)
    expected = our_ids(path, text_file)
    assert_equal_ids(our_ids(tmp_path, text_file), expected)
    fast = transformers.PreTrainedTokenizerFast.from_pretrained(tmp_path)
    assert_equal_ids(hugging_face_ids(fast.backend_tokenizer, text), expected)
    assert run("info", path) == run("info", tmp_path)


@pytest.mark.parametrize("name", ["smollm2", "llama-spm"])
def test_written_tokenizer_knows_its_special_tokens(name, tmp_path):
    path = GGUF_FILES[name]()
    run("json", path, tmp_path)
    fast = transformers.PreTrainedTokenizerFast.from_pretrained(tmp_path)
    _, bos, adds_bos, *eos = map(int, run("info", tmp_path).split())
    assert (fast.bos_token_id, fast.eos_token_id) == (bos, eos[0])
    assert fast("a").input_ids[0:1] == ([bos] if adds_bos else fast.encode("a")[0:1])
    assert (fast("a").input_ids[0] == bos) == bool(adds_bos)


def test_writing_tokenizer_json_is_deterministic(tmp_path):
    texts = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        run("json", smollm2(), folder)
        texts.append((folder / "tokenizer.json").read_bytes())
    assert texts[0] == texts[1]
    assert len(json.loads(texts[0])["model"]["vocab"]) == 49152


def trained_sentencepiece(folder, model_type):
    """Trained on words of European scripts only: the rest of the text needs byte fallback."""
    draw = random.Random(11)
    words = [word for word in WORDS if max(word) < "\u0500"]
    lines = [" ".join(draw.choices(words, k=12)) + "  1234567890" for _ in range(600)]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_prefix=str(folder / "tokenizer"),
        vocab_size=600, hard_vocab_limit=False, model_type=model_type, byte_fallback=True,
        character_coverage=1.0, normalization_rule_name="identity", add_dummy_prefix=True,
        remove_extra_whitespaces=False, split_digits=True, minloglevel=2)
    (folder / "tokenizer.vocab").unlink()
    return sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))


@pytest.mark.parametrize("model_type", ["bpe", "unigram"])
def test_sentencepiece_model_equals_sentencepiece(model_type, text, text_file, tmp_path):
    processor = trained_sentencepiece(tmp_path, model_type)
    assert_equal_ids(our_ids(tmp_path, text_file), processor.encode(text))
    assert run("roundtrip", tmp_path, text_file) == text.encode()
    assert run("info", tmp_path).decode().split() == [str(processor.vocab_size()), "1", "1", "2"]


def test_sentencepiece_model_inside_gguf_gives_the_same_ids(text, text_file, tmp_path):
    processor = trained_sentencepiece(tmp_path, "bpe")
    count = processor.vocab_size()
    types = [2 if processor.is_unknown(i) else 3 if processor.is_control(i)
             else 6 if processor.is_byte(i) else 1 for i in range(count)]
    path = tmp_path / "vocabulary.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model("llama")
    writer.add_token_list([processor.id_to_piece(i) for i in range(count)])
    writer.add_token_scores([processor.get_score(i) for i in range(count)])
    writer.add_token_types(types)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    assert_equal_ids(our_ids(path, text_file), processor.encode(text))
    folder = tmp_path / "json"
    folder.mkdir()
    run("json", path, folder)
    assert_equal_ids(our_ids(folder, text_file), processor.encode(text))
