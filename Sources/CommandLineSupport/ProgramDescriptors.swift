import Glibc
import Synchronization

/// The descriptors that the program was started with.
package enum ProgramDescriptors {
    private static let found = Mutex<[Int32]>([])

    /// Those from 3 on, in ascending order: they are for the commands that the program starts.
    package static var inherited: [Int32] { found.withLock { $0 } }

    /// Opens standard descriptors that are closed, and notes the others.
    ///
    /// Comes before everything that opens a descriptor: a socket of ours must not get the number of a standard one.
    package static func prepare() {
        for number in STDIN_FILENO...STDERR_FILENO where fcntl(number, F_GETFD) < 0 {
            // The lowest number that is free.
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
