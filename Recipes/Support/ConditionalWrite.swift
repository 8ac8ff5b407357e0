internal import ZooKeeper

/// The result of a write that was to replace one particular content of a znode.
enum ConditionalWriteResult {
    /// The write was executed; `nil` if its answer was lost, and what is there now is the write's.
    case written(ZNodeStat?)
    /// Somebody else has written first, and this write was not executed.
    case replaced
    /// The answer was lost, and the write may have been executed. What is there now does not tell.
    case unknown(VersionedValue?)
}

extension ZooKeeperClient {
    /// Executes a conditional write once, and finds out what became of it if its answer is lost.
    ///
    /// The write is repeated only while what it replaces is untouched. An attempt stays uncertain until a read behind a
    /// barrier has shown its outcome: also a repetition that is refused may have been overtaken by the first attempt.
    ///
    /// - Parameters:
    ///   - known: What the write replaces; `nil` for a znode that does not exist.
    ///   - countsEqualAsWritten: Whether data that equals the write's, at the version after `known`, counts as the write;
    ///     somebody else may have written the same.
    ///   - commit: Sends the write, conditional on the version of `known`.
    /// - Throws: The errors of `commit` that are no unknown outcome; nothing was written then.
    func writeOnce(
        _ data: [UInt8], at path: String, replacing known: VersionedValue?, countsEqualAsWritten: Bool = false,
        _ commit: () async throws -> ZNodeStat?
    ) async throws -> ConditionalWriteResult {
        var backoff = makeBackoff(.quick)
        var isUncertain = false
        while true {
            let failure: any Error
            do {
                return .written(try await commit())
            } catch {
                failure = error
            }
            let error = failure as? ZooKeeperError
            isUncertain = isUncertain || error?.isOutcomeUnknown == true
            guard isUncertain, !(failure is CancellationError) else {
                if error?.code == .badVersion || error?.code == .nodeExists { return .replaced }
                throw failure
            }
            let present = try await valueBehindBarrier(at: path)
            switch WriteOutcome(of: data, replacing: known, present: present) {
            case .untouched where error?.isOutcomeUnknown == true:
                try await clock.sleep(until: clock.now + backoff.pause())
            case .untouched: throw failure
            case .replacedByOther: return .replaced
            case .equal where countsEqualAsWritten: return .written(nil)
            case .equal, .unknown: return .unknown(present)
            }
        }
    }

    /// Reads a znode after everything that this client has sent before is decided; `nil` if there is none.
    private func valueBehindBarrier(at path: String) async throws -> VersionedValue? {
        var backoff = makeBackoff(.quick)
        while true {
            switch try await liveSession().flight(behindBarrierAt: path, [.data(path: path)])[0] {
            case .success(.data(let data, let stat)): return VersionedValue(data: data, stat: stat)
            case .failure(let error) where error.isTransient:
                try await clock.sleep(until: clock.now + backoff.pause())
            case .failure(let error) where error.code != .noNode: throw error
            default: return nil
            }
        }
    }
}

/// What a znode tells about a write to it whose answer was lost, once the write is decided.
enum WriteOutcome: Equatable {
    /// The write was not executed, and would be now.
    case untouched
    /// Somebody else's write was executed in its place.
    case replacedByOther
    /// The next version holds the same data: the write was executed, or somebody else has written the same.
    case equal
    /// The write was executed and others have written since, or it was not.
    case unknown

    init(of data: [UInt8], replacing known: VersionedValue?, present: VersionedValue?) {
        guard let present else {
            self = known == nil ? .untouched : .unknown
            return
        }
        let isNext =
            known.map {
                $0.stat.czxid == present.stat.czxid && present.stat.dataVersion == $0.stat.dataVersion &+ 1
            } ?? (present.stat.dataVersion == 0)
        if let known, known.stat.czxid == present.stat.czxid, known.stat.mzxid == present.stat.mzxid {
            self = .untouched
        } else if isNext {
            self = present.data == data ? .equal : .replacedByOther
        } else {
            self = .unknown
        }
    }
}
