import Glibc

extension TestKitError {
    /// Creates an error for a failed system call, with the error number of the operating system.
    static func system(_ call: String, _ number: Int32 = errno) -> TestKitError {
        TestKitError(.system, "\(call): \(String(cString: strerror(number)))")
    }
}

/// Returns a variable of this process's environment, or `nil` if it is absent or empty.
func environmentVariable(_ name: String) -> String? {
    guard let value = getenv(name), value.pointee != 0 else { return nil }
    return String(cString: value)
}

/// Creates an IPv4 address for a socket call.
///
/// The host must be an IPv4 literal.
func socketAddress(_ host: String, _ port: Int) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(port).bigEndian
    inet_pton(AF_INET, host, &address.sin_addr)
    return address
}

/// Calls a socket function with an address of any family.
func withSocketAddress(_ address: sockaddr_in, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
    withUnsafePointer(to: address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
    }
}
