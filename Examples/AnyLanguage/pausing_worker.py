#!/usr/bin/env python3
"""A processor that pauses for windows without being restarted.

    zkrecipes exclusive gate /orders --on-pause signal:USR1,USR2 -- ./pausing_worker.py

SIGUSR1 asks it to pause and SIGUSR2 to resume. It answers with a line on the descriptor ZKRECIPES_ACK_FD.
"""

import os
import signal
import struct
import sys
import time

ACKNOWLEDGEMENTS = int(os.environ["ZKRECIPES_ACK_FD"])
VALIDITY = int(os.environ["ZKRECIPES_VALIDITY_FD"])
pause_requested = False


def request_pause(*_):
    global pause_requested
    pause_requested = True


def validity():
    """The end of the permit in nanoseconds of CLOCK_BOOTTIME (0 while paused), and the fencing token."""
    return struct.unpack("=qq", os.pread(VALIDITY, 16, 0))


def process_next_event():
    until, token = validity()
    if time.clock_gettime_ns(time.CLOCK_BOOTTIME) < until:
        print(f"an order, token {token}", flush=True)  # the store refuses tokens lower than the highest it has seen
    time.sleep(0.02)


# The handler must not answer itself, because it can interrupt an event. SIGUSR2 stays blocked until sigwait takes it.
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
signal.signal(signal.SIGUSR1, request_pause)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
while True:
    process_next_event()
    if pause_requested:
        pause_requested = False
        os.write(ACKNOWLEDGEMENTS, b"paused\n")
        signal.sigwait({signal.SIGUSR2})
        os.write(ACKNOWLEDGEMENTS, b"resumed\n")
