package import ZooKeeper

/// What caches of one znode show, and what really happened to it.
package enum CacheAction: Sendable, Hashable {
    /// A version of the znode, or that there is none.
    package enum State: Sendable, Hashable {
        case absent
        case present(czxid: ZXID, mzxid: ZXID)
    }

    /// The cache of this process showed a state.
    case saw(State)
    /// The cache of this process is closed; it owes nothing more.
    case closed
    /// The truth, recorded when the transaction was committed.
    case created(ZXID)
    case changed(ZXID)
    case deleted(ZXID)
}

/// Judges caches of one znode, one cache a process, against the truth.
///
/// It promises to find: a state that is older than one seen before by the same cache; a state that did not exist, or not yet; a
/// state that gives a new node's content to the node before it; and a cache, not closed, whose last state is not that of the
/// znode. Versions may be left out. The znode is absent before the first entry of truth.
///
/// It cannot see a cache that never showed anything, nor which of several absences was seen: it takes the earliest possible.
/// The history must go on until the caches have had the time to hear of the last change.
package struct CacheChecker: HistoryChecker {
    package static let order = "A cache never goes back"
    package static let truth = "Every state seen existed by then"
    package static let identity = "A node created again is seen as another one"
    package static let completeness = "The last state is seen in the end"

    package init() {}

    package func violations(in history: [HistoryEntry<CacheAction>]) -> [Violation] {
        var timeline = CacheTimeline()
        for entry in chronology(of: history) { timeline.add(history[entry], entry) }
        return timeline.completed().inOrder()
    }
}

private struct CacheTimeline {
    private typealias State = CacheAction.State

    /// How far a cache has come.
    private struct Cache {
        var process: String
        var version: Int
        var entry: Int
        /// The last entry of truth before it.
        var truth: Int?
        var isOpen = true
    }

    /// All versions so far, in order.
    private var versions: [State] = [.absent]
    /// The version that a transaction made.
    private var versionOfTransaction: [ZXID: Int] = [:]
    /// Versions at which the znode was absent.
    private var absences = [0]
    private var lastTruth: Int?
    private var caches: [Cache] = []
    private var indices: [ZNodeName: Int] = [:]
    private var violations: [Violation] = []

    mutating func add(_ deed: HistoryEntry<CacheAction>, _ entry: Int) {
        switch deed.action {
        case .saw(let state): see(state, deed, entry)
        case .closed:
            guard let index = indices.removeValue(forKey: deed.process) else { return }
            caches[index].isOpen = false
        case .created(let zxid): append(.present(czxid: zxid, mzxid: zxid), zxid, entry)
        case .changed(let zxid):
            guard case .present(let czxid, _) = versions.last else { return }
            append(.present(czxid: czxid, mzxid: zxid), zxid, entry)
        case .deleted(let zxid):
            absences.append(versions.count)
            append(.absent, zxid, entry)
        }
    }

    private mutating func append(_ state: State, _ zxid: ZXID, _ entry: Int) {
        versionOfTransaction[zxid] = versions.count
        versions.append(state)
        lastTruth = entry
    }

    private mutating func see(_ state: State, _ deed: HistoryEntry<CacheAction>, _ entry: Int) {
        let known = indices[deed.process]
        let before = known.map { caches[$0] }
        guard let version = version(of: state, from: before?.version ?? 0, deed, entry) else { return }
        if let before, version < before.version {
            report(CacheChecker.order, deed, "after \(versions[before.version])", [before.entry, entry])
            return
        }
        let cache = Cache(process: deed.process, version: version, entry: entry, truth: lastTruth)
        if let known {
            caches[known] = cache
        } else {
            indices[deed.process] = caches.count
            caches.append(cache)
        }
    }

    /// The version that a state is, for an absence the first at or after `start` if there is one; `nil` if it never was.
    private mutating func version(
        of state: State, from start: Int, _ deed: HistoryEntry<CacheAction>, _ entry: Int
    ) -> Int? {
        guard case .present(_, let mzxid) = state else {
            let next = absences.partitioningIndex { $0 >= start }
            return next < absences.count ? absences[next] : absences.last
        }
        guard let version = versionOfTransaction[mzxid], case .present = versions[version] else {
            report(CacheChecker.truth, deed, "which was not", [entry])
            return nil
        }
        guard versions[version] == state else {
            report(CacheChecker.identity, deed, "which was \(versions[version])", [entry])
            return nil
        }
        return version
    }

    private mutating func report(
        _ rule: String, _ deed: HistoryEntry<CacheAction>, _ comparison: String, _ entries: [Int]
    ) {
        let detail = "\(deed.process): \(deed.action), \(comparison), at \(deed.time.inSeconds)"
        violations.append(Violation(rule: rule, detail: detail, entries: entries))
    }

    /// All violations, with those of caches that have not seen the last state.
    func completed() -> [Violation] {
        guard let last = versions.last else { return violations }
        return violations
            + caches.filter { $0.isOpen && versions[$0.version] != last }.map { cache in
                Violation(
                    rule: CacheChecker.completeness,
                    detail: "\(cache.process) saw \(versions[cache.version]) last, the last was \(last)",
                    entries: shown(by: cache))
            }
    }
}

extension CacheTimeline {
    /// What a cache saw last and the last truth, in order of time.
    private func shown(by cache: Cache) -> [Int] {
        guard let lastTruth else { return [cache.entry] }
        return cache.truth == lastTruth ? [lastTruth, cache.entry] : [cache.entry, lastTruth]
    }
}

extension [Int] {
    /// The index of the first element for which a condition holds that, once it holds, holds for all that follow.
    fileprivate func partitioningIndex(where holds: (Int) -> Bool) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if holds(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}

extension CacheAction.State: CustomStringConvertible {
    package var description: String {
        switch self {
        case .absent: "absent"
        case .present(let czxid, let mzxid): "present (czxid \(czxid), mzxid \(mzxid))"
        }
    }
}
