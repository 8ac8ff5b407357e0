"""The lines of zkbench with kazoo: python bench.py CONNECT LINE [ARGUMENTS]; ../../README.md explains the keys.

Contenders and processors are processes, because the threads of one process share one interpreter lock.
"""

import ctypes
import json
import logging
import multiprocessing
import os
import queue
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid

from kazoo.client import KazooClient

CONNECT = sys.argv[1] if len(sys.argv) > 1 else ""
SESSION = int(os.environ.get("SESSION_MS", 10_000)) / 1000
FAILOVER = int(os.environ.get("FAILOVER_MS", 2_000))
PERCENTILES = (0, 10, 25, 50, 75, 90, 95, 98, 99, 99.5, 99.9, 100)
fork = multiprocessing.get_context("fork")
now = time.monotonic_ns
logging.getLogger("kazoo").addHandler(logging.NullHandler())


def connect(timeout=SESSION):
    client = KazooClient(hosts=CONNECT, timeout=timeout)
    client.start(timeout=60)
    return client


def close(client):
    client.stop()
    client.close()


def many_connected(count):
    clients = [KazooClient(hosts=CONNECT, timeout=max(SESSION, 30)) for _ in range(count)]
    for started in [client.start_async() for client in clients]:
        started.wait(60)
    return clients


def fresh_path(what):
    return f"/kazoo-{what}-{uuid.uuid4().hex[:12]}"


def packets():
    total = 0
    for server in CONNECT.split(","):
        host, port = server.split(":")
        with socket.create_connection((host, int(port)), 10) as connection:
            connection.sendall(b"mntr")
            answer = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
        total += next(int(line.split("\t")[1]) for line in answer.splitlines() if line.startswith("zk_packets_received\t"))
    return total


def packets_since(before):
    return packets() - before - len(CONNECT.split(","))


def percentile(ordered, percent):
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] / 1000 if ordered else 0


def latencies(values, prefix=""):
    ordered = sorted(values)
    return {f"{prefix}{name}_us": round(percentile(ordered, percent), 2) for name, percent in
            (("p50", 50), ("p99", 99), ("max", 100))}


def report(line, **fields):
    print(json.dumps({"peer": "kazoo", "cmd": line, **fields}), flush=True)


def spawn(target, *arguments):
    """Starts a process that ends with this one."""

    def body():
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
        target(*arguments)

    process = fork.Process(target=body)
    process.start()
    return process


def until(condition, interval=0.001):
    while not condition():
        time.sleep(interval)


# Requests of the client


def get(depth, count=None):
    requests(depth, count, "get", lambda client, path: client.create(path, b"0123456789"),
             lambda client, path, done: client.get_async(path).rawlink(done))


def create_delete(depth, count=None):
    def pair(client, path, done):
        client.create_async(path + "/n-", ephemeral=True, sequence=True).rawlink(
            lambda created: client.delete_async(created.get()).rawlink(done))

    requests(depth, count, "create-delete", lambda client, path: client.create(path), pair)


