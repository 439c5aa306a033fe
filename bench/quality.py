#!/usr/bin/env python3
"""The lines of quality.sh: one JSON object per measured setting.

quality.py has FILE CONDITIONS          exit code 0 when the file has a line of these conditions
quality.py add FILE CONDITIONS FOLDER   appends what quality.sh left in FOLDER
quality.py table FILE                   prints the file as Markdown
"""
import json
import pathlib
import sys

EVALUATION = ('tokens', 'sequences', 'perplexity', 'perplexity_standard_error', 'reference_perplexity',
              'nll_difference', 'nll_difference_standard_error', 'kl', 'kl_standard_error', 'kl_p99',
              'top1_agreement')


def lines(path):
    file = pathlib.Path(path)
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def has(path, conditions):
    return any(conditions.items() <= line.items() for line in lines(path))


def add(path, conditions, folder):
    def read(name):
        return json.loads((pathlib.Path(folder) / name).read_text())

    checkpoint, evaluation = read('inspect.json'), read('eval.json')
    real, user, system = map(float, (pathlib.Path(folder) / 'time').read_text().split()[-3:])
    line = {
        **conditions,
        'commit': (pathlib.Path(folder) / 'commit').read_text().strip(),
        'bits_per_weight': checkpoint['bits_per_weight'],
        'model_bits_per_weight': checkpoint['model_bits_per_weight'],
        'mean_relative_error': checkpoint['mean_relative_error'],
        **{field: evaluation[field] for field in EVALUATION},
        'compress_seconds': real,
        'compress_cpu_seconds': round(user + system, 3),
    }
    with open(path, 'a', encoding='utf-8') as file:
        file.write(json.dumps(line) + '\n')


def with_error(line, field, digits):
    error = line[field + '_standard_error']
    value = f'{line[field]:.{digits}f}'
    return value if error is None else f'{value} ± {error:.{digits}f}'


def table(path):
    title = None
    for line in sorted(lines(path), key=lambda line: (line['samples'], line['seq_len'], line['tokens'])):
        about = (f'{line["samples"]} x {line["seq_len"]} calibration tokens, {line["tokens"]:,} scored tokens in '
                 f'{line["sequences"]} sequences, perplexity of the original '
                 f'{line["reference_perplexity"]:.2f}')
        if about != title:
            print(f'\n{about}:\n\n| setting | bits per weight | mean relative error | KL | same first token |'
                  ' perplexity | seconds | CPU seconds |\n' + '| --- ' * 8 + '|')
            title = about
        print(f'| `{line["flags"]}` | {line["bits_per_weight"]:.3f} | {line["mean_relative_error"]:.4f} '
              f'| {with_error(line, "kl", 4)} | {100 * line["top1_agreement"]:.1f} % '
              f'| {with_error(line, "perplexity", 2)} | {line["compress_seconds"]:.0f} '
              f'| {line["compress_cpu_seconds"]:.0f} |')


def main(command, path, *arguments):
    if command == 'has':
        return 0 if has(path, json.loads(arguments[0])) else 1
    if command == 'add':
        add(path, json.loads(arguments[0]), arguments[1])
    else:
        table(path)
    return 0


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
