"""What a process used."""
import resource
import subprocess
import sys


def peak_gb():
    """Largest resident memory; ru_maxrss counts KiB on Linux and bytes on macOS."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9


class GpuMemory:
    """The first NVIDIA GPU's memory in use from now on, read 50 times a second."""

    def __init__(self):
        query = ["nvidia-smi", "--id=0", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
        self.before = int(subprocess.check_output(query, text=True))
        self.watch = subprocess.Popen([*query, "--loop-ms=20"], stdout=subprocess.PIPE, text=True)

    def peak_gb(self):
        """Most of it beyond what was in use at first; ends the reading."""
        self.watch.terminate()
        found = [int(line) for line in self.watch.communicate()[0].split()]
        return (max(found, default=self.before) - self.before) * 2**20 / 1e9
