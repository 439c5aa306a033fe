#!/usr/bin/env python3
"""Fails on functions over 60 lines or 5 parameters, headers over 200, sources over 600 lines, no header
guard, disabled tests, commented-out code and bare to-do notes; prints the distribution of lengths."""
import pathlib
import re
import statistics
import sys

FOLDERS = ['common', 'numerics', 'coordinator', 'worker', 'client', 'tests', 'bench']
CODE_IN_COMMENT = re.compile(
    r'\s*//\s*(return\b.*|[\w:.\->\[\]]+\s*[+\-]?=\s*.+|[\w:.\->]+\(.*\)|(const|auto|int|float|double)\s.*);$')
MAX_FUNCTION, MAX_PARAMETERS, MAX_HEADER, MAX_SOURCE = 60, 5, 200, 600
MAX_TEST_HEADER = 300   # conformance suites and fixtures, docs/decisions/0005-test-headers.md


def blank(text):
    """The text with comments, strings and preprocessor lines blanked, line breaks kept."""
    pattern = re.compile(
        r'R"([^(\s]*)\(.*?\)\1"|//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])+\'',
        re.S)
    text = pattern.sub(lambda m: re.sub(r'[^\n]', ' ', m.group(0)), text)
    return re.sub(r'^[ \t]*#(?:[^\n\\]|\\\n|\\.)*', lambda m: re.sub(r'[^\n]', ' ', m.group(0)),
                  text, flags=re.M)


def split_parameters(head):
    """Parameters in the first parenthesised group of a function head."""
    start = head.find('(')
    depth, angle, commas, content = 0, 0, 0, ''
    for i in range(start, len(head)):
        c = head[i]
        if c in '([{':
            depth += 1
        elif c in ')]}':
            depth -= 1
            if depth == 0:
                break
        elif c == '<':
            angle += 1
        elif c == '>' and head[i - 1] != '-':
            angle = max(0, angle - 1)
        elif c == ',' and depth == 1 and angle == 0:
            commas += 1
        if depth >= 1 and i > start:
            content += c
    return commas + 1 if content.strip() and content.strip() != 'void' else 0


def kind_of(head, scope):
    """What a `{` after `head` opens inside a scope of kind `scope`."""
    if re.search(r'\bnamespace\b|\bextern\b\s*$', head):
        return 'namespace'
    if re.search(r'^\s*(template\s*<.*>\s*)?(typedef\s+)?\b(class|struct|union|enum)\b', head, re.S) \
            and not head.rstrip().endswith(')'):
        return 'type'
    if scope in ('namespace', 'type') and '(' in head and '=' not in head.split('(')[0]:
        return 'function'
    return 'other'


def functions(text):
    """Yields (first line, lines, parameters, name) of each function definition."""
    text = blank(text)
    stack, begin = ['namespace'], 0
    open_functions = []
    line_of = lambda offset: text.count('\n', 0, offset) + 1
    for i, c in enumerate(text):
        if c == '{':
            head = re.sub(r'^\s*(public|private|protected)\s*:', '', text[begin:i])
            kind = kind_of(head, stack[-1])
            stack.append(kind)
            if kind == 'function':
                lead = len(text[begin:i]) - len(text[begin:i].lstrip())
                open_functions.append((line_of(begin + lead), head))
            begin = i + 1
        elif c == '}':
            if len(stack) > 1 and stack.pop() == 'function':
                first, head = open_functions.pop()
                name = re.findall(r'([~\w:]+)\s*\(', head)
                yield first, line_of(i) - first + 1, split_parameters(head), name[0] if name else '?'
            begin = i + 1
        elif c == ';':
            begin = i + 1


def file_faults(path, relative, lengths):
    """Messages for one file; appends its function lengths to `lengths`."""
    text = path.read_text()
    count, faults = text.count('\n'), []
    header_limit = MAX_TEST_HEADER if relative.startswith('tests/') else MAX_HEADER
    limit = header_limit if path.suffix == '.h' else MAX_SOURCE
    if count > limit:
        faults.append(f'{relative}: {count} lines, at most {limit}')
    guard = 'CALDERA_' + re.sub(r'\W', '_', relative).upper() + '_'
    if path.suffix == '.h' and f'#ifndef {guard}' not in text:
        faults.append(f'{relative}: header guard {guard} is missing')
    for number, line in enumerate(text.splitlines(), 1):
        if re.search(r'\bDISABLED_|GTEST_SKIP', line):
            faults.append(f'{relative}:{number}: a disabled or skipped test')
        if re.search(r'\b(TODO|FIXME|XXX)\b', line):
            faults.append(f'{relative}:{number}: a bare to-do note')
        if CODE_IN_COMMENT.match(line):
            faults.append(f'{relative}:{number}: commented-out code')
    for first, lines, parameters, name in functions(text):
        lengths.append(lines)
        if lines > MAX_FUNCTION:
            faults.append(f'{relative}:{first}: {name} has {lines} lines, at most {MAX_FUNCTION}')
        if parameters > MAX_PARAMETERS:
            faults.append(
                f'{relative}:{first}: {name} has {parameters} parameters, at most {MAX_PARAMETERS}')
    return faults


def check(root):
    faults, lengths = [], []
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob('*')):
            if path.suffix in ('.h', '.cc'):
                faults += file_faults(path, path.relative_to(root).as_posix(), lengths)
    for path in sorted((root / 'tests').rglob('*.py')):
        if path.parent.name != 'checks' and re.search(r'mark\.(skip|xfail)|pytest\.skip', path.read_text()):
            faults.append(f'{path.relative_to(root)}: a disabled or skipped test')
    return faults, lengths


if __name__ == '__main__':
    found, sizes = check(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else '.').resolve())
    if sizes:
        long = sum(s > 40 for s in sizes) / len(sizes)
        print(f'functions: {len(sizes)}, median {statistics.median(sizes):.0f} lines, '
              f'{100 * (1 - long):.1f} % up to 40')
        if long > 0.05:
            found.append(f'{100 * long:.1f} % of functions are over 40 lines, at most 5 %')
    print('\n'.join(found) or 'budgets: ok')
    sys.exit(1 if found else 0)
