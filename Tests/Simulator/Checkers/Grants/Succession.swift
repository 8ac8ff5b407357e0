internal import ZooKeeper

/// Watches an office that must not stay empty while somebody waits for it.
///
/// Fed in the order of time. Each stretch of emptiness is reported once.
struct Succession {
    private struct Waiter {
        var process: String
        var since: MonotonicInstant
        var entry: Int
    }

    /// Somebody waited longer than the bound at an empty office.
    struct Overdue {
        var process: String
        var since: MonotonicInstant
        var entries: [Int]
    }

    private let bound: Duration
    private var waiters: [Waiter] = []
    private var holders = 0
    private var emptySince: (time: MonotonicInstant, entry: Int)?
    private var isReported = false
    private(set) var overdue: [Overdue] = []

    init(bound: Duration) {
        self.bound = bound
    }

    mutating func waits(_ process: String, at time: MonotonicInstant, entry: Int) {
        guard !waiters.contains(where: { $0.process.hasBytes(of: process) }) else { return }
        waiters.append(Waiter(process: process, since: time, entry: entry))
    }

    mutating func stopsWaiting(_ process: String, at time: MonotonicInstant, entry: Int) {
        guard let index = waiters.firstIndex(where: { $0.process.hasBytes(of: process) }) else { return }
        judge(waiters[index], at: time, entry)
        waiters.remove(at: index)
    }

    mutating func taken(at time: MonotonicInstant, entry: Int) {
        observe(at: time, entry: entry)
        holders += 1
    }

    mutating func vacated(at time: MonotonicInstant, entry: Int) {
        holders -= 1
        guard holders == 0 else { return }
        emptySince = (time, entry)
        isReported = false
    }

    /// Judges everybody who waits, now.
    mutating func observe(at time: MonotonicInstant, entry: Int) {
        for waiter in waiters { judge(waiter, at: time, entry) }
    }

    private mutating func judge(_ waiter: Waiter, at time: MonotonicInstant, _ entry: Int) {
        guard holders == 0, !isReported else { return }
        var (since, from) = (waiter.since, waiter.entry)
        if let emptySince, emptySince.time > since { (since, from) = emptySince }
        guard time - since > bound else { return }
        isReported = true
        overdue.append(
            Overdue(process: waiter.process, since: since, entries: from == entry ? [entry] : [from, entry]))
    }
}

extension GrantLedger {
    /// For each position the number of grants that are over from there on.
    ///
    /// A grant that ended is over at its end, unless it had been silent for longer than `patience`: then, like one that never
    /// ended, at its last valid act.
    func ends(patience: Duration) -> [Int] {
        var ends = Array(repeating: 0, count: steps.count)
        for grant in grants {
            let last = max(grant.lastValid ?? grant.began, grant.began)
            if let closed = grant.closed, steps[closed].time - steps[last].time <= patience {
                ends[max(closed, last)] += 1
            } else {
                ends[last] += 1
            }
        }
        return ends
    }
}
