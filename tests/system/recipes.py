"""The recipes of docs/operations.md: the blocks of each section of "When something happens", and running them."""

import os
import pathlib
import re
import signal
import subprocess

import cluster as clusters

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "operations.md"
BLOCK = re.compile(r"^```sh (shows|do|over)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def sections():
    """{title: [(kind, commands), ...]} of the sections that have commands, in the order of the page."""
    page = PAGE.read_text(encoding="utf-8")
    part = re.search(r"^## When something happens\n(.*?)(?=^## )", page, re.MULTILINE | re.DOTALL).group(1)
    found = {}
    for section in re.split(r"^### ", part, flags=re.MULTILINE)[1:]:
        title = section.partition("\n")[0]
        found[title] = BLOCK.findall(section)
    return found


class Recipe:
    """Runs the blocks of one section, each once and in order, as a shell in `folder` would."""

    def __init__(self, title, folder):
        self.blocks = list(sections()[title])
        self.folder = folder
        self.variables = {}
        self.groups = []

    def set(self, **variables):
        self.variables.update({name: str(value) for name, value in variables.items()})

    def _run(self, commands):
        """The exit code and what was printed."""
        output = self.folder / "output.txt"
        path = f"{self.folder}:{clusters.BIN}:{os.environ['PATH']}"
        with open(output, "wb") as file:
            # Into a file: what goes on in the background keeps the shell's output open.
            shell = subprocess.Popen(["bash", "-c", "set -o pipefail\n" + commands], stdin=subprocess.DEVNULL,
                                     stdout=file, stderr=file, cwd=self.folder, start_new_session=True,
                                     env={**clusters.ENVIRONMENT, **self.variables, "PATH": path})
            code = shell.wait(timeout=clusters.PATIENCE)
        if re.search(r" &$", commands, re.MULTILINE):
            self.groups.append(shell.pid)
        return code, output.read_text(errors="replace")

    def _next(self, kind):
        assert self.blocks and self.blocks[0][0] == kind, (kind, self.blocks)
        return self.blocks.pop(0)[1]

    def shows(self, code=0):
        """What the next block prints; it must exit with `code`."""
        found, printed = self._run(self._next("shows"))
        assert found == code, (found, printed)
        return printed

    def do(self):
        found, printed = self._run(self._next("do"))
        assert found == 0, (found, printed)
        return printed

    def over(self, code=0):
        """Runs the next block until it exits with `code`: it may take a while until the thing is over."""
        commands = self._next("over")
        seen = []

        def is_over():
            seen[:] = self._run(commands)
            return seen[0] == code

        clusters.wait_for(is_over, f"the end of this: {commands}", pause=.2)
        return seen[1]

    def stop(self):
        """Ends what the blocks started."""
        for group in self.groups:
            for signal_ in (signal.SIGCONT, signal.SIGKILL):
                try:
                    os.killpg(group, signal_)
                except ProcessLookupError:
                    break
