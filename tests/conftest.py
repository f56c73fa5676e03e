"""What holds for every test: the signals are those of a terminal, whoever started the tests."""

import signal

# A shell starts what runs in its background with SIGINT ignored, and every child would inherit that: Ctrl-C could
# not be tried, and a program that is to be ended by SIGINT would not end.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
