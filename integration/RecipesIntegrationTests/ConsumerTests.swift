import Testing
import ZooKeeperTestKit

/// The package as others use it.
@Suite(.timeLimit(.minutes(10)))
struct ConsumerTests {
    @Test func `a package that depends on this one by path builds and runs without any flag of its own`() async throws {
        let package = try #require(repositoryFolder()) + "/integration/Fixtures/Consumer"
        // From nothing, as others do: an earlier build's plan does not know the files that have come since.
        let removal = try TestProcess("/bin/rm", arguments: ["-rf", "\(package)/.build"])
        #expect(try await removal.waitForEnd().isSuccess)
        let build = try TestProcess("/usr/bin/env", arguments: ["swift", "build", "--package-path", package])
        var output: [String] = []
        for try await line in build.lines { output.append(line) }
        #expect(try await build.waitForEnd().isSuccess, "\(output.suffix(20).joined(separator: "\n"))")
        try await withTestServer { server in
            let program = try TestProcess(
                "\(package)/.build/debug/Consumer", arguments: [server.connectionString])
            _ = try await program.line { $0.hasPrefix("ran alone with token ") }
            #expect(try await program.waitForEnd().isSuccess)
        }
    }

    /// The folder of Package.swift, from where this file was compiled.
    private func repositoryFolder(file: String = #filePath) -> String? {
        let parts = file.split(separator: "/")
        guard let end = parts.lastIndex(of: "integration") else { return nil }
        return "/" + parts[..<end].joined(separator: "/")
    }
}