def requests(depth, count, line, prepare, request):
    depth = int(depth)
    count = int(count or (5_000 if depth == 1 else 20_000)) // depth * depth
    client, path = connect(), fresh_path(line)
    prepare(client, path)

    def rounds(times):
        left, values, finished = [times - depth, depth], [], threading.Event()

        def send():
            start = now()

            def done(answer):
                answer.get()
                values.append(now() - start)
                if left[0] > 0:
                    left[0] -= 1
                    send()
                else:
                    left[1] -= 1
                    if left[1] == 0:
                        finished.set()

            request(client, path, done)

        for _ in range(depth):
            send()
        finished.wait()
        return values

    rounds(max(depth, count // 4))
    before, start = packets(), now()
    values = rounds(count)
    seconds = (now() - start) / 1e9
    report(line, depth=depth, n=count, ops_s=round(count / seconds, 3), **latencies(values),
           req_per_op=round(packets_since(before) / count, 3))
    close(client)


def memory(count):
    def status():
        with open("/proc/self/status") as file:
            fields = dict(line.split(":", 1) for line in file)
        return int(fields["VmRSS"].split()[0]) * 1024, int(fields["Threads"])

    first, before = connect(), status()
    clients = many_connected(int(count))
    for client in clients:
        client.exists("/")
    time.sleep(0.5)
    after = status()
    report("memory", clients=len(clients), bytes_client=round((after[0] - before[0]) / len(clients)),
           threads_client=round((after[1] - before[1]) / len(clients), 3), base_bytes=before[0])
    for client in [*clients, first]:
        close(client)


# Locks


def uncontended(line, count, how="reused"):
    """`fresh` creates the lock for each turn, as kazoo's documentation does."""
    count, client, path = int(count), connect(), fresh_path(line)
    make = (lambda: client.Lock(path, "bench")) if line == "mutex" else (lambda: client.ReadLock(path, "bench"))
    lock = make()
    both, acquisitions = [], []
    for turn in range(-max(50, min(count // 2, 500)), count):
        if turn == 0:
            before, begun = packets(), now()
        start = now()
        if how == "fresh":
            lock = make()
        lock.acquire()
        held = now()
        lock.release()
        if turn >= 0:
            both.append(now() - start)
            acquisitions.append(held - start)
    seconds = (now() - begun) / 1e9
    report(line, how=how, n=count, ops_s=round(count / seconds, 3), **latencies(both),
           **latencies(acquisitions, "acquire_"), req_per_op=round(packets_since(before) / count, 3))
    close(client)


def contender(number, count, warm_up, path, shared, barrier, results, client=None):
    own = client or connect(max(SESSION, 30))
    lock, values = own.Lock(path, str(number)), []
    state, counts, at_first_end = shared
    for times, measured in ((warm_up, False), (count, True)):
        barrier.wait()
        for _ in range(times):
            lock.acquire()
            held = now()
            state["holders"].value += 1
            state["violations"].value += state["holders"].value != 1
            if measured:
                if state["last"].value == number:
                    state["repeated"].value += 1
                elif state["last"].value >= 0:
                    values.append(held - state["released"].value)
                state["last"].value = number
                counts[number] += 1
                if counts[number] == count and not any(at_first_end):
                    at_first_end[:] = counts[:]
            state["holders"].value -= 1
            state["released"].value = now()
            lock.release()
        barrier.wait()
    results.put(values)
    barrier.wait()
    if client is None:
        close(own)


def handoff(contenders, count, sessions="own"):
    contenders, count, path = int(contenders), int(count), fresh_path("handoff")
    # Plain memory, guarded by the lock that is measured.
    state = {name: fork.RawValue("q", -1 if name == "last" else 0)
             for name in ("holders", "violations", "last", "repeated", "released")}
    shared = state, fork.RawArray("q", contenders), fork.RawArray("q", contenders)
    warm_up = max(2, 100 // contenders)
    if sessions == "own":
        barrier, results, client = fork.Barrier(contenders + 1), fork.SimpleQueue(), None
    else:
        barrier, results, client = threading.Barrier(contenders + 1), queue.SimpleQueue(), connect(max(SESSION, 30))
    workers = []
    for number in range(contenders):
        arguments = number, count, warm_up, path, shared, barrier, results
        if client:
            workers.append(threading.Thread(target=contender, args=(*arguments, client)))
            workers[-1].start()
        else:
            workers.append(spawn(contender, *arguments))
    barrier.wait()
    barrier.wait()
    before, start = packets(), now()
    barrier.wait()
    barrier.wait()
    seconds, sent = (now() - start) / 1e9, packets_since(before)
    values = sorted(sum((results.get() for _ in workers), []))
    barrier.wait()
    for worker in workers:
        worker.join()
    total = contenders * count
    report("handoff", sessions=1 if client else contenders, p=contenders, n=count, ops_s=round(total / seconds, 3),
           **latencies(values), percentiles_us=[round(percentile(values, percent), 2) for percent in PERCENTILES],
           fairness_max=max(shared[2]), fairness_min=min(shared[2]), self_handoffs=state["repeated"].value,
           violations=state["violations"].value, req_per_op=round(sent / total, 3))


# Leadership


def say(word):
    print(word, now(), flush=True)


def candidate(path, name):
    client, closing = connect(FAILOVER / 1000), threading.Event()
    election = client.Election(path, name)

    def lead():
        say("LEADER")
        closing.wait()

    running = threading.Thread(target=election.run, args=(lead,), daemon=True)
    running.start()
    until(lambda: name in election.contenders(), 0.01)
    time.sleep(0.1)
    say("READY")
    sys.stdin.readline()
    say("CLOSING")
    closing.set()
    running.join(10)
    close(client)
    say("CLOSED")
    os._exit(0)


class Candidate:
    def __init__(self, path, name):
        self.process = subprocess.Popen([sys.executable, __file__, CONNECT, "candidate", path, name], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def time(self, word):
        """Waits for an event; earlier ones of other kinds are kept."""
        self.seen = getattr(self, "seen", {})
        while word not in self.seen:
            event, at = self.process.stdout.readline().split()
            self.seen[event] = int(at)
        return self.seen[word]


def leader_failover(rounds):
    for how in ("kill", "close"):
        path, values = fresh_path("leader"), []
        leader = Candidate(path, "c0")
        leader.time("LEADER")
        for number in range(int(rounds)):
            following = Candidate(path, f"c{number + 1}")
            following.time("READY")
            time.sleep(random.uniform(0.3, 1))
            if how == "kill":
                start = now()
                leader.process.kill()
            else:
                leader.process.stdin.write("close\n")
                leader.process.stdin.flush()
                start = leader.time("CLOSING")
            values.append(following.time("LEADER") - start)
            leader.process.wait()
            leader = following
        leader.process.kill()
        values.sort()
        report("leader-failover", kind="election", how=how, session_ms=FAILOVER, rounds=len(values),
               p50_ms=round(percentile(values, 50) / 1000, 3), min_ms=round(values[0] / 1e6, 3),
               max_ms=round(values[-1] / 1e6, 3))


# Caches


class Sightings:
    """Waits until a number of watches have seen a version."""

    def __init__(self, watches):
        self.seen, self.expected, self.left = [-1] * watches, 0, watches
        self.lock, self.complete, self.last = threading.Lock(), threading.Event(), 0

    def expect(self, version):
        with self.lock:
            self.expected, self.left = version, len(self.seen)
            self.complete.clear()

    def watch(self, number):
        def changed(data, stat):
            at, version = now(), stat.version if stat else -1
            with self.lock:
                earlier, self.seen[number] = self.seen[number], version
                if earlier < self.expected <= version:
                    self.left -= 1
                    if self.left == 0:
                        self.last = at
                        self.complete.set()

        return changed


def caches(line, watches, count, connections, warm_up, **fields):
    writer, path, sightings = connect(), fresh_path("cache"), Sightings(watches)
    clients = many_connected(connections)
    writer.create(path, b"0")
    for number in range(watches):
        clients[number % connections].DataWatch(path, sightings.watch(number))
    sightings.complete.wait(60)
    values, writes, missed = [], [], 0
    for turn in range(-warm_up, count):
        if turn == 0:
            before, begun = packets(), now()
        sightings.expect(turn + warm_up + 1)
        start = now()
        writer.set(path, str(turn).encode())
        written = now()
        if not sightings.complete.wait(10):
            missed += 1
        elif turn >= 0:
            values.append(sightings.last - start)
            writes.append(written - start)
    seconds, sent = (now() - begun) / 1e9, packets_since(before)
    report(line, kind="datawatch", **fields, n=count, ops_s=round(count / seconds, 3), **latencies(values),
           **latencies(writes, "set_"), req_per_op=round(sent / count, 3), missed=missed)
    for client in [*clients, writer]:
        close(client)


def nodecache(count):
    caches("nodecache", 1, int(count), 1, max(50, min(int(count) // 2, 300)))


def nodecache_fan(watches, count, sessions="own"):
    sessions = int(watches) if sessions == "own" else 1
    caches("nodecache-fan", int(watches), int(count), sessions, max(5, int(count) // 4), caches=int(watches),
           sessions=sessions)


# Exclusive mode: processors hold a read lock and watch a signal


class Board:
    """Counters that all processes share."""

    def __init__(self, processors):
        self.events, self.resumed = fork.RawArray("q", processors), fork.RawArray("q", processors)
        self.operation, self.stop, self.violations = (fork.RawValue("q", 0) for _ in range(3))


def processor(number, base, tight, board):
    client = connect(max(SESSION, 30))
    lock, paused, open_again = client.ReadLock(base + "/lock", str(number)), [False], threading.Event()

    def changed(data, stat):
        paused[0] = stat is not None
        (open_again.clear if paused[0] else open_again.set)()

    client.DataWatch(base + "/signal", changed)
    lock.acquire()
    events, is_first = 0, True
    while not board.stop.value:
        if paused[0]:
            lock.release()
            while not open_again.wait(0.2) and not board.stop.value:
                pass
            lock.acquire()
            is_first = True
            continue
        if board.operation.value:
            board.violations.value += 1
        if is_first:
            board.resumed[number], is_first = now(), False
        for _ in range(256):
            if paused[0]:
                break
            events += 1
        board.events[number] = events
        if not tight:
            # With more than 50 processors, wake-ups every 1 ms would use all cores.
            time.sleep(max(0.001, 20e-6 * len(board.events)))
    lock.release()
    close(client)


def exclusive(processors, rounds, pace="paced", *_):
    processors, rounds, base = int(processors), int(rounds), fresh_path("exclusive")
    board = Board(processors)
    children = [spawn(processor, number, base, pace == "tight", board) for number in range(processors)]
    until(lambda: all(board.resumed), 0.01)
    client = connect(max(SESSION, 30))
    lock = client.WriteLock(base + "/lock", "operator")
    time.sleep(0.5)
    before, start, events = packets(), now(), sum(board.events)
    time.sleep(3)
    seconds, events = (now() - start) / 1e9, sum(board.events) - events
    steady = packets_since(before)
    pauses, resumes, pause_requests, resume_requests = [], [], [], []
    for turn in range(-max(2, rounds // 4), rounds):
        before = packets()
        requested = now()
        client.create(base + "/signal", ephemeral=True)
        lock.acquire()
        opened = now()
        board.operation.value = 1
        time.sleep(0.1)
        board.operation.value = 0
        between = packets()
        lock.release()
        ended = now()
        client.delete(base + "/signal")
        until(lambda: min(board.resumed) >= ended)
        last = max(board.resumed)
        time.sleep(0.1)
        after = packets()
        if turn >= 0:
            pauses.append(opened - requested)
            resumes.append(last - ended)
            pause_requests.append(between - before - 1)
            resume_requests.append(after - between - 1)
    board.stop.value = 1
    for child in children:
        child.join(20)
    report("exclusive", c=processors, pace=pace, rounds=rounds, events_s=round(events / seconds),
           steady_req_s=round(steady / seconds, 3), **latencies(pauses, "pause_"), **latencies(resumes, "resume_"),
           req_pause=sorted(pause_requests)[rounds // 2], req_resume=sorted(resume_requests)[rounds // 2],
           violations=board.violations.value)
    close(client)


def naive_processor(number, path, board):
    client = connect(max(SESSION, 30))
    lock = client.ReadLock(path, str(number))
    board.resumed[number] = 1
    while not board.stop.value:
        lock.acquire()
        board.events[number] += 1
        lock.release()
    close(client)


def exclusive_naive(processors, seconds):
    processors, path = int(processors), fresh_path("naive")
    board = Board(processors)
    children = [spawn(naive_processor, number, path, board) for number in range(processors)]
    until(lambda: all(board.resumed), 0.01)
    time.sleep(1.5)
    before, start, events = packets(), now(), sum(board.events)
    time.sleep(int(seconds))
    events, seconds = sum(board.events) - events, (now() - start) / 1e9
    sent = packets_since(before)
    board.stop.value = 1
    for child in children:
        child.join(20)
    report("exclusive-naive", c=processors, events_s=round(events / seconds, 3), req_s=round(sent / seconds, 3),
           req_per_op=round(sent / max(1, events), 3))


LINES = {
    "get": get,
    "create-delete": create_delete,
    "memory": memory,
    "mutex": lambda *arguments: uncontended("mutex", *arguments),
    "rwlock-read": lambda *arguments: uncontended("rwlock-read", *arguments),
    "handoff": handoff,
    "leader-failover": leader_failover,
    "candidate": candidate,
    "nodecache": nodecache,
    "nodecache-fan": nodecache_fan,
    "exclusive": exclusive,
    "exclusive-naive": exclusive_naive,
}

if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[2] not in LINES:
        sys.exit(f"usage: bench.py CONNECT LINE [ARGUMENTS]; the lines are {', '.join(LINES)}")
    LINES[sys.argv[2]](*sys.argv[3:])
