import Glibc
import Testing
import ZooKeeper
import ZooKeeperTestKit
import ZooKeeperTestKitTraits

@testable import zkrecipes_dev

/// Encrypted connections of `zkrecipes`, with a C library that has no TLS, and with one that seems to have it.
@Suite(.zooKeeperServer, .serialized, .timeLimit(.minutes(2)))
struct TLSCommandTests {
    private var connection: String { TestServer.current.connectionString }

    /// The files of one test.
    private struct Files {
        let folder: TemporaryFolder

        init() throws {
            folder = try TemporaryFolder()
            try write("certificate", to: "ca.pem", mode: 0o644)
            try write("certificate", to: "cert.pem", mode: 0o644)
            try write("key", to: "key.pem", mode: 0o600)
            try write("s3cret\n", to: "password", mode: 0o600)
        }

        func path(_ name: String) -> String { "\(folder.path)/\(name)" }

        func write(_ text: String, to name: String, mode: mode_t) throws {
            let file = open(path(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode)
            try #require(file >= 0)
            #expect(Glibc.write(file, text, text.utf8.count) == text.utf8.count)
            close(file)
        }

        func read(_ name: String) throws -> [String] {
            let file = try #require(fopen(path(name), "r"))
            defer { fclose(file) }
            var lines: [String] = []
            while let character = readLine(from: file) { lines.append(character) }
            return lines
        }

        private func readLine(from file: UnsafeMutablePointer<FILE>) -> String? {
            var buffer = [CChar](repeating: 0, count: 4096)
            guard fgets(&buffer, Int32(buffer.count), file) != nil else { return nil }
            return String(decoding: buffer.prefix { $0 != 0 && $0 != 10 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
        }

        var options: [String] {
            ["--tls-ca", path("ca.pem"), "--tls-cert", path("cert.pem"), "--tls-key", path("key.pem")]
        }

        var environment: [String: String] {
            ["LD_PRELOAD": path("tls.so"), "TLS_RECORD": path("record")]
        }
    }

    @Test(.enabled(if: !TLSConfiguration.isSupported, "The ZooKeeper C library of this host has TLS."))
    func `a library without TLS is an error, and there is no connection`() async throws {
        let files = try Files()
        let said = try await ProgramRun(["status", "/"] + files.options, connect: connection)
        #expect(said.status == .exited(64) && said.lines.isEmpty, "\(said)")
        #expect(said.errors.contains { $0.contains("zookeeper_init_ssl") && $0.contains("stunnel") }, "\(said)")
    }

    @Test func `a library with TLS receives the files, from options, variables and a file`() async throws {
        let files = try Files()
        try await compileFixture("TLSLibrary/tls_library.c", to: files.path("tls.so"))
        let paths = ["ca.pem", "cert.pem", "key.pem"].map(files.path)
        try files.write(
            "ZOOKEEPER_TLS_CA=\(paths[0])\nZOOKEEPER_TLS_CERT=\(paths[1])\nZOOKEEPER_TLS_KEY=\(paths[2])\n",
            to: "config", mode: 0o600)
        let variables = zip(["CA", "CERT", "KEY"], paths).map { ("ZOOKEEPER_TLS_\($0)", $1) }
        for (options, environment) in [
            (files.options, [:]), (["--config", files.path("config")], [:]),
            ([], Dictionary(uniqueKeysWithValues: variables)),
        ] {
            unlink(files.path("record"))
            let said = try await ProgramRun(
                ["status", "/none"] + options, connect: connection,
                environment: files.environment.merging(environment) { $1 })
            #expect(
                said.status == .exited(1) && said.errors.contains { $0.contains("/none does not exist") }, "\(said)")
            let record = try files.read("record")
            #expect(record == [connection, (paths + ["none"]).joined(separator: ","), "10000"], "\(record)")
        }
        unlink(files.path("record"))
        let secret = ["--tls-key-password-file", files.path("password")]
        let said = try await ProgramRun(
            ["status", "/none"] + files.options + secret, connect: connection, environment: files.environment)
        #expect(try files.read("record")[1] == (paths + ["s3cret"]).joined(separator: ","))
        #expect(!"\(said)".contains("s3cret"), "\(said)")
    }

    @Test func `the doctor reports an encrypted connection, and sends no plain text to the servers`() async throws {
        let files = try Files()
        try await compileFixture("TLSLibrary/tls_library.c", to: files.path("tls.so"))
        let said = try await ProgramRun(
            ["doctor", "--duration", "200ms", "--json"] + files.options, connect: connection,
            environment: files.environment)
        #expect(said.lines.count == 1 && said.lines[0].contains("\"rule\":\"tls-host-names\""), "\(said)")
        #expect(said.lines[0].contains("\"servers\":[]") && said.lines[0].contains("ports with TLS"), "\(said)")
        #expect(!said.lines[0].contains("plain-text"), "\(said)")
    }
}
