"""A process that runs the command again and again, each time in a child: torch is imported once for all of them.

A line of JSON on stdin starts one: arguments, folder, environment, files for stdout and stderr, a limit on file sizes.
Answers: its process id, then its exit status (minus the signal's number where a signal ended it).
"""

import json
import os
import resource
import sys
import traceback

import torch

from oneblock.cli import train
from oneblock.cli.main import main
from oneblock.train import session

assert train
torch.set_num_threads(1)
# Measuring the machine takes a second each time and is proved elsewhere.
session.matrix_peak = lambda *of: 1e12
session.SAMPLE_TOKENS = 23


def live(order: dict) -> None:
    for descriptor, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(order[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    os.chdir(order["folder"])
    os.environ.update(order["environment"])
    if order["largest_file"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (order["largest_file"],) * 2)
    sys.argv = ["oneblock", *order["arguments"]]
    try:
        status = main()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
        status = 70
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    print("ready", flush=True)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            live(json.loads(line))
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
