import CZooKeeper
import ZooKeeperTransport

/// Memory that C reads or writes, freed together.
@safe final class CMemory {
    private var blocks: [UnsafeMutableRawPointer] = unsafe []

    deinit {
        unsafe blocks.forEach { unsafe $0.deallocate() }
    }

    /// Allocates memory for values of a C type, filled with zeros.
    func zeroed<Value>(_ type: Value.Type, count: Int = 1) -> UnsafeMutablePointer<Value> {
        let size = max(count, 1) * MemoryLayout<Value>.stride
        let block = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: MemoryLayout<Value>.alignment)
        unsafe block.initializeMemory(as: UInt8.self, repeating: 0, count: size)
        unsafe blocks.append(block)
        return unsafe block.assumingMemoryBound(to: type)
    }

    func string(_ text: String) -> UnsafeMutablePointer<CChar> {
        unsafe bytes(text.utf8, count: text.utf8.count)
    }

    /// Returns a copy followed by a zero; never a null pointer, so that empty data differs from no data.
    func bytes(_ bytes: some Sequence<UInt8>, count: Int) -> UnsafeMutablePointer<CChar> {
        let copy = unsafe zeroed(CChar.self, count: count + 1)
        for (index, byte) in bytes.enumerated() { unsafe copy[index] = CChar(bitPattern: byte) }
        return unsafe copy
    }

    func acl(_ entries: [TransportACL]) -> UnsafeMutablePointer<ACL_vector> {
        let list = unsafe zeroed(ACL.self, count: entries.count)
        for (index, entry) in entries.enumerated() {
            unsafe list[index].perms = entry.permissions
            unsafe list[index].id.scheme = string(entry.scheme)
            unsafe list[index].id.id = string(entry.id)
        }
        let vector = unsafe zeroed(ACL_vector.self)
        unsafe vector.pointee.count = Int32(entries.count)
        unsafe vector.pointee.data = unsafe list
        return unsafe vector
    }
}
