"""Starts the learner's process from this folder alone: `python -I …/child/__main__.py ORDERS ANSWERS TRACES PRELOAD`.

The folder is loaded as a package under a name of its own, so that nothing else of oneblock can be imported.
"""

import importlib
import importlib.util
import sys
from pathlib import Path

NAME = "_learner_desk"

if __name__ == "__main__":
    folder = Path(__file__).resolve().parent
    spec = importlib.util.spec_from_file_location(
        NAME, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None and spec.loader is not None
    sys.modules[NAME] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[NAME])
    importlib.import_module(f"{NAME}.serve").serve(*map(int, sys.argv[1:4]), *sys.argv[4:])
