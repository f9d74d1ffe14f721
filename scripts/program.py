"""A completed program and its tests, run in a process of its own with little time and memory."""

import resource
import subprocess
import sys
import tempfile

TEST_SECONDS = 10
_MEMORY_BYTES = 1 << 30


def passes(program: str) -> bool:
    """Whether the Python text runs to its end."""
    nothing = subprocess.DEVNULL
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-I", "-c", program]
        process = subprocess.Popen(
            command, cwd=folder, preexec_fn=_limit_resources, stdin=nothing, stdout=nothing, stderr=nothing
        )
        try:
            return process.wait(TEST_SECONDS) == 0
        except subprocess.TimeoutExpired:
            return False
        finally:
            process.kill()
            process.wait()


def _limit_resources() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (TEST_SECONDS, TEST_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
