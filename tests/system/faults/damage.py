"""Bytes that change where they lie, as on a bad disk."""

import contextlib
import os
import signal
import subprocess
import time

# Renames of a process are held back for so long that what it staged can be reached.
HELD_SECONDS = .3
HELD_CALLS = "rename,renameat,renameat2"
FINISHED = 0o444  # the mode of a staged file whose bytes are all there


def flip(path, draw):
    """Flips one bit of a file; False when there is none."""
    with contextlib.suppress(FileNotFoundError):
        size = path.stat().st_size
        if size == 0:
            return False
        with open(path, "r+b") as file:
            offset = draw.randrange(size)
            file.seek(offset)
            byte = file.read(1)[0]
            file.seek(offset)
            file.write(bytes([byte ^ (1 << draw.randrange(8))]))
        return True
    return False


def flip_staged(staging, pids, draw, patience):
    """Flips a bit of what one of the processes has staged and not yet renamed; False when they staged nothing in
    `patience` seconds."""
    held = int(HELD_SECONDS * 1e6)
    attach = [word for pid in pids for word in ("-p", str(pid))]
    tracer = subprocess.Popen(["strace", "-f", "-qq", *attach, "-e", f"trace={HELD_CALLS}",
                               "-e", f"inject={HELD_CALLS}:delay_enter={held}"],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if any(flip(path, draw) for path in _finished(staging)):
                return True
            time.sleep(.005)
        return False
    finally:
        # Detaches; a tracer that is killed would leave no trace either, but its tracees stopped.
        tracer.send_signal(signal.SIGINT)
        tracer.wait(timeout=60)


def _finished(staging):
    with contextlib.suppress(FileNotFoundError):
        for path in staging.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if os.stat(path).st_mode & 0o777 == FINISHED:
                    yield path


def flip_object(store, draw):
    """Flips a bit of a committed object; False when there is none."""
    objects = sorted(path for path in (store / "objects" / "sha256").glob("*/*"))
    return bool(objects) and flip(draw.choice(objects), draw)
