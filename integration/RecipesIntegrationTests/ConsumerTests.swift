import Testing
import ZooKeeperTestKit

/// The package as others use it.
@Suite(.timeLimit(.minutes(10)))
struct ConsumerTests {
    @Test func `a package that depends on this one by path builds and runs without any flag of its own`() async throws {
        let package = try #require(repositoryFolder()) + "/integration/Fixtures/Consumer"
        let build = try TestProcess("/usr/bin/env", arguments: ["swift", "build", "--package-path", package])
        var output: [String] = []
        for try await line in build.lines { output.append(line) }
        #expect(try await build.waitForEnd() == .exited(0), "\(output.suffix(20).joined(separator: "\n"))")
        try await withTestServer { server in
            let program = try TestProcess(
                "\(package)/.build/debug/Consumer", arguments: [server.connectionString])
            _ = try await program.line { $0.hasPrefix("ran alone with token ") }
            #expect(try await program.waitForEnd() == .exited(0))
        }
    }

    /// The folder of Package.swift, from where this file was compiled.
    private func repositoryFolder(file: String = #filePath) -> String? {
        let parts = file.split(separator: "/")
        guard let end = parts.lastIndex(of: "integration") else { return nil }
        return "/" + parts[..<end].joined(separator: "/")
    }
}
