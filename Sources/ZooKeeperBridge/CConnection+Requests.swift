import CZooKeeper
import ZooKeeperTransport

extension CConnection {
    /// Calls the function of the library for a request.
    ///
    /// If the code is 0, the library will answer. With any other code, it has sent nothing and will not answer.
    func start(_ request: TransportRequest, pending: PendingRequest, on handle: Handle) -> ReplyCode {
        ReplyCode(rawValue: call(request, pending: pending, on: handle))
    }

    private func call(_ request: TransportRequest, pending: PendingRequest, on handle: Handle) -> Int32 {
        let (zh, context) = unsafe (handle.pointer, pending.context)
        return switch request {
        case .create(let path, let data, let mode, let acl):
            unsafe withPath(path) { path in
                unsafe withData(data) { bytes, count in
                    unsafe withACL(acl) {
                        unsafe zoo_acreate2_ttl(
                            zh, path, bytes, count, $0, mode.libraryMode, mode.timeToLive ?? -1, createAnswered, context
                        )
                    }
                }
            }
        case .delete(let path, let version):
            unsafe withPath(path) { unsafe zoo_adelete(zh, $0, version, voidAnswered, context) }
        case .exists(let path, let watch):
            unsafe withPath(path) { unsafe zoo_aexists(zh, $0, watch ? 1 : 0, statAnswered, context) }
        case .getData(let path, let watch):
            unsafe withPath(path) { unsafe zoo_aget(zh, $0, watch ? 1 : 0, dataAnswered, context) }
        case .setData(let path, let data, let version):
            unsafe withPath(path) { path in
                unsafe withData(data) { unsafe zoo_aset(zh, path, $0, $1, version, statAnswered, context) }
            }
        case .getChildren(let path, let watch):
            unsafe withPath(path) { unsafe zoo_aget_children2(zh, $0, watch ? 1 : 0, childrenAnswered, context) }
        case .getACL(let path):
            unsafe withPath(path) { unsafe zoo_aget_acl(zh, $0, aclAnswered, context) }
        case .setACL(let path, let acl, let version):
            unsafe withPath(path) { path in
                unsafe withACL(acl) { unsafe zoo_aset_acl(zh, path, version, $0, voidAnswered, context) }
            }
        case .sync(let path):
            unsafe withPath(path) { unsafe zoo_async(zh, $0, pathAnswered, context) }
        case .multi(let operations):
            startTransaction(operations, pending: pending, on: handle)
        case .removeWatches(let path, let kind):
            unsafe withPath(path) {
                unsafe zkb_remove_watches(
                    zh, $0, kind == .data ? ZWATCHTYPE_DATA : ZWATCHTYPE_CHILD, voidAnswered, context)
            }
        case .addAuth(let credential):
            startAdding(credential, pending: pending, on: handle)
        }
    }

    private func startAdding(_ credential: TransportCredential, pending: PendingRequest, on handle: Handle) -> Int32 {
        if handle.isUnrecoverable { return ReplyCode.invalidState.rawValue }
        add(credential, request: pending, to: handle)
        return ReplyCode.ok.rawValue
    }
}

extension TransportCreateMode {
    var libraryMode: Int32 {
        switch self {
        case .persistent: ZOO_PERSISTENT
        case .ephemeral: ZOO_EPHEMERAL
        case .persistentSequential: ZOO_PERSISTENT_SEQUENTIAL
        case .ephemeralSequential: ZOO_EPHEMERAL_SEQUENTIAL
        case .container: ZOO_CONTAINER
        case .persistentWithTTL: ZOO_PERSISTENT_WITH_TTL
        case .persistentSequentialWithTTL: ZOO_PERSISTENT_SEQUENTIAL_WITH_TTL
        }
    }
}

/// Passes a path to a C call.
///
/// A path with a zero byte would be a different path in C, and is refused.
func withPath(_ path: String, _ body: (UnsafePointer<CChar>) -> Int32) -> Int32 {
    unsafe path.withCString { text in
        unsafe strlen(text) == path.utf8.count ? body(text) : ReplyCode.badArguments.rawValue
    }
}

/// Passes data to a C call: a null pointer and -1 for no data, a pointer that is not null for empty data.
func withData(_ data: [UInt8]?, _ body: (UnsafePointer<CChar>?, Int32) -> Int32) -> Int32 {
    guard let data else { return body(nil, -1) }
    guard let count = Int32(exactly: data.count) else { return ReplyCode.badArguments.rawValue }
    if data.isEmpty {
        return unsafe withUnsafePointer(to: CChar(0)) { unsafe body($0, 0) }
    }
    return unsafe data.withUnsafeBytes { unsafe body($0.bindMemory(to: CChar.self).baseAddress, count) }
}

/// Passes an access control list to a C call.
func withACL(_ acl: [TransportACL], _ body: (UnsafeMutablePointer<ACL_vector>) -> Int32) -> Int32 {
    let memory = CMemory()
    return withExtendedLifetime(memory) { unsafe body(memory.acl(acl)) }
}
