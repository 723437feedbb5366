"""For all tests: Ctrl-C works in them, however they were started."""

import signal

# A shell that starts them in the background has it ignored, and every process they start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
