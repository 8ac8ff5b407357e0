import Glibc
import Synchronization

/// Counters in memory that the processes of one run share.
///
/// Each processor has a cache line of its own.
// Safe to share: its memory is only accessed with atomic operations, and mapped until the process ends.
struct Board: @unchecked Sendable {
    private static let cellsPerLine = 8

    /// The path by which another process can open the board while this process has it.
    let path: String
    /// The number of processors, in all processes.
    let processors: Int
    private let cells: UnsafeMutablePointer<Atomic<Int>>

    /// Creates a board without any content.
    init(processors: Int) throws {
        let name = "/dev/shm/zkbench-board-\(getpid())"
        let file = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw BenchError("\(name) cannot be created") }
        unlink(name)
        try self.init(file: file, bytes: (processors + 1) * Self.cellsPerLine * 8)
    }

    /// Opens the board of another process.
    init(path: String) throws {
        let file = open(path, O_RDWR | O_CLOEXEC)
        guard file >= 0 else { throw BenchError("the board \(path) cannot be opened") }
        try self.init(file: file, bytes: Int(lseek(file, 0, Int32(SEEK_END))))
    }

    private init(file: Int32, bytes: Int) throws {
        path = "/proc/\(getpid())/fd/\(file)"
        processors = bytes / (Self.cellsPerLine * 8) - 1
        guard ftruncate(file, bytes) == 0,
            let memory = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0), memory != MAP_FAILED
        else { throw BenchError("the board of \(bytes) bytes has no memory") }
        cells = memory.bindMemory(to: Atomic<Int>.self, capacity: bytes / 8)
    }

    /// The number of processors whose gates have opened.
    var ready: UnsafeMutablePointer<Atomic<Int>> { cells }
    /// 1 while the operation of a window runs.
    var operation: UnsafeMutablePointer<Atomic<Int>> { cells + 1 }
    /// 1 when the processors should end.
    var stop: UnsafeMutablePointer<Atomic<Int>> { cells + 2 }
    /// The number of events during an operation.
    var violations: UnsafeMutablePointer<Atomic<Int>> { cells + 3 }

    /// The number of events of a processor.
    func events(_ processor: Int) -> UnsafeMutablePointer<Atomic<Int>> {
        cells + (processor + 1) * Self.cellsPerLine
    }

    /// The time of a processor's first event since its gate has opened.
    func resumed(_ processor: Int) -> UnsafeMutablePointer<Atomic<Int>> { events(processor) + 1 }
}

extension UnsafeMutablePointer<Atomic<Int>> {
    var value: Int {
        get { pointee.load(ordering: .relaxed) }
        nonmutating set { pointee.store(newValue, ordering: .sequentiallyConsistent) }
    }

    func increment() { pointee.add(1, ordering: .relaxed) }
}
