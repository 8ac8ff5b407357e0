import Testing
import ZooKeeperTestKit

/// Compiles a C file in `integration/Fixtures` to a library that is loaded into a child process with `LD_PRELOAD`.
///
/// - Parameters:
///   - source: The path of the file below that folder.
///   - library: The path of the library.
func compileFixture(_ source: String, to library: String) async throws {
    let parts = #filePath.split(separator: "/")
    let end = try #require(parts.lastIndex(of: "RecipesIntegrationTests"))
    let folder = "/" + parts[..<end].joined(separator: "/") + "/Fixtures"
    let compiler = try TestProcess(
        "/usr/bin/env", arguments: ["clang", "-shared", "-fPIC", "-O1", "-o", library, "\(folder)/\(source)", "-ldl"])
    #expect(try await compiler.waitForExit() == .exited(0))
}
