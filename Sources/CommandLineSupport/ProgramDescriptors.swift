import Glibc
import Synchronization

/// The file descriptors that were open when the program started.
package enum ProgramDescriptors {
    private static let found = Mutex<[Int32]>([])
    private static let output = Mutex(STDOUT_FILENO)

    /// The inherited descriptors from 3 on, in ascending order, which the program passes on to the commands that it
    /// runs.
    package static var inherited: [Int32] { found.withLock { $0 } }

    /// The descriptor to which the program writes its results.
    ///
    /// It is standard output. If that was closed when the program started, it is one that refuses every write, so that
    /// the program reports unwritten results as an error.
    static var results: Int32 { output.withLock { $0 } }

    /// Opens standard descriptors that are closed, and records the other open descriptors.
    ///
    /// The commands that the program runs receive `/dev/null` for a closed descriptor.
    ///
    /// Call this before anything else opens a descriptor: a socket must not get the number of a standard descriptor.
    package static func prepare() {
        let isOutputClosed = fcntl(STDOUT_FILENO, F_GETFD) < 0
        defer { if isOutputClosed { output.withLock { $0 = open("/dev/null", O_RDONLY | O_CLOEXEC) } } }
        for number in STDIN_FILENO...STDERR_FILENO where fcntl(number, F_GETFD) < 0 {
            // `open` returns the lowest free number.
            guard open("/dev/null", O_RDWR) == number else { _exit(125) }
        }
        guard let folder = opendir("/proc/self/fd") else { return }
        defer { closedir(folder) }
        var numbers: [Int32] = []
        while let entry = readdir(folder) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard let number = Int32(name), number > STDERR_FILENO, number != dirfd(folder) else { continue }
            numbers.append(number)
        }
        found.withLock { $0 = numbers.sorted() }
    }
}
