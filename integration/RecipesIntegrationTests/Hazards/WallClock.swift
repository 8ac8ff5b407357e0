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
        try await compileFixture("WallClock/wall_clock.c", to: "\(folder.path)/wall_clock.so")
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
