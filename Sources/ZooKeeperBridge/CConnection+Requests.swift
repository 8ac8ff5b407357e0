import CZooKeeper
import ZooKeeperTransport

extension CConnection {
    /// Makes the library's call for a request.
    ///
    /// With the code 0 the library will answer; with any other it has sent nothing and will not.
    func start(_ request: TransportRequest, pending: PendingRequest, on handle: Handle) -> ReplyCode {
        ReplyCode(rawValue: call(request, pending: pending, on: handle))
    }

    private func call(_ request: TransportRequest, pending: PendingRequest, on handle: Handle) -> Int32 {
        switch request {
        case .create(let path, let data, let mode, let acl):
            unsafe create(path, data: data, mode: mode, acl: acl, context: pending.context, on: handle)
        case .delete, .exists, .getData, .setData, .getChildren, .getACL, .sync, .removeWatches:
            unsafe startOnPath(request, context: pending.context, on: handle)
        case .setACL(let path, let acl, let version):
            unsafe setACL(path, acl: acl, version: version, context: pending.context, on: handle)
        case .multi(let operations):
            startTransaction(operations, pending: pending, on: handle)
        case .addAuth(let credential):
            startAdding(credential, pending: pending, on: handle)
        }
    }

    private func startOnPath(_ request: TransportRequest, context: UnsafeRawPointer, on handle: Handle) -> Int32 {
        let zh = unsafe handle.pointer
        switch request {
        case .delete(let path, let version):
            return unsafe withPath(path) { unsafe zoo_adelete(zh, $0, version, voidAnswered, context) }
        case .exists(let path, let watch):
            return unsafe withPath(path) { unsafe zoo_aexists(zh, $0, watch ? 1 : 0, statAnswered, context) }
        case .getData(let path, let watch):
            return unsafe withPath(path) { unsafe zoo_aget(zh, $0, watch ? 1 : 0, dataAnswered, context) }
        case .setData(let path, let data, let version):
            return unsafe withPath(path) { path in
                unsafe withData(data) { bytes, count in
                    unsafe zoo_aset(zh, path, bytes, count, version, statAnswered, context)
                }
            }
        case .getChildren(let path, let watch):
            return unsafe withPath(path) {
                unsafe zoo_aget_children2(zh, $0, watch ? 1 : 0, childrenAnswered, context)
            }
        case .getACL(let path):
            return unsafe withPath(path) { unsafe zoo_aget_acl(zh, $0, aclAnswered, context) }
        case .sync(let path):
            return unsafe withPath(path) { unsafe zoo_async(zh, $0, pathAnswered, context) }
        case .removeWatches(let path, let kind):
            let type = kind == .data ? ZWATCHTYPE_DATA : ZWATCHTYPE_CHILD
            return unsafe withPath(path) { unsafe zkb_remove_watches(zh, $0, type, voidAnswered, context) }
        case .create, .setACL, .multi, .addAuth:
            return ReplyCode.badArguments.rawValue
        }
    }

    private func create(
        _ path: String, data: [UInt8]?, mode: TransportCreateMode, acl: [TransportACL], context: UnsafeRawPointer,
        on handle: Handle
    ) -> Int32 {
        let memory = CMemory()
        return withExtendedLifetime(memory) {
            unsafe withPath(path) { path in
                unsafe withData(data) { bytes, count in
                    unsafe zoo_acreate2_ttl(
                        handle.pointer, path, bytes, count, memory.acl(acl), mode.libraryMode, mode.timeToLive ?? -1,
                        createAnswered, context)
                }
            }
        }
    }

    private func setACL(
        _ path: String, acl: [TransportACL], version: Int32, context: UnsafeRawPointer, on handle: Handle
    ) -> Int32 {
        let memory = CMemory()
        return withExtendedLifetime(memory) {
            unsafe withPath(path) { path in
                unsafe zoo_aset_acl(handle.pointer, path, version, memory.acl(acl), voidAnswered, context)
            }
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

    var timeToLive: Int64? {
        switch self {
        case .persistentWithTTL(let time), .persistentSequentialWithTTL(let time): time
        case .persistent, .ephemeral, .persistentSequential, .ephemeralSequential, .container: nil
        }
    }

    var isSequential: Bool {
        switch self {
        case .persistentSequential, .ephemeralSequential, .persistentSequentialWithTTL: true
        case .persistent, .ephemeral, .container, .persistentWithTTL: false
        }
    }
}

/// Lends a path to a C call.
///
/// One that holds a zero byte would reach C as another path, and is refused.
func withPath(_ path: String, _ body: (UnsafePointer<CChar>) -> Int32) -> Int32 {
    unsafe path.withCString { text in
        unsafe strlen(text) == path.utf8.count ? body(text) : ReplyCode.badArguments.rawValue
    }
}

/// Lends data to a C call: a null pointer and -1 for none, a pointer that is not null for empty data.
func withData(_ data: [UInt8]?, _ body: (UnsafePointer<CChar>?, Int32) -> Int32) -> Int32 {
    guard let data else { return body(nil, -1) }
    guard let count = Int32(exactly: data.count) else { return ReplyCode.badArguments.rawValue }
    if data.isEmpty {
        return unsafe withUnsafePointer(to: CChar(0)) { unsafe body($0, 0) }
    }
    return unsafe data.withUnsafeBytes { unsafe body($0.bindMemory(to: CChar.self).baseAddress, count) }
}
