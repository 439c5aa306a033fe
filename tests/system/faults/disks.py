"""Small file systems that are filled and freed."""

import contextlib
import pathlib
import subprocess
import threading


class SmallDisk:
    """A tmpfs of `megabytes` at `folder`."""

    def __init__(self, folder, megabytes):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "caldera-test", self.folder], check=True)

    @contextlib.contextmanager
    def full(self):
        """No room inside; what others free is taken at once."""
        filler = self.folder / "filler"
        done = threading.Event()
        with open(filler, "ab", buffering=0) as file:
            self._fill(file)
            thread = threading.Thread(target=self._keep_full, args=(file, done))
            thread.start()
            try:
                yield
            finally:
                done.set()
                thread.join()
                filler.unlink()

    def _keep_full(self, file, done):
        while not done.wait(.02):
            self._fill(file)

    @staticmethod
    def _fill(file):
        block = bytes(1 << 16)
        with contextlib.suppress(OSError):
            while file.write(block) == len(block):
                pass

    def unmount(self):
        subprocess.run(["umount", "-l", self.folder], check=True)
