import CommandLineSupport
import Glibc
import Testing

/// What a service manager such as systemd receives.
@Suite struct ServiceManagerTests {
    /// The socket of a service manager.
    private struct Manager: ~Copyable {
        let descriptor: Int32
        let name: String

        /// Creates a socket at a path, or with an abstract name if that begins with `@`.
        init(_ name: String) throws {
            self.name = name
            descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: name.utf8) }
            if name.hasPrefix("@") { address.sun_path.0 = 0 }
            let length = 2 + name.utf8.count + (name.hasPrefix("@") ? 0 : 1)
            let code = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(descriptor, $0, socklen_t(length))
                }
            }
            try #require(code == 0)
        }

        deinit {
            close(descriptor)
            if !name.hasPrefix("@") { unlink(name) }
        }

        /// The next message, which has been sent already.
        func received() -> String? {
            var bytes = [UInt8](repeating: 0, count: 1000)
            let count = recv(descriptor, &bytes, bytes.count, Int32(MSG_DONTWAIT))
            return count < 0 ? nil : String(decoding: bytes[..<count], as: UTF8.self)
        }
    }

    private static func uniqueName() -> String { "zkrecipes-\(getpid())-\(UInt64.random(in: 0 ... .max))" }

    @Test(arguments: ["/tmp/", "@"]) func `notifications arrive at paths and abstract names`(prefix: String) throws {
        let name = prefix + Self.uniqueName()
        let manager = try Manager(name)
        let found = try #require(ServiceManager(environment: ["NOTIFY_SOCKET": name], processID: 7))
        found.notify("READY=1")
        found.notify("STOPPING=1", "STATUS=stopping")
        #expect(manager.received() == "READY=1")
        #expect(manager.received() == "STOPPING=1\nSTATUS=stopping")
        #expect(manager.received() == nil)
    }

    @Test func `a notification does not wait for a manager that does not read, or that has gone`() throws {
        let name = "/tmp/" + Self.uniqueName()
        let found = try #require(ServiceManager(environment: ["NOTIFY_SOCKET": name], processID: 7))
        do {
            let manager = try Manager(name)
            for _ in 0..<5000 { found.notify("STATUS=full") }
            #expect(manager.received() == "STATUS=full")
        }
        found.notify("READY=1")
    }

    @Test(arguments: [nil, "", "relative", "vsock:2:1234", "/" + String(repeating: "a", count: 108)] as [String?])
    func `without a usable socket there is no manager`(socket: String?) {
        #expect(ServiceManager(environment: socket.map { ["NOTIFY_SOCKET": $0] } ?? [:], processID: 7) == nil)
    }

    @Test(
        arguments: [
            ("2000000", nil, .seconds(2)), ("2000000", "7", .seconds(2)), ("2000000", "8", nil), ("0", nil, nil),
            ("soon", nil, nil), (nil, nil, nil),
        ] as [(String?, String?, Duration?)])
    func `the watchdog is for the process that it names`(time: String?, id: String?, expected: Duration?) throws {
        var environment = ["NOTIFY_SOCKET": "@x"]
        environment["WATCHDOG_USEC"] = time
        environment["WATCHDOG_PID"] = id
        let found = try #require(ServiceManager(environment: environment, processID: 7))
        #expect(found.watchdogTimeout == expected)
    }
}
