"""Runs a person's factory once, alone in a process of its own: `python trial.py FILE NAME`. Imports nothing of ours.

How it went is on the last line of stdout, behind MARK; what the person's file prints goes to stderr.
"""

import contextlib
import importlib.util
import json
import sys
import traceback
from pathlib import Path

MARK = "oneblock-trial: "


def run(path: Path, name: str) -> dict[str, str]:
    """Execute the file and call what it is asked for; {} or what went wrong, with the last line of its own."""
    said: dict[str, str] = {}
    try:
        spec = importlib.util.spec_from_file_location(f"_doctor_{path.stem}", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        factory = getattr(module, name, None)
        if callable(factory) and not hasattr(factory, "parameters"):
            factory()
    except SystemExit as end:
        said = {"error": f"called sys.exit({end.code!r})", "line": own_line(end, path)}
    except BaseException as error:
        words = str(error).strip().splitlines()
        said = {"error": f"raised {type(error).__name__}: {words[-1] if words else ''}", "line": own_line(error, path)}
    return said


def own_line(error: BaseException, path: Path) -> str:
    """The last line of a traceback that stands in the person's own file."""
    if isinstance(error, SyntaxError) and error.filename and Path(error.filename).name == path.name:
        return f"line {error.lineno}: {(error.text or '').strip()}"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).name == path.name]
    return f"line {frames[-1].lineno}: {frames[-1].line}" if frames else ""


if __name__ == "__main__":
    sys.path.insert(0, str(Path(sys.argv[1]).resolve().parent))
    with contextlib.redirect_stdout(sys.stderr):
        result = run(Path(sys.argv[1]), sys.argv[2])
    sys.stdout.write(MARK + json.dumps(result) + "\n")
    sys.stdout.flush()
