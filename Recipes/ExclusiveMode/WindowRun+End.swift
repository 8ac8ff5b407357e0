internal import ZooKeeper

// How a window's znodes go.
extension WindowRun {
    /// Removes the window's znodes and writes its record in one transaction, whatever becomes of the calling task.
    ///
    /// Waits for it while the connection stands. When it is lost, a window that has run waits on as long as it was sure
    /// to stand, so that its record is not lost with a process that ends now; one that has not run waits no longer. The
    /// removal goes on by itself.
    func finish(_ outcome: WindowRecord.Outcome, drained: Drained?) async {
        let record = record(outcome, drained: drained?.duration, tracker: drained?.tracker)
        let patience = drained == nil ? clock.now : request.holding.validUntil
        let done = OneShot<Void>()
        // A client that is closing keeps its session until the record is written.
        request.holding.release(after: done)
        request.reservation.release(after: done)
        Task {
            await remove(record, settled: drained?.settled ?? [])
            done.set(())
        }
        // Not cancelled with the caller.
        await Task { [clock, client = mode.client] in
            await race(
                { _ = try? await done.wait() },
                {
                    for await state in client.states where !state.isConnected { break }
                    _ = try? await clock.sleep(until: patience)
                })
        }.value
    }

    /// What is kept of the window as it stands now.
    func record(_ outcome: WindowRecord.Outcome, drained: Duration?, tracker: DrainTracker?) -> WindowRecord {
        WindowRecord(
            id: request.id, token: request.token, owner: request.owner, reason: request.reason,
            requested: request.requestedAt, drained: drained, ended: clock.now - request.facts.requested,
            outcome: outcome,
            slowest: tracker?.slowest, evicted: tracker?.evicted.sorted() ?? [])
    }

    /// The most tries to remove the znodes together with writing the record.
    private static let tries = 5

    private func remove(_ record: WindowRecord, settled: Set<String>) async {
        var (records, version) = (request.records, request.recordsVersion)
        var znodes: [TransactionOperation] = [.delete(request.writeNode.path)]
        // Somebody has deleted it, and the next window may have created its own.
        if request.signalNode.lossReason != .znodeDeleted { znodes.append(.delete(request.signalNode.path)) }
        var unfinished: [TransactionOperation] = [.delete(mode.unfinishedPath(request.id))]
        for _ in 0..<Self.tries where !request.session.isGone {
            let write = TransactionOperation.setData(
                WindowRecord.bytes(records.without(evictionsOf: settled) + [record]), at: mode.windowsPath,
                version: version)
            let result = try? await request.session.flight(.multi(znodes + [write] + unfinished))[0]
            guard case .failure(let error) = result else { return }
            switch (error.code, error.failedOperation.map { $0 - znodes.count }) {
            case (.badVersion, 0):
                // Also by a client that is closing.
                let newer = try? await request.session.flight([.data(path: mode.windowsPath)], whileClosing: true)[0]
                guard case .success(.data(let data, let stat)) = newer else { continue }
                (records, version) = (WindowRecord.list(data), stat.dataVersion)
            // By a try before, or by somebody's hand; the signal may stand all the same. The next try tells.
            case (.noNode, let place?) where place < 0:
                await removeZNodes()
                znodes = []
            // The own one is gone: a try before wrote the record, or who waited for the window in its place.
            case (.noNode, 1): return await removeZNodes()
            // It stays, and its record tells that it is over.
            case (.noAuth, 1), (.notEmpty, 1): unfinished = []
            // It may have happened: then the next try finds nothing.
            case _ where error.isOutcomeUnknown: continue
            default: return await removeZNodes(finally: mode.unfinishedPath(request.id))
            }
        }
        await removeZNodes(finally: mode.unfinishedPath(request.id))
    }

    /// Removes what exists of the window, for certain.
    ///
    /// - Parameter last: What is deleted after that, when there is no way to leave a record.
    private func removeZNodes(finally last: String? = nil) async {
        let prefix = ContenderName.prefix(uuid: request.id)
        let job = CleanUp.prefixWith(
            prefix, parent: mode.locksPath, also: mode.signalPath, data: request.signal, finally: last)
        _ = try? await request.session.cleanUp(job).wait()
    }
}

extension [WindowRecord] {
    /// All but those of places taken away that have been waited for.
    fileprivate func without(evictionsOf settled: Set<String>) -> [WindowRecord] {
        filter { $0.outcome != .evicting || !settled.contains($0.id) }
    }
}
