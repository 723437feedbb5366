"""Where the command begins. Nothing is loaded yet, so that Ctrl-C ends it in a word, however early it comes."""

from __future__ import annotations

# `signal` itself loads enum and half a dozen more; this is the part of it that Python has already.
import _signal
import os

STOPPED = 130


def main() -> int:
    """Run the command; gives the exit status."""
    # Where a shell has Ctrl-C ignored (`oneblock … &` in a script) it stays so.
    heard = _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler
    if heard:
        _signal.signal(_signal.SIGINT, _leave)
    from oneblock.cli.main import main as command

    def ready() -> None:
        if heard:
            _signal.signal(_signal.SIGINT, _signal.default_int_handler)

    try:
        return command(ready=ready)
    finally:
        if heard:
            _signal.signal(_signal.SIGINT, _leave)


def _leave(number: int, frame: object) -> None:
    """While modules are loaded an exception may be swallowed, or come out as another; there is nothing to save yet."""
    os.write(2, b"\nstopped\n")
    os._exit(STOPPED)
