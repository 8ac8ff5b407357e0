import Testing
import ZooKeeper
import ZooKeeperTestKit

extension InteropTests {
    /// Double barriers with members of both makers.
    @Suite struct Barriers {
        // How Curator's `leave` waits depends on the order of the members' names, which are random. Each order of leaving is
        // therefore repeated with new names.
        @Test(arguments: [[Maker.toolkit, .toolkit, .curator], [.toolkit, .curator, .curator]])
        func `nobody is inside before all enter, and nobody is outside before all leave`(makers: [Maker]) async throws {
            let scene = try InteropScene.current
            let members = try await scene.barrierMembers(makers)
            let rounds = members.indices.flatMap { last in
                (Self.orders + Self.orders).map { order in (last: last, order: order) }
            }
            try await scene.withClient { client in
                for (number, round) in rounds.enumerated() {
                    var entering = members
                    entering.append(entering.remove(at: round.last))
                    let leaving = round.order.map { members[$0] }
                    try await meet(at: "/barrier-\(makers[1])/\(number)", entering, leaving, client)
                }
            }
            let evidence = members.flatMap { $0.takeEvidence() }
            #expect(evidence.barrierViolations(members: members.count, rounds: rounds.count) == [])
        }

        private static let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]

        /// Lets members enter, the last one after the others, and leave one after the other.
        private func meet(
            at path: String, _ entering: [Peer], _ leaving: [Peer], _ client: ZooKeeperClient
        ) async throws {
            let early = entering.dropLast()
            var entries = early.map { $0.begin("enter member \(path) \(entering.count)") }
            try await client.children(of: path, reach: early.count)
            try await keepBusy(early)
            entries += entering.suffix(1).map { $0.begin("enter member \(path) \(entering.count)") }
            for entry in entries { _ = try await entry.value }

            var exits: [Task<Int64, any Error>] = []
            for (index, member) in leaving.enumerated() {
                exits.append(member.begin("give member"))
                if index < leaving.count - 1 { try await keepBusy(leaving[...index]) }
            }
            for exit in exits { _ = try await exit.value }
        }

        /// Lets members that must be waiting do something else, which takes longer than to return too early would.
        private func keepBusy(_ members: ArraySlice<Peer>) async throws {
            let loops = members.map { $0.begin("loop mutex /elsewhere-\($0.name) 1 5") }
            for loop in loops { _ = try await loop.value }
        }

        // A Curator member that leaves can wait for a member that has already entered the next round. That member waits for the
        // Curator member in turn. This needs two Curator members: then everybody enters again only when all have left.
        @Test(arguments: [[Maker.toolkit, .toolkit, .curator], [.toolkit, .toolkit, .curator, .curator]])
        func `30 rounds at one path do not overlap`(makers: [Maker]) async throws {
            let members = try await InteropScene.current.barrierMembers(makers)
            let enter = "enter member /barrier-\(makers.count)-members \(members.count)"
            let awaitsAll = makers.count { $0 == .curator } > 1
            var entries = members.map { $0.begin(enter) }
            for round in 0..<30 {
                for entry in entries { _ = try await entry.value }
                // Another one is late in each round: it is the last to leave, and the last to enter the next round.
                var early = members[...]
                let late = early.remove(at: round % members.count)
                var exits = early.map { $0.begin("give member") }
                try await keepBusy(early)
                exits.append(late.begin("give member"))
                let isLast = round == 29
                if awaitsAll || isLast { for exit in exits { _ = try await exit.value } }
                if isLast { break }
                entries = zip(early, exits).map { member, exit in
                    Task {
                        _ = try await exit.value
                        return try await member.begin(enter).value
                    }
                }
                _ = try await exits[early.count].value
                try await keepBusy(early)
                entries.append(late.begin(enter))
            }
            let evidence = members.flatMap { $0.takeEvidence() }
            #expect(evidence.barrierViolations(members: members.count, rounds: 30) == [])
        }
    }
}

extension InteropScene {
    /// A process for each member of a double barrier: the shared one of its maker, and further ones.
    fileprivate func barrierMembers(_ makers: [Maker]) async throws -> [Peer] {
        var members: [Peer] = []
        for maker in makers {
            guard members.contains(where: { $0.maker == maker }) else {
                members.append(try await peer(maker))
                continue
            }
            let name = "second-\(maker)"
            members.append(try await Peer(maker, name: name, scene: self, sessionTimeout: .seconds(10)))
        }
        for member in members { _ = member.takeEvidence() }
        return members
    }
}
