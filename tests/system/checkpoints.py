"""What the tests ask of a model folder or a published checkpoint, by other people's libraries."""

import hashlib
import json
import math
import pathlib

import torch
import transformers

PROJECTIONS = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
               "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"]


def digests(folder):
    """{file: sha256} of a checkpoint but for run.json, which tells of the run."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in pathlib.Path(folder).iterdir() if path.name != "run.json"}


def run_record(folder):
    return json.loads((pathlib.Path(folder) / "run.json").read_text())


def windows(tokenizer, text, seq_len, max_tokens):
    """The evaluation windows of docs/formats: [count, seq_len] ids."""
    ids = tokenizer(text, add_special_tokens=False).input_ids
    begin = tokenizer("a").input_ids[:1]
    begin = begin if begin == [tokenizer.bos_token_id] else []
    step = seq_len - len(begin)
    count = min(len(ids) // step, max_tokens // seq_len)
    return torch.tensor([begin + ids[i * step:(i + 1) * step] for i in range(count)])


def perplexity(folder, text_file, seq_len, max_tokens):
    """transformers' float32 perplexity of a model folder: (perplexity, scored tokens)."""
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, torch_dtype=torch.float32).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    text = pathlib.Path(text_file).read_text(encoding="utf-8")
    losses = []
    with torch.no_grad():
        for batch in windows(tokenizer, text, seq_len, max_tokens).split(8):
            scores = torch.log_softmax(model(batch).logits[:, :-1].double(), -1)
            losses.append(-scores.gather(-1, batch[:, 1:, None]).flatten())
    losses = torch.cat(losses)
    return math.exp(losses.mean().item()), len(losses)
