import CZooKeeper
import Synchronization
import ZooKeeperTransport

extension CConnection {
    /// Calls the function of the library for a transaction, if it is safe.
    ///
    /// If a path is invalid or the session ends during this call, the library frees memory that it never initialized.
    /// So every path is checked here, and the call is made only on a connected handle without unanswered credentials;
    /// otherwise the answer is `ZCONNECTIONLOSS`, and nothing was sent. The answers to other kinds of create would be
    /// garbage, so these are refused with `ZBADARGUMENTS`, as is a transaction without operations.
    func startTransaction(_ operations: [TransportOperation], pending: PendingRequest, on handle: Handle) -> Int32 {
        guard let results = pending.results, !operations.isEmpty, operations.allSatisfy(\.isSafe) else {
            return ReplyCode.badArguments.rawValue
        }
        let memory = CMemory()
        let calls = unsafe memory.zeroed(zoo_op_t.self, count: operations.count)
        for (index, operation) in operations.enumerated() {
            unsafe operation.write(to: calls + index, results: results, index: index, memory: memory)
        }
        return credentials.withLock { credentials in
            guard credentials.awaiting.isEmpty, credentials.unanswered == 0, handle.isConnected else {
                return ReplyCode.connectionLoss.rawValue
            }
            return withExtendedLifetime(memory) {
                unsafe zoo_amulti(
                    handle.pointer, Int32(operations.count), calls, results.list, transactionAnswered, pending.context)
            }
        }
    }
}

/// The memory to which the library writes the results of a transaction.
///
/// It must exist until the library has answered.
// Unchecked: only the library's completion thread writes it, before it calls back; only the callback reads it.
@safe final class TransactionResults: @unchecked Sendable {
    let list: UnsafeMutablePointer<zoo_op_result_t>
    private let memory = CMemory()
    private let count: Int
    /// The buffers; the library replaces its own pointers to them with null when a transaction fails.
    private var paths: [Int: (buffer: UnsafeMutablePointer<CChar>, size: Int)] = unsafe [:]
    private var stats: [Int: UnsafeMutablePointer<Stat>] = unsafe [:]

    init(for operations: [TransportOperation]) {
        count = operations.count
        unsafe list = memory.zeroed(zoo_op_result_t.self, count: operations.count)
        for (index, operation) in operations.enumerated() {
            switch operation {
            case .create(let path, _, _, _):
                // Room for a sequence number with its sign, and for the zero at the end.
                let size = path.utf8.count + 16
                unsafe paths[index] = unsafe (memory.zeroed(CChar.self, count: size), size)
            case .setData:
                unsafe stats[index] = unsafe memory.zeroed(Stat.self)
            case .delete, .check:
                break
            }
        }
    }

    func path(_ index: Int) -> (buffer: UnsafeMutablePointer<CChar>, size: Int)? { unsafe paths[index] }

    func stat(_ index: Int) -> UnsafeMutablePointer<Stat>? { unsafe stats[index] }

    /// The results, if a server sent any.
    func body(code: ReplyCode) -> TransportBody {
        // The library never calls back for transactions that it refuses itself as ill-formed.
        guard code.isAnswer || code == .badArguments else { return .none }
        let codes = (0..<count).map { unsafe ReplyCode(rawValue: list[$0].err) }
        if code != .ok {
            guard Self.isFailure(codes, code: code) else { return .none }
            return .multi(codes.map { TransportOperationResult(code: $0) })
        }
        return .multi(
            (0..<count).map { index in
                unsafe TransportOperationResult(
                    code: codes[index],
                    path: paths[index].map { unsafe String(cString: $0.buffer) },
                    stat: stats[index].map { unsafe TransportStat($0.pointee) })
            })
    }

    /// Returns whether these are the results of a failed transaction, and not one code that the library wrote into all
    /// of them.
    private static func isFailure(_ codes: [ReplyCode], code: ReplyCode) -> Bool {
        guard let failed = codes.firstIndex(where: { $0 != .ok }) else { return false }
        return codes[failed] == code
            && codes[(failed + 1)...].allSatisfy { $0 == .runtimeInconsistency }
    }
}

extension TransportOperation {
    /// Whether the operation can be passed to the library.
    fileprivate var isSafe: Bool {
        switch self {
        case .create(let path, _, let mode, _):
            switch mode {
            case .persistent, .ephemeral: isLibraryPath(path)
            case .persistentSequential, .ephemeralSequential: isLibraryPath(path, isSequential: true)
            case .container, .persistentWithTTL, .persistentSequentialWithTTL:
                false
            }
        case .delete(let path, _), .setData(let path, _, _), .check(let path, _):
            isLibraryPath(path)
        }
    }

    fileprivate func write(
        to operation: UnsafeMutablePointer<zoo_op_t>, results: TransactionResults, index: Int, memory: CMemory
    ) {
        switch self {
        case .create(let path, let data, let mode, let acl):
            let bytes = unsafe data.map { unsafe memory.bytes($0, count: $0.count) }
            let room = unsafe results.path(index)
            unsafe zoo_create_op_init(
                operation, memory.string(path), bytes, Int32(data?.count ?? -1), memory.acl(acl), mode.libraryMode,
                room?.buffer, Int32(room?.size ?? 0))
        case .delete(let path, let version):
            unsafe zoo_delete_op_init(operation, memory.string(path), version)
        case .setData(let path, let data, let version):
            let bytes = unsafe data.map { unsafe memory.bytes($0, count: $0.count) }
            unsafe zoo_set_op_init(
                operation, memory.string(path), bytes, Int32(data?.count ?? -1), version, results.stat(index))
        case .check(let path, let version):
            unsafe zoo_check_op_init(operation, memory.string(path), version)
        }
    }
}

/// Returns whether the C library accepts a path.
///
/// In a transaction, the library must not be stricter than this check, because it crashes if it refuses a path.
func isLibraryPath(_ path: String, isSequential: Bool = false) -> Bool {
    let bytes = path.utf8
    guard bytes.first == UInt8(ascii: "/"), bytes.allSatisfy({ $0 >= 0x20 }) else { return false }
    if bytes.count == 1 { return true }
    let parts = bytes.dropFirst().split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    // A sequence number will be appended to the last component.
    return (isSequential ? parts.dropLast() : parts[...]).allSatisfy { part in
        !part.isEmpty && !part.elementsEqual(".".utf8) && !part.elementsEqual("..".utf8)
    }
}
