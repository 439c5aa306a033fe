"""Small models with random weights and real tokenizers, as Hugging Face folders."""

import random

import tokenizers
import torch
import transformers
from tokenizers import decoders, models, pre_tokenizers, processors, trainers

BOS, EOS = "<|begin_of_text|>", "<|end_of_text|>"
LLAMA3_PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
                  r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")

COMMON = dict(
    hidden_size=128,
    intermediate_size=320,
    num_hidden_layers=6,
    num_attention_heads=4,
    num_key_value_heads=4,
    max_position_embeddings=1024,
    tie_word_embeddings=False,
)
LLAMA3_SCALING = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
# The differences of each kind from COMMON.
KINDS = {
    "llama2": dict(rms_norm_eps=1e-5),
    "llama31": dict(num_key_value_heads=2, rope_theta=500000.0, rope_scaling=LLAMA3_SCALING),
    "smollm2": dict(
        hidden_size=96,
        intermediate_size=256,
        num_attention_heads=3,
        num_key_value_heads=1,
        rope_theta=100000.0,
        tie_word_embeddings=True,
    ),
}


def generate_text(size, seed):
    """About `size` characters of sentences over an invented vocabulary, fixed by the seed."""
    words_draw = random.Random(42)  # one language for all seeds
    syllables = ["ka", "ri", "to", "men", "sol", "va", "he", "lun", "der", "mi", "no", "stra", "é", "ü"]
    words = ["".join(words_draw.choices(syllables, k=words_draw.randint(1, 4))) for _ in range(600)]
    weights = [1.0 / (rank + 2) for rank in range(len(words))]
    draw = random.Random(seed)
    sentences, length = [], 0
    while length < size:
        sentence = draw.choices(words, weights, k=draw.randint(4, 14))
        if draw.random() < 0.2:
            sentence.insert(draw.randrange(len(sentence)), str(draw.randint(0, 2000)))
        sentences.append(" ".join(sentence).capitalize() + draw.choice(".!?,") + draw.choice(" \n"))
        length += len(sentences[-1])
    return "".join(sentences)


def train_tokenizer(kind, vocabulary_size):
    """Byte-level BPE; the Llama 3 kind puts BOS before a text, the others do not."""
    tokenizer = tokenizers.Tokenizer(models.BPE())
    if kind == "llama31":
        split = pre_tokenizers.Split(tokenizers.Regex(LLAMA3_PATTERN), "isolated")
    else:
        split = pre_tokenizers.Digits(individual_digits=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=kind != "llama31")]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        special_tokens=[BOS, EOS],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(generate_text(40_000, 7).splitlines(keepends=True), trainer)
    if kind == "llama31":
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{BOS} $A", special_tokens=[(BOS, tokenizer.token_to_id(BOS))]
        )
    return tokenizer


def randomise(model):
    """Weights of a size at which every part of the model shows in the logits, fixed by a seed."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.uniform_(0.5, 1.5, generator=generator)
            else:
                parameter.normal_(0, parameter.shape[-1] ** -0.5, generator=generator)


def save_model(kind, folder, vocabulary_size=512, **changes):
    """Writes config.json, model.safetensors and the tokenizer of a model of KINDS."""
    tokenizer = train_tokenizer(kind, vocabulary_size)
    config = transformers.LlamaConfig(
        **{**COMMON, **KINDS[kind], **changes},
        vocab_size=tokenizer.get_vocab_size(),
        bos_token_id=tokenizer.token_to_id(BOS),
        eos_token_id=tokenizer.token_to_id(EOS),
    )
    model = transformers.LlamaForCausalLM(config).float()
    randomise(model)
    model.save_pretrained(folder)
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=BOS, eos_token=EOS
    ).save_pretrained(folder)
