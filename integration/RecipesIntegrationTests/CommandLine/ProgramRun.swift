import ZooKeeperTestKit

/// One run of `zkrecipes` to its end: what it printed, and how it ended.
struct ProgramRun: CustomStringConvertible {
    /// Standard output.
    private(set) var lines: [String] = []
    /// Standard error.
    private(set) var errors: [String] = []
    let status: ZooKeeperTestKit.ExitStatus

    var description: String { "\(status): \(lines) \(errors)" }

    /// What begins a line of standard error among the others.
    static let mark = "stderr: "

    /// Runs the program; what stands behind a double hyphen is another program's.
    init(_ arguments: [String], connect: String? = nil, environment: [String: String] = [:]) async throws {
        let process = try Self.start(arguments, connect: connect, environment: environment)
        for try await line in process.lines {
            if line.hasPrefix(Self.mark) {
                errors.append(String(line.dropFirst(Self.mark.count)))
            } else {
                lines.append(line)
            }
        }
        status = try await process.waitForExit()
    }

    /// Starts the program; the lines of its standard error are among the others, with a mark in front.
    static func start(
        _ arguments: [String], connect: String? = nil, environment: [String: String] = [:]
    ) throws -> TestProcess {
        let connection = connect.map { ["--connect", $0] } ?? []
        let words = arguments.prefix { $0 != "--" } + connection + arguments.drop { $0 != "--" }
        return try TestProcess(
            "/bin/bash",
            arguments: ["-c", "exec \"$0\" \"$@\" 2> >(exec sed -u 's/^/\(mark)/')"]
                + [TestProcess.path(ofProduct: "zkrecipes")] + words, environment: environment)
    }
}
