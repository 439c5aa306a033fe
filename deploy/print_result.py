#!/usr/bin/env python3
"""Prints the table at the end of quickstart.sh from OUT.result.json, OUT.original.json, OUT.compressed.json."""
import json
import sys


def read(path):
    with open(path, encoding='utf-8') as file:
        return json.load(file)


def mebibytes(value):
    return f'{value / 2**20:.1f} MiB'


def main(out):
    result = read(out + '.result.json')
    original, compressed = read(out + '.original.json'), read(out + '.compressed.json')
    ratio = compressed['perplexity'] / original['perplexity']
    rows = [
        ('perplexity, original', f'{original["perplexity"]:.2f}  ({original["tokens"]} tokens)'),
        ('perplexity, compressed', f'{compressed["perplexity"]:.2f}  ({ratio:.2f} x)'),
        ('bits per compressed weight', f'{result["bits_per_weight"]:.3f}'),
        ('bits per weight, whole model', f'{result["model_bits_per_weight"]:.3f}'),
        ('mean relative error', f'{result["mean_relative_error"]:.4f}'),
        ('source bytes', mebibytes(result['source_bytes'])),
        ('bf16-equivalent bytes', mebibytes(result['bfloat16_bytes'])),
        ('output bytes', mebibytes(result['output_bytes'])),
        ('compress time', f'{result["seconds"] / 60:.1f} min'),
        ('peak memory of a process', mebibytes(result['peak_rss_bytes'])),
        ('checkpoint', out),
    ]
    width = max(len(name) for name, _ in rows)
    print()
    for name, value in rows:
        print(f'{name:<{width}}  {value}')


if __name__ == '__main__':
    main(sys.argv[1])
