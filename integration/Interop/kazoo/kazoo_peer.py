"""A process that uses kazoo as it is told: one command a line on standard input, one answer a line.

    python kazoo_peer.py CONNECTION SESSION_MS NAME

../README.md says what the commands, the answers and the evidence look like; all peers speak alike.
"""

import logging
import os
import queue
import random
import sys
import threading
import time

import kazoo.version
from kazoo.client import KazooClient
from kazoo.recipe.lock import Lock, ReadLock, WriteLock

# kazoo's own names and Curator's exclude nothing between them. Other names are all it takes.


class CuratorMutex(Lock):
    _NODE_NAME = "-lock-"
    _EXCLUDE_NAMES = ["lock-"]


class CuratorWriteLock(WriteLock):
    _NODE_NAME = "__WRIT__"
    _EXCLUDE_NAMES = ["__WRIT__", "__READ__"]


class CuratorReadLock(ReadLock):
    _NODE_NAME = "__READ__"
    _EXCLUDE_NAMES = ["__WRIT__"]


KINDS = {"mutex": CuratorMutex, "write": CuratorWriteLock, "read": CuratorReadLock}

connection, session_timeout, name = sys.argv[1], int(sys.argv[2]) / 1000, sys.argv[3]
# That a connection is lost is no news here: servers and peers are killed.
logging.getLogger("kazoo").addHandler(logging.NullHandler())
clients = {}
tickets = {}
output = threading.Lock()


def say(line):
    with output:
        os.write(1, (line + "\n").encode())


def tell(who, deed):
    """Tells what was done at this instant."""
    say(f"~ {time.monotonic_ns()} {who} {deed}")


def client(number):
    """The client of a contender of this process: each has a session of its own."""
    if number not in clients:
        clients[number] = KazooClient(hosts=connection, timeout=session_timeout)
        clients[number].start(timeout=20)
    return clients[number]


class Grant:
    """A lock that is held, and its token: the creation of the own znode, which grows along the queue."""

    def __init__(self, kind, path, number, who):
        self.who, self.kind = who, "read" if kind == "read" else "write"
        self.lock = KINDS[kind](client(number), path, who)
        self.lock.acquire()
        self.token = client(number).exists(f"{path}/{self.lock.node}").czxid
        tell(who, f"began {self.token} {self.kind}")
        tell(who, f"acted {self.token} valid")

    def release(self):
        tell(self.who, f"acted {self.token} valid")
        tell(self.who, f"ended {self.token}")
        self.lock.release()


def contend(kind, path, number, times, start):
    who = f"{name}.{number}"
    chance = random.Random(number)
    start.wait()
    for _ in range(times):
        mine = kind
        if kind == "read-write":
            mine = "write" if chance.randrange(3) == 0 else "read"
        grant = Grant(mine, path, number, who)
        time.sleep(0)
        grant.release()


def loop(kind, path, contenders, times):
    """Contenders that take and give back, over and over."""
    for number in range(contenders):
        client(number)
    start = threading.Barrier(contenders)
    failures = queue.Queue()

    def run(number):
        try:
            contend(kind, path, number, times, start)
        except BaseException as failure:
            failures.put(failure)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(contenders)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if not failures.empty():
        raise failures.get()
    return str(contenders * times)


def perform(verb, words):
    if verb == "loop":
        return loop(words[0], words[1], int(words[2]), int(words[3]))
    if verb == "take":
        tickets[words[0]] = Grant(words[1], words[2], 0, f"{name}/{words[0]}")
        return str(tickets[words[0]].token)
    if verb == "give":
        tickets.pop(words[0]).release()
        return ""
    raise ValueError("no such command")


def answer(words):
    try:
        say(f"{words[0]} ok {perform(words[1], words[2:])}".rstrip())
    except BaseException as failure:
        say(f"{words[0]} error {failure!r}".replace("\n", " "))


client(0)
say(f"0 ok {kazoo.version.__version__}")
for line in sys.stdin:
    # A thread for each command: what waits must not keep the next command waiting.
    threading.Thread(target=answer, args=(line.split(),), daemon=True).start()
os._exit(0)
