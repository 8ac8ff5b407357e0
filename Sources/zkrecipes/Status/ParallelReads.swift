import ZooKeeper

/// Reads values for many keys, up to 64 at a time.
///
/// - Returns: The values in the order of their keys.
func inParallel<Key: Sendable, Value: Sendable>(
    _ keys: [Key], atMost limit: Int = 64, _ read: @escaping @Sendable (Key) async throws -> Value
) async throws -> [Value] {
    try await withThrowingTaskGroup(of: (Int, Value).self) { group in
        var found = [Value?](repeating: nil, count: keys.count)
        for (index, key) in keys.enumerated() {
            if index >= limit, let (done, value) = try await group.next() { found[done] = value }
            group.addTask { (index, try await read(key)) }
        }
        for try await (done, value) in group { found[done] = value }
        return found.compactMap { $0 }
    }
}

extension ZooKeeperClient {
    /// The result of listing a znode.
    enum Listing: Sendable, Equatable {
        case listed(names: [String], stat: ZNodeStat)
        case refused
        case missing

        /// The names of the children; empty if they could not be listed.
        var names: [String] {
            guard case .listed(let names, _) = self else { return [] }
            return names
        }
    }

    /// Lists the children of a znode in byte order.
    func listing(of path: String) async throws -> Listing {
        do {
            let (names, stat) = try await children(of: path)
            return .listed(names: names.sortedByBytes(), stat: stat)
        } catch let error as ZooKeeperError where error.code == .noNode {
            return .missing
        } catch let error as ZooKeeperError where error.code == .noAuth {
            return .refused
        }
    }

    /// Reads a znode's stat, and its data unless they are too long for a participant.
    func facts(at path: String) async throws -> ZNodeFacts {
        let stat: ZNodeStat
        do {
            guard let found = try await exists(at: path) else { return ZNodeFacts(stat: nil, .missing) }
            stat = found
        } catch let error as ZooKeeperError where error.code == .noAuth {
            return ZNodeFacts(stat: nil, .refused)
        }
        guard stat.dataLength <= ZNodeFacts.longestData else { return ZNodeFacts(stat: stat, .tooLong) }
        do {
            guard let (data, stat) = try await dataIfExists(at: path) else { return ZNodeFacts(stat: stat, .missing) }
            return ZNodeFacts(stat: stat, data: data)
        } catch let error as ZooKeeperError where error.code == .noAuth {
            return ZNodeFacts(stat: stat, .refused)
        }
    }

    /// Reads some children of a znode, as ``facts(at:)`` does.
    func facts(ofChildren names: some Sequence<String>, of path: String) async throws -> [(String, ZNodeFacts)] {
        try await inParallel(Array(names)) { name in (name, try await self.facts(at: ZNodePath.child(name, of: path))) }
    }
}
