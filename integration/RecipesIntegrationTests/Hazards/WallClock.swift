import Glibc
import Testing
import ZooKeeperTestKit

@testable import zkrecipes_dev

/// The wall clock of child processes, which can be made to jump while they run.
///
/// A small library is put in front of the system's own: it tells the true time, shifted. Other clocks stay as they are.
struct WallClock {
    private let folder: TemporaryFolder

    /// Builds the library, and sees that it works.
    init() async throws {
        folder = try TemporaryFolder()
        let parts = #filePath.split(separator: "/")
        let end = try #require(parts.lastIndex(of: "RecipesIntegrationTests"))
        let source = "/" + parts[..<end].joined(separator: "/") + "/Fixtures/WallClock/wall_clock.c"
        let compiler = try TestProcess(
            "/usr/bin/env",
            arguments: ["clang", "-shared", "-fPIC", "-O1", "-o", "\(folder.path)/wall_clock.so", source])
        #expect(try await compiler.waitForExit() == .exited(0))
        try shift(by: 1_000_000_000)
        let date = try TestProcess("/bin/date", arguments: ["+%s"], environment: environment)
        let shifted = try #require(Int(try await date.line { !$0.isEmpty }))
        #expect(shifted > time(nil) + 999_000_000)
        try shift(by: 0)
    }

    /// What a process is started with whose clock this is to be.
    var environment: [String: String] {
        ["LD_PRELOAD": "\(folder.path)/wall_clock.so", "WALL_CLOCK_SHIFT": "\(folder.path)/shift"]
    }

    /// Sets how far the clock is off, from now on.
    func shift(by seconds: Int) throws {
        // In one step, so that nobody reads half a number.
        let file = try #require(fopen("\(folder.path)/next", "w"))
        fputs("\(seconds)\n", file)
        fclose(file)
        try #require(rename("\(folder.path)/next", "\(folder.path)/shift") == 0)
    }
}
