import Testing

extension InteropTests {
    /// A znode that one maker writes and the other's cache follows.
    @Suite struct Caches {
        @Test func `both makers' caches see what either of them writes, creates and deletes`() async throws {
            let scene = try InteropScene.current
            let (ours, theirs) = (try await scene.peer(.toolkit), try await scene.peer(.curator))
            let path = "/cached/value"
            try await ours.ask("cache cache \(path)")
            try await theirs.ask("cache cache \(path)")
            // Each change waits until both have seen the one before, so that none is passed over.
            for round in 0..<100 {
                for (name, writer) in [("ours", ours), ("theirs", theirs)] {
                    try await writer.ask("put \(path) \(name)-\(round)")
                    #expect(try await ours.ask("tell cache \(name)-\(round)") == "\(name)-\(round)")
                    #expect(try await theirs.ask("tell cache \(name)-\(round)") == "\(name)-\(round)")
                }
                if round % 10 == 9 {
                    try await (round % 20 == 9 ? ours : theirs).ask("remove \(path)")
                    #expect(try await ours.ask("tell cache -") == "-")
                    #expect(try await theirs.ask("tell cache -") == "-")
                }
            }
            try await ours.ask("give cache")
            try await theirs.ask("give cache")
        }
    }
}
