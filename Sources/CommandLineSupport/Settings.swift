import ArgumentParser
import Glibc
import SystemSupport
import ZooKeeper

/// The settings of the connection that the environment and a file contain.
///
/// An option has precedence over the environment variable, the variable over the file, and the file over the default.
/// The lines of the file are assignments to the same variables, so that it can also be the `EnvironmentFile` of a unit
/// of systemd, or the `--env-file` of a container.
struct Settings: Sendable {
    /// The name of a setting in the environment and in the file.
    enum Key: String, CaseIterable, Sendable {
        case connect = "ZOOKEEPER_CONNECT"
        case authFile = "ZOOKEEPER_AUTH_FILE"
        case acl = "ZOOKEEPER_ACL"
        case sessionTimeout = "ZOOKEEPER_SESSION_TIMEOUT"
        case connectTimeout = "ZOOKEEPER_CONNECT_TIMEOUT"
        case tlsCA = "ZOOKEEPER_TLS_CA"
        case tlsCert = "ZOOKEEPER_TLS_CERT"
        case tlsKey = "ZOOKEEPER_TLS_KEY"
        case tlsKeyPasswordFile = "ZOOKEEPER_TLS_KEY_PASSWORD_FILE"
    }

    /// The value of a setting, and where it comes from.
    struct Value: Sendable, Equatable {
        var text: String
        /// The option, the variable, or the variable with the file and the line, for error messages.
        var source: String

        /// Reads the file that the setting names.
        ///
        /// - Throws: `ValidationError` with the setting, the file and the problem.
        func reading<Content>(_ read: (String) throws(SettingFileError) -> Content) throws -> Content {
            do throws(SettingFileError) {
                return try read(text)
            } catch {
                throw ValidationError("\(source) \(Text.quoted(text)) \(error.problem)")
            }
        }
    }

    private let environment: [String: String]
    private let file: [Key: Value]

    /// Reads the environment and a file.
    ///
    /// - Parameter file: The path of the file; `nil` uses the variable `ZOOKEEPER_CONFIG`.
    /// - Throws: `ValidationError` if the file cannot be used.
    init(file: String?) throws {
        let environment = inheritedEnvironment().filter { !$0.value.isEmpty }
        let variable = environment["ZOOKEEPER_CONFIG"].map { Value(text: $0, source: "ZOOKEEPER_CONFIG") }
        let path = file.map { Value(text: $0, source: "--config") } ?? variable
        self.init(
            environment: environment,
            file: try path?.reading { path throws(SettingFileError) in
                try Self.parse(SmallFile.read(path, check: Self.accessProblem), of: path)
            } ?? [:])
    }

    init(environment: [String: String], file: [Key: Value]) {
        (self.environment, self.file) = (environment, file)
    }

    /// Returns the value of a setting; `nil` if it is not set.
    ///
    /// - Parameters:
    ///   - option: The value of the option.
    ///   - name: The name of the option, for error messages.
    func value(_ option: String?, _ name: String, _ key: Key) -> Value? {
        if let option { return Value(text: option, source: name) }
        if let text = environment[key.rawValue], !text.isEmpty { return Value(text: text, source: key.rawValue) }
        return file[key]
    }

    // MARK: The file

    /// The file contains no secrets, but it names the servers that receive them.
    private static func accessProblem(_ info: stat) -> String? {
        guard info.st_mode & S_IWOTH != 0 else { return nil }
        let mode = String(info.st_mode & 0o777, radix: 8)
        return "has the mode \(mode), so that each user can change it: use chmod o-w"
    }

    /// Parses the content of a file.
    static func parse(_ content: [UInt8], of path: String) throws(SettingFileError) -> [Key: Value] {
        var values: [Key: Value] = [:]
        for (number, line) in SmallFile.lines(of: content) {
            let place = "is invalid: line \(number)"
            guard let text = String(validating: line, as: UTF8.self) else {
                throw SettingFileError("\(place) is not UTF-8 text; write it as ZOOKEEPER_CONNECT=zk1:2181")
            }
            let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2 else {
                throw SettingFileError("\(place) has no equals sign; write it as ZOOKEEPER_CONNECT=zk1:2181")
            }
            let (name, value) = (String(parts[0]), String(parts[1]))
            guard let key = Key(rawValue: name) else {
                // The file may be one with secrets, given by mistake.
                guard name.utf8.allSatisfy({ (0x41...0x5a).contains($0 & 0xdf) || $0 == 0x5f }) else {
                    throw SettingFileError(
                        "\(place) has a name that is no setting, and is not shown because it may be a secret: "
                            + "write a setting as ZOOKEEPER_CONNECT=zk1:2181")
                }
                throw SettingFileError(
                    "\(place) sets \(Text.quoted(name)), which is no setting: "
                        + advice(about: name, Key.allCases.map(\.rawValue)))
            }
            if let problem = problem(ofValue: value) {
                throw SettingFileError("\(place) sets \(name) to a value that \(problem)")
            }
            guard values[key] == nil else {
                throw SettingFileError("\(place) sets \(name) a second time; remove one of them")
            }
            values[key] = Value(text: value, source: "\(name) (\(Text.escaped(path)), line \(number))")
        }
        return values.filter { !$0.value.text.isEmpty }
    }

    /// Returns what is wrong with a value; `nil` if systemd, a container and a shell read the same value.
    private static func problem(ofValue value: String) -> String? {
        if value.first?.isWhitespace == true || value.last?.isWhitespace == true {
            return "starts or ends with white space; remove it"
        }
        if let character = value.first(where: { "\"'\\".contains($0) }) {
            return "contains \(character); write it without quotation marks and backslashes"
        }
        return value.unicodeScalars.contains(where: Text.isUnsafe) ? "contains a control character; remove it" : nil
    }
}
