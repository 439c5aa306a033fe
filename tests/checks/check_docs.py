#!/usr/bin/env python3
"""Fails when a Markdown page names a file of the repository that does not exist."""
import pathlib
import re
import sys

# `path/with/slash.ext` or `folder/` in back quotes, and relative links.
QUOTED = re.compile(r'`([A-Za-z0-9_.\-]+(?:/[A-Za-z0-9_.\-{},*]+)+/?)`')
LINK = re.compile(r'\]\((?!https?:|#|mailto:)([^)#]+)(?:#[^)]*)?\)')
TOP = ('proto', 'common', 'numerics', 'coordinator', 'worker', 'client', 'deploy', 'bench', 'tests',
       'docs')


def check(root):
    faults = []
    pages = [p for p in sorted(root.rglob('*.md'))
             if not {'build', '.venv', 'node_modules'} & set(p.relative_to(root).parts)]
    for page in pages:
        text = page.read_text()
        for name in QUOTED.findall(text):
            if name.split('/')[0] in TOP and not re.search(r'[{},*]', name):
                stem = root / name
                if not stem.exists() and not list(stem.parent.glob(stem.name + '.*')):
                    faults.append(f'{page.relative_to(root)}: names {name}, which does not exist')
        for link in LINK.findall(text):
            if not (page.parent / link).exists():
                faults.append(f'{page.relative_to(root)}: links to {link}, which does not exist')
    return faults


if __name__ == '__main__':
    found = check(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else '.').resolve())
    print('\n'.join(found) or 'docs: ok')
    sys.exit(1 if found else 0)
