#!/usr/bin/env python3
"""A processor that is ended for each window and started again after it.

    zkrecipes exclusive gate /orders -- ./restarted_worker.py

SIGTERM asks it to end. It finishes the event that it processes, within --grace.
"""

import os
import signal
import time

TOKEN = os.environ["ZK_FENCING_TOKEN"]  # the same until this process ends
stopping = False


def stop(*_):
    global stopping
    stopping = True


signal.signal(signal.SIGTERM, stop)
while not stopping:
    print(f"an order, token {TOKEN}", flush=True)
    time.sleep(0.02)
print("finished", flush=True)
