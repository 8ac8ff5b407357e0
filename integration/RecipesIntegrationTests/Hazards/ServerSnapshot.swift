import Glibc
import ZooKeeperTestKit

/// The newest snapshot of a server that does not run, to be changed behind its back.
///
/// Some states take a server months to come to: two thousand million children that have come and gone.
struct ServerSnapshot {
    private let path: String
    private var bytes: [UInt8]

    /// Reads the snapshot with the highest transaction number.
    init(of server: TestServer) throws {
        let folder = "\(server.dataFolder)/version-2"
        let newest = try Self.names(in: folder).compactMap { name in
            name.hasPrefix("snapshot.") ? Int64(name.dropFirst(9), radix: 16).map { (number: $0, name: name) } : nil
        }.max { $0.number < $1.number }
        guard let newest else { throw TestKitError(.misuse, "\(server) has no snapshot") }
        path = "\(folder)/\(newest.name)"
        bytes = try Self.contents(of: path)
    }

    /// Sets how many children a znode has had, from which its next sequential child's number is taken.
    func setChildrenCounter(of node: String, to number: Int32) throws {
        var changed = bytes
        let seals = seals()
        guard let record = record(of: node), !seals.isEmpty else {
            throw TestKitError(.misuse, "\(path) has no \(node), or another form than expected")
        }
        changed.replaceSubrange(record..<record + 4, with: Self.bigEndian(UInt64(UInt32(bitPattern: number)), 4))
        for seal in seals {
            changed.replaceSubrange(seal..<seal + 8, with: Self.bigEndian(UInt64(Self.adler32(changed[..<seal])), 8))
        }
        try Self.write(changed, to: path)
    }

    /// Where a znode's children counter is: after its path, its data, the number of its access list, the zxids and times
    /// of its creation and last write, and its data version.
    private func record(of node: String) -> Int? {
        let key = Self.bigEndian(UInt64(node.utf8.count), 4) + Array(node.utf8)
        guard let start = bytes.indices.first(where: { bytes[$0...].starts(with: key) }) else { return nil }
        let data = start + key.count
        let length = bytes[data..<data + 4].reduce(Int32(0)) { $0 << 8 | Int32($1) }
        return data + 4 + Int(max(length, 0)) + 8 + 4 * 8 + 4
    }

    /// Where the checksums are: eight bytes that are the checksum of all before them, then the string "/".
    private func seals() -> [Int] {
        var (a, b) = (UInt32(1), UInt32(0))
        var found: [Int] = []
        for (index, byte) in bytes.enumerated() {
            let sealed = Self.bigEndian(UInt64(b << 16 | a), 8) + [0, 0, 0, 1, UInt8(ascii: "/")]
            if bytes[index...].starts(with: sealed) { found.append(index) }
            a = (a + UInt32(byte)) % 65_521
            b = (b + a) % 65_521
        }
        return found
    }

    private static func adler32(_ bytes: some Sequence<UInt8>) -> UInt32 {
        var (a, b) = (UInt32(1), UInt32(0))
        for byte in bytes {
            a = (a + UInt32(byte)) % 65_521
            b = (b + a) % 65_521
        }
        return b << 16 | a
    }

    private static func bigEndian(_ number: UInt64, _ width: Int) -> [UInt8] {
        (0..<width).reversed().map { UInt8(truncatingIfNeeded: number >> UInt64($0 * 8)) }
    }

    // MARK: Files

    private static func names(in folder: String) throws -> [String] {
        guard let handle = opendir(folder) else { throw TestKitError(.system, "opendir \(folder)") }
        defer { closedir(handle) }
        var names: [String] = []
        while let entry = readdir(handle) {
            names.append(
                withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                    String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
                })
        }
        return names
    }

    private static func contents(of path: String) throws -> [UInt8] {
        guard let file = fopen(path, "rb") else { throw TestKitError(.system, "open \(path)") }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = fread(&buffer, 1, buffer.count, file)
            if count == 0 { return bytes }
            bytes += buffer[..<count]
        }
    }

    private static func write(_ bytes: [UInt8], to path: String) throws {
        guard let file = fopen(path, "wb") else { throw TestKitError(.system, "open \(path)") }
        defer { fclose(file) }
        guard fwrite(bytes, 1, bytes.count, file) == bytes.count else { throw TestKitError(.system, "write \(path)") }
    }
}
