internal import Logging
internal import Synchronization
internal import ZooKeeper

// Requests of other participants to this one.
extension Election {
    /// Handles a write to this participant's candidate znode: there is a request, or its data was overwritten.
    func noteWrite(_ data: [UInt8], candidate: String, session: SessionHandle?) {
        // For example, Apache Curator's revocation overwrites the data. A selector does not support revocation.
        let own = Array(id.utf8)
        if data != own { session?.post(.setData(path: ZNodePath.child(candidate, of: path), data: own)) }
        knocks.signal()
    }

    /// Answers requests until cancelled.
    func attend(_ answer: @Sendable () async throws -> Void) async {
        var backoff = client.makeBackoff(.quick)
        while true {
            await knocks.wait(until: nil, clock: client.clock)
            if Task.isCancelled { return }
            do {
                try await answer()
                backoff.reset()
            } catch let error as ZooKeeperError where error.isTransientInSession {
                try? await client.clock.sleep(until: client.clock.now + backoff.pause())
                knocks.signal()
            } catch {
                logger.debug("A request was not answered", metadata: ["zookeeper.reason": "\(error)"])
            }
        }
    }

    /// Accepts the offer of a leader while this participant waits.
    func answer(for contender: Contender) async throws {
        guard let (candidate, session) = shared.withLock({ $0.waiting }) else { return }
        for (offer, request) in try await ContenderRequest.read(for: candidate, inQueue: path, session: session) {
            guard request.kind == .transfer, configuration.acceptsTransfers,
                let holder = request.details["holder"].flatMap({ ContenderName($0) })
            else {
                session.cleanUp(.node(path: offer))
                continue
            }
            logger.info(
                "The leader offers its place",
                metadata: ["zookeeper.leader": "\(EscapedText.escaped(request.requesterID))"])
            contender.takePlace(of: holder, as: candidate, offer: offer)
        }
    }

    /// Handles requests while this participant leads: an operator's first, then those of preferred participants.
    func answer(in term: Term) async throws {
        let session = term.held.session
        let taken = try await ContenderRequest.take(for: term.candidate.string, inQueue: path, session: session)
        let requests = taken.requests
        if !taken.isComplete { knocks.signal() }
        for request in requests where request.kind == .resign {
            if try await resign(asRequestedBy: request, in: term) { return }
        }
        if let hooks {
            for request in requests where request.kind == .takeover {
                guard let candidate = request.candidate else { continue }
                hooks.onTakeover(request.requesterID, candidate)
            }
            return
        }
        let wanted = requests.filter { $0.kind == .takeover }.compactMap {
            request -> (priority: Int, request: ContenderRequest)? in
            guard let priority = request.details["priority"].flatMap({ Int($0) }) else { return nil }
            return priority > configuration.priority ? (priority, request) : nil
        }
        // The first request with the highest priority comes first.
        for (_, request) in wanted.sorted(by: { $0.priority > $1.priority }) {
            if try await handOver(asRequestedBy: request, in: term) { return }
        }
    }

    /// Resigns, or hands over to the candidate that an operator's request names.
    ///
    /// - Returns: Whether the term ends.
    private func resign(asRequestedBy request: ContenderRequest, in term: Term) async throws -> Bool {
        logger.notice(
            "An operator requests the end of the term",
            metadata: [
                "zookeeper.operator": "\(EscapedText.escaped(request.requesterID))",
                "zookeeper.reason": "\(EscapedText.escaped(request.reason))",
            ])
        guard request.details["candidate"] == nil else { return try await handOver(asRequestedBy: request, in: term) }
        term.resign()
        return true
    }

    /// Hands over to the candidate that a request names.
    ///
    /// - Returns: Whether the candidate took over, so that the term ends.
    private func handOver(asRequestedBy request: ContenderRequest, in term: Term) async throws -> Bool {
        guard let candidate = request.candidate else { return false }
        do {
            // A disconnected participant reconnects before its session expires, or not at all.
            let timeout = max(.seconds(5), term.held.session.timeout)
            try await handOver(to: candidate, in: term, until: client.clock.now + timeout)
            logger.info(
                "Hands over to another participant",
                metadata: ["zookeeper.requester": "\(EscapedText.escaped(request.requesterID))"])
            return true
        } catch let error as RecipeError {
            logger.info("A participant did not take over", metadata: ["zookeeper.reason": "\(error)"])
            return false
        }
    }
}

extension ContenderRequest {
    /// The candidate that takes over; `nil` if the request names none.
    fileprivate var candidate: ContenderName? { details["candidate"].flatMap { ContenderName($0) } }
}
