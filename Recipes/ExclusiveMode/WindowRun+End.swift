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
        let patience = drained == nil ? clock.now : request.holds.validUntil
        let done = OneShot<Void>()
        // A client that is closing keeps its session until the record is written.
        request.holds.release(after: done)
        Task {
            await remove(record, settled: drained?.settled ?? [])
            done.set(())
        }
        // Not cancelled with the caller.
        await Task { [clock, client = mode.client] in
            await withTaskGroup(of: Void.self) { group in
                group.addTask { _ = try? await done.wait() }
                group.addTask {
                    for await state in client.states where !state.isConnected { break }
                    try? await clock.sleep(until: patience)
                }
                await group.next()
                group.cancelAll()
            }
        }.value
    }

    /// What is kept of the window as it stands now.
    func record(_ outcome: WindowRecord.Outcome, drained: Duration?, tracker: DrainTracker?) -> WindowRecord {
        WindowRecord(
            id: request.id, token: request.token, owner: request.owner, reason: request.reason,
            requested: request.requestedAt, drained: drained, ended: clock.now - request.requested, outcome: outcome,
            slowest: tracker?.slowest, forced: tracker?.forced.sorted() ?? [])
    }

    /// The most tries to remove the znodes together with writing the record.
    private static let tries = 5

    private func remove(_ record: WindowRecord, settled: Set<String>) async {
        var (records, version) = (request.records, request.recordsVersion)
        for _ in 0..<Self.tries where !request.session.isGone {
            let results = try? await request.session.flight(
                .multi([
                    .delete(request.holds.write.path), .delete(request.holds.signal.path),
                    .setData(
                        WindowRecord.bytes(records.without(forcesOf: settled) + [record]), at: mode.windowsPath,
                        version: version),
                ]))
            guard case .failure(let error) = results?[0] else { return }
            switch (error.code, error.failedOperation) {
            case (.badVersion, 2):
                guard let newer = try? await mode.client.data(at: mode.windowsPath) else { continue }
                (records, version) = (WindowRecord.list(newer.data), newer.stat.dataVersion)
            // By a try before, or by somebody's hand; the signal may stand all the same.
            case (.noNode, 0): return await removeWithoutRecord()
            // It may have happened: then the next try finds nothing.
            case _ where error.isOutcomeUnknown: continue
            default: return await removeWithoutRecord()
            }
        }
        await removeWithoutRecord()
    }

    /// Processors wait the resume delay then, which is safe.
    private func removeWithoutRecord() async {
        let prefix = ContenderName.prefix(uuid: request.id)
        let job = CleanUp.prefixWith(
            prefix, parent: mode.locksPath, also: mode.signalPath, data: request.signal)
        _ = try? await request.session.cleanUp(job).wait()
    }
}

extension [WindowRecord] {
    /// All but those of places taken away that have been waited for.
    fileprivate func without(forcesOf settled: Set<String>) -> [WindowRecord] {
        filter { $0.outcome != .forcing || !settled.contains($0.id) }
    }
}
