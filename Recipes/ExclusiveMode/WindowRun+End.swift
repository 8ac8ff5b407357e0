internal import ZooKeeper

// The end of a window, and the deletion of its znodes.
extension WindowRun {
    /// Deletes the window's znodes and writes its record in one transaction, whether or not the calling task is
    /// cancelled.
    ///
    /// This method waits for the transaction while the connection exists. If the connection is lost, a window that has
    /// run waits until its validity would have ended. Its record is then not lost with a process that ends now. A
    /// window that has not run stops waiting. In both cases the deletion continues in the background.
    func finish(_ outcome: WindowRecord.Outcome, drained: Drained?) async {
        let record = record(outcome, drained: drained?.duration, tracker: drained?.tracker)
        let deadline = drained == nil ? clock.now : request.holding.validUntil
        let done = OneShot<Void>()
        // A closing client keeps its session until the record is written.
        request.holding.release(after: done)
        request.reservation.release(after: done)
        Task {
            await remove(record, settled: drained?.settled ?? [])
            done.set(())
        }
        // This task is not cancelled with the caller.
        await Task { [clock, client = mode.client] in
            await race(
                { _ = try? await done.wait() },
                {
                    for await state in client.states where !state.isConnected { break }
                    _ = try? await clock.sleep(until: deadline)
                })
        }.value
    }

    /// Returns the record of the window in its current state.
    func record(_ outcome: WindowRecord.Outcome, drained: Duration?, tracker: DrainTracker?) -> WindowRecord {
        WindowRecord(
            id: request.id, token: request.token, participantID: request.owner, reason: request.reason,
            requestedAt: request.requestedAt, drainDuration: drained, duration: clock.now - request.facts.requested,
            outcome: outcome,
            slowestProcessor: tracker?.slowest, evicted: tracker?.evicted.sorted() ?? [])
    }

    /// The maximum number of attempts to delete the znodes and write the record in one transaction.
    private static let tries = 5

    private func remove(_ record: WindowRecord, settled: Set<String>) async {
        var (records, version) = (request.records, request.recordsVersion)
        var znodes: [TransactionOperation] = [.delete(request.writeNode.path)]
        // If another client has deleted the signal, the next window may have created its own.
        if request.signalNode.lossReason != .znodeDeleted { znodes.append(.delete(request.signalNode.path)) }
        var unfinished: [TransactionOperation] = [.delete(mode.unfinishedPath(request.id))]
        // A signal of holds remains. A hold that began during this window gets a signal when that of the window ends.
        var mayHaveHolds = request.hasOthers && !request.isHeld
        for _ in 0..<Self.tries where !request.session.isGone {
            let write = TransactionOperation.setData(
                WindowRecord.bytes(records.without(evictionsOf: settled) + [record]), at: mode.windowsPath,
                version: version)
            guard let holds = mayHaveHolds ? await signalOfHolds() : [] else { continue }
            let result = try? await request.session.sendAll(
                [.multi(znodes + [write] + unfinished + holds)], whileClosing: true)[0]
            guard case .failure(let error) = result else { return }
            switch (error.code, error.failedOperation.map { $0 - znodes.count }) {
            case (.badVersion, 0):
                // This request is sent even if the client is closing.
                let newer = try? await request.session.sendAll([.data(path: mode.windowsPath)], whileClosing: true)[0]
                guard case .success(.data(let data, let stat)) = newer else { continue }
                (records, version) = (WindowRecord.list(data), stat.dataVersion)
                mayHaveHolds = stat.childrenCount > 1 && !request.isHeld
            // Deleted by an earlier attempt or by another client; the signal may still exist. The next attempt shows
            // that.
            case (.noNode, let place?) where place < 0:
                await removeZNodes()
                znodes = []
            // The window's own znode is deleted: an earlier attempt wrote the record, or a participant that waited for
            // the window did.
            case (.noNode, 1): return await removeZNodes()
            // The znode remains, and its record shows that the window has ended.
            case (.noAuth, 1), (.notEmpty, 1): unfinished = []
            // Somebody else has created a signal; the gates that resume without one create it.
            case (_, let place?) where place > unfinished.count: mayHaveHolds = false
            // The transaction may have been executed; if so, the next attempt finds no znodes.
            case _ where error.isOutcomeUnknown: continue
            default: return await removeZNodes(finally: mode.unfinishedPath(request.id))
            }
        }
        await removeZNodes(finally: mode.unfinishedPath(request.id))
    }

    /// Returns the operations that create the signal of the holds that began during this window; empty if there are
    /// none, `nil` if that could not be read.
    ///
    /// The version of the records, which the transaction checks, was read before: no hold begins or ends in between.
    private func signalOfHolds() async -> [TransactionOperation]? {
        let listing = try? await request.session.sendAll([.children(path: mode.windowsPath)], whileClosing: true)[0]
        switch listing {
        case .success(.children(let names, _)):
            return ExclusiveHold.owners(among: names).first.map { mode.operations(for: .createSignal(owner: $0)) } ?? []
        case .failure(let error) where error.isTransient: return nil
        default: return []
        }
    }

    /// Deletes the window's remaining znodes, retrying until they are gone or the session has ended.
    ///
    /// If the server refuses the deletion, this method returns, and the attempts continue.
    ///
    /// - Parameter last: The znode to delete afterwards, if no record can be written.
    private func removeZNodes(finally last: String? = nil) async {
        let prefix = ContenderName.prefix(uuid: request.id)
        let job = CleanUp.prefixWith(
            prefix, parent: mode.locksPath, also: request.signalNode.path, data: request.signal, finally: last)
        let answered = OneShot<Void>()
        request.session.cleanUp(job, answered: answered)
        _ = try? await answered.wait()
    }
}

extension [WindowRecord] {
    /// Returns the records without the evictions that have been waited for.
    fileprivate func without(evictionsOf settled: Set<String>) -> [WindowRecord] {
        filter { $0.outcome != .evicting || !settled.contains($0.id) }
    }
}
