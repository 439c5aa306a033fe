#!/usr/bin/env python3
"""Fails when a source does not include its own header first: that is what proves a header self-contained
(headers without a source are compiled alone by the build, see deploy/cmake/CalderaTargets.cmake)."""
import pathlib
import re
import sys

FOLDERS = ['common', 'numerics', 'coordinator', 'worker', 'client']


def check(root):
    faults = []
    for folder in FOLDERS:
        for header in sorted((root / folder).rglob('*.h')):
            source = header.with_suffix('.cc')
            if not source.exists():
                continue
            own = header.relative_to(root).as_posix()
            first = re.search(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', source.read_text(), re.M)
            if first is None or first.group(1) != own:
                faults.append(f'{source.relative_to(root)}: does not include {own} first')
    return faults


if __name__ == '__main__':
    found = check(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else '.').resolve())
    print('\n'.join(found) or 'headers: ok')
    sys.exit(1 if found else 0)
