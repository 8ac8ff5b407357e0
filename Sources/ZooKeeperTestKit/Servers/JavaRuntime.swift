import Glibc
import SystemSupport

/// The Java runtime and the jars that servers are started from.
package struct JavaRuntime: Sendable {
    /// The path of the `java` program.
    var java: String
    /// The class path with the server and a logger.
    var classPath: String

    /// Finds the Java runtime and the jars.
    ///
    /// `JAVA_HOME` and `ZK_JARS` take precedence. Otherwise `java` is searched in `PATH`, and the jars in
    /// `/usr/share/java`, where Debian installs them. `ZK_JARS` may also be the `lib` folder of Apache's own
    /// distribution.
    ///
    /// - Throws: ``TestKitError`` with code `.missingJava` or `.missingJars`; the message names the package to install.
    package static func find(
        environment: [String: String] = inheritedEnvironment()
    ) throws -> JavaRuntime {
        JavaRuntime(java: try Self.findJava(environment), classPath: try Self.findJars(environment))
    }

    private static func findJava(_ environment: [String: String]) throws -> String {
        if let home = environment["JAVA_HOME"], !home.isEmpty {
            let java = "\(home)/bin/java"
            if access(java, X_OK) == 0 { return java }
            throw TestKitError(.missingJava, "JAVA_HOME is \(home), but there is no program \(java). \(Self.javaHint)")
        }
        for folder in (environment["PATH"] ?? "").split(separator: ":") where access("\(folder)/java", X_OK) == 0 {
            return "\(folder)/java"
        }
        throw TestKitError(.missingJava, "No program named java in PATH, and JAVA_HOME is not set. \(Self.javaHint)")
    }

    private static func findJars(_ environment: [String: String]) throws -> String {
        let folder = environment["ZK_JARS"].flatMap { $0.isEmpty ? nil : $0 } ?? "/usr/share/java"
        let debian = ["\(folder)/zookeeper.jar", "\(folder)/slf4j-simple.jar"]
        let missing = debian.filter { access($0, R_OK) != 0 }
        if missing.isEmpty { return debian.joined(separator: ":") }
        // In Apache's distribution, the name of the jar contains the version, and all required jars are in the same
        // folder.
        if fileNames(in: folder).contains(where: { $0.wholeMatch(of: /zookeeper-\d.*\.jar/) != nil }) {
            return "\(folder)/*"
        }
        throw TestKitError(
            .missingJars,
            "Not found: \(missing.joined(separator: ", ")). Install the ZooKeeper server (apt-get install zookeeper), or "
                + "set ZK_JARS to the folder with its jars.")
    }

    private static let javaHint =
        "Install a Java runtime (apt-get install default-jre-headless), or set JAVA_HOME to one."
}
