internal import Glibc

/// A fenced file and the files next to it; all calls block, and need a thread of their own.
struct FencedFiles: Sendable {
    let path: String

    init(_ path: String) {
        self.path = path
    }

    private var tokenPath: String { path + ".token" }

    func registers() throws(FencingError) -> FencingRegisters {
        guard let bytes = try read(tokenPath) else { return FencingRegisters() }
        let line = String(decoding: bytes, as: UTF8.self).prefix { $0 != "\n" }
        guard let registers = FencingRegisters(line) else { throw FencingError(.unreadable, target: tokenPath) }
        return registers
    }

    /// Checks the token and replaces the file, excluding all other writers.
    func write(_ value: [UInt8], token: FencingToken) throws(FencingError) {
        let lock = open(path + ".lock", O_CREAT | O_RDWR | O_CLOEXEC, 0o666)
        guard lock >= 0 else { throw failure("open", path + ".lock") }
        // Closing the file releases the lock.
        defer { close(lock) }
        while flock(lock, LOCK_EX) != 0 {
            guard errno == EINTR else { throw failure("flock", path + ".lock") }
        }
        let found = try registers()
        if let highest = found.refusal(of: token) {
            throw FencingError(.staleToken, target: path, token: token, highest: highest)
        }
        var registers = found
        _ = registers.accept(token)
        if registers != found { try replace(tokenPath, with: Array("\(registers)\n".utf8)) }
        try replace(path, with: value)
    }

    /// Writes a temporary file next to the file, flushes it to disk, and renames it.
    private func replace(_ path: String, with bytes: [UInt8]) throws(FencingError) {
        let draft = path + ".new"
        let file = open(draft, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0o666)
        guard file >= 0 else { throw failure("open", draft) }
        do throws(FencingError) {
            try write(bytes, to: file, draft)
            guard fsync(file) == 0 else { throw failure("fsync", draft) }
        } catch {
            close(file)
            throw error
        }
        guard close(file) == 0 else { throw failure("close", draft) }
        guard rename(draft, path) == 0 else { throw failure("rename", path) }
        try syncDirectory()
    }

    private func write(_ bytes: [UInt8], to file: Int32, _ name: String) throws(FencingError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let written = rest.withUnsafeBytes { buffer in
                Glibc.write(file, buffer.baseAddress, buffer.count)
            }
            if written < 0, errno == EINTR { continue }
            guard written > 0 else { throw failure("write", name) }
            rest = rest.dropFirst(written)
        }
    }

    /// Reads a file, at most the first 64 bytes.
    ///
    /// - Returns: `nil` if the file does not exist.
    private func read(_ path: String) throws(FencingError) -> [UInt8]? {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else {
            if errno == ENOENT { return nil }
            throw failure("open", path)
        }
        defer { close(file) }
        var buffer = [UInt8](repeating: 0, count: 64)
        while true {
            let count = pread(file, &buffer, buffer.count, 0)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw failure("read", path) }
            return Array(buffer.prefix(count))
        }
    }

    /// Flushes the directory to disk, so that the new name survives a crash of the machine.
    private func syncDirectory() throws(FencingError) {
        let directory = path.contains("/") ? path.asChild.directory : "."
        let file = open(directory, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw failure("open", directory) }
        defer { close(file) }
        guard fsync(file) == 0 else { throw failure("fsync", directory) }
    }

    private func failure(_ call: String, _ path: String) -> FencingError {
        let code = errno
        return FencingError(
            .fileSystem, target: path, message: "\(call): \(String(cString: strerror(code)))")
    }
}
