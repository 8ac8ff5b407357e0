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

        @Test func `both makers' caches see that a killed process's znode has gone`() async throws {
            let scene = try InteropScene.current
            async let (one, two) = (scene.victim(.toolkit), scene.victim(.curator))
            let victims = [try await one, try await two]
            let caches = [try await scene.peer(.toolkit), try await scene.peer(.curator)]
            for victim in victims {
                try await victim.ask("put /crash-cache-\(victim.maker) here")
                for peer in caches {
                    try await peer.ask("cache \(victim.maker) /crash-cache-\(victim.maker)")
                    try await peer.ask("tell \(victim.maker) here")
                }
            }
            for victim in victims { await victim.kill() }
            for victim in victims {
                for peer in caches {
                    #expect(try await peer.ask("tell \(victim.maker) -") == "-")
                    try await peer.ask("give \(victim.maker)")
                }
            }
        }
    }
}
