"""What a process used."""
import resource
import sys


def peak_gb():
    """Largest resident memory; ru_maxrss counts KiB on Linux and bytes on macOS."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9
