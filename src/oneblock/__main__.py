"""`python -m oneblock` is the `oneblock` command."""

import sys

from oneblock.cli.main import main

sys.exit(main())
