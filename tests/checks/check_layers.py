#!/usr/bin/env python3
"""Fails when a source includes what tests/checks/layers.txt does not allow."""
import pathlib
import re
import sys

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def read_table(path):
    """Returns ({folder: allowed folders}, [(header regex, allowed path prefixes)])."""
    folders, headers = {}, []
    for line in path.read_text().splitlines():
        if not line.strip() or line.startswith('#'):
            continue
        name, _, allowed = line.partition(' :')
        if name.startswith('!'):
            headers.append((re.compile(name[1:].strip()), allowed.split()))
        else:
            folders[name.strip()] = set(allowed.split())
    return folders, headers


def folder_of(path, folders):
    """The longest folder of the table that holds `path`, or None."""
    matches = [f for f in folders if path.startswith(f + '/')]
    return max(matches, key=len) if matches else None


def faults_of(path, text, folders, headers):
    """All forbidden includes of one file, as messages."""
    own = folder_of(path, folders)
    faults = []
    for number, line in enumerate(text.splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        header = match.group(2)
        target = 'proto' if header.startswith('caldera/v1/') else folder_of(header, folders)
        if target and target != own and target not in folders[own]:
            faults.append(f'{path}:{number}: {own} may not include {header}')
        for pattern, places in headers:
            if pattern.match(header) and not any(path.startswith(p) for p in places):
                faults.append(f'{path}:{number}: {header} is allowed only in {" ".join(places)}')
    return faults


def check(root):
    folders, headers = read_table(root / 'tests/checks/layers.txt')
    faults = []
    for folder in folders:
        for path in sorted((root / folder).glob('*')):
            if path.suffix in ('.h', '.cc'):
                relative = path.relative_to(root).as_posix()
                faults += faults_of(relative, path.read_text(), folders, headers)
    return faults


if __name__ == '__main__':
    found = check(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else '.').resolve())
    print('\n'.join(found) or 'layers: ok')
    sys.exit(1 if found else 0)
