"""`python -m oneblock` is the `oneblock` command."""

import sys

from oneblock.cli.entry import main

sys.exit(main())
