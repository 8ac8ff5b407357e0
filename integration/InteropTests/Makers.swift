import Glibc
import ZooKeeperTestKit

/// Who made the recipes that a peer uses.
enum Maker: String, Sendable, CaseIterable {
    case toolkit, curator, kazoo
}

/// A tool that the suite needs and does not find.
struct MissingTool: Error, CustomStringConvertible {
    let description: String

    init(_ what: String) {
        description = "\(what) is missing; \".ci/bootstrap --tests\" installs it"
    }
}

/// How the peers are started.
struct Makers: Sendable {
    private let java: String
    private let classPath: String
    private let python: String

    /// Compiles what has to be compiled.
    ///
    /// - Throws: ``MissingTool``, which names what to install.
    init() async throws {
        let (jars, java) = (try Self.curatorJars(), try Self.javaProgram("java"))
        let classes = "\(Self.root)/.build/interop/curator"
        let compiler = try TestProcess(
            Self.javaProgram("javac"),
            arguments: ["-nowarn", "-Xlint:none", "-XDsuppressNotes", "-d", classes, "-cp", jars] + Self.javaSources())
        guard try await compiler.waitForExit().isSuccess else { throw MissingTool("what javac asks for above") }
        self.java = java
        classPath = "\(classes):\(jars)"
        python = "\(Self.root)/.build/interop/kazoo/bin/python"
        guard access(python, X_OK) == 0 else { throw MissingTool("kazoo's virtual environment \(python)") }
    }

    /// Starts a peer's process.
    func start(_ maker: Maker, arguments: [String]) throws -> TestProcess {
        switch maker {
        case .toolkit:
            return try TestProcess(
                TestProcess.path(ofProduct: "ToolkitPeer"), arguments: arguments, takesInput: true)
        case .curator:
            let machine = [
                "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-XX:-UsePerfData", "-Xmx128m",
                "-Dorg.slf4j.simpleLogger.defaultLogLevel=off",
            ]
            return try TestProcess(
                java, arguments: machine + ["-cp", classPath, "CuratorPeer"] + arguments, takesInput: true)
        case .kazoo:
            let script = "\(Self.root)/integration/Interop/kazoo/kazoo_peer.py"
            return try TestProcess(python, arguments: [script] + arguments, takesInput: true)
        }
    }

    /// The package's folder.
    private static let root = String(
        #filePath.split(separator: "/", omittingEmptySubsequences: false)
            .dropLast(3).joined(separator: "/"))

    private static func variable(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
    }

    private static func curatorJars() throws -> String {
        let folder = variable("ZK_JARS") ?? "/usr/share/java"
        let names = [
            "curator-recipes", "curator-framework", "curator-client", "zookeeper", "zookeeper-jute", "guava",
            "slf4j-simple",
        ]
        let jars = names.map { "\(folder)/\($0).jar" }
        for jar in jars where access(jar, R_OK) != 0 { throw MissingTool("Apache Curator's \(jar)") }
        return jars.joined(separator: ":")
    }

    private static func javaProgram(_ name: String) throws -> String {
        let folders =
            variable("JAVA_HOME").map { ["\($0)/bin"] }
            ?? (variable("PATH") ?? "").split(separator: ":").map(String.init)
        for folder in folders where access("\(folder)/\(name)", X_OK) == 0 { return "\(folder)/\(name)" }
        throw MissingTool("a program named \(name)")
    }

    private static func javaSources() throws -> [String] {
        let names = [
            "Barrier", "Cache", "CuratorPeer", "Elections", "Grant", "Holding", "Loop", "Member", "Processor", "Window",
        ]
        return names.map { "\(root)/integration/Interop/curator/\($0).java" }
    }
}
