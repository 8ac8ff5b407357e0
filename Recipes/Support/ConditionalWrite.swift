internal import ZooKeeper

/// The result of a write that should replace one particular version of a znode.
enum ConditionalWriteResult {
    /// The write was executed; `nil` if its answer was lost but the current contents are those of the write.
    case written(ZNodeStat?)
    /// Another writer has written first, and this write was not executed.
    case replaced
    /// The answer was lost, and the current contents do not show whether the write was executed.
    case unknown(VersionedValue?)
}

extension ZooKeeperClient {
    /// Executes a conditional write once, and determines its outcome if its answer is lost.
    ///
    /// The write is repeated only while the contents that it replaces are unchanged. An attempt stays uncertain until a
    /// read behind a barrier shows its outcome. If a repetition is refused, the first attempt may have been executed
    /// before it.
    ///
    /// - Parameters:
    ///   - data: The data that the write writes.
    ///   - path: The path of the znode.
    ///   - known: The contents that the write replaces; `nil` for a znode that does not exist.
    ///   - countsEqualAsWritten: Whether to treat equal data in the version after `known` as this write. Another writer
    ///     may have written the same data. Default: `false`.
    ///   - commit: Sends the write, conditional on the version of `known`.
    /// - Throws: The errors of `commit` whose outcome is known, in which case nothing was written.
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

    /// Reads a znode once the outcome of all earlier requests of this client is decided; `nil` if it does not exist.
    private func valueBehindBarrier(at path: String) async throws -> VersionedValue? {
        var backoff = makeBackoff(.quick)
        while true {
            switch try await connectedSession().sendAll(behindBarrierAt: path, [.data(path: path)])[0] {
            case .success(.data(let data, let stat)): return VersionedValue(data: data, stat: stat)
            case .failure(let error) where error.isTransient:
                try await clock.sleep(until: clock.now + backoff.pause())
            case .failure(let error) where error.code != .noNode: throw error
            default: return nil
            }
        }
    }
}

/// The outcome of a write whose answer was lost, as the contents of the znode show it.
enum WriteOutcome: Equatable {
    /// The write was not executed, and the znode still has the contents it should replace.
    case untouched
    /// The write of another writer was executed instead.
    case replacedByOther
    /// The next version has the same data: either this write was executed, or another writer wrote the same data.
    case equal
    /// Either the write was executed and others have written since, or it was not executed.
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
