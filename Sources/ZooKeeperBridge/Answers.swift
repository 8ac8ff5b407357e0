import CZooKeeper
import ZooKeeperTransport

// The callbacks of the library. They are called on the completion thread of the connection. Their arguments are freed
// when they return, so they copy them.

func voidAnswered(code: Int32, data: UnsafeRawPointer?) {
    unsafe PendingRequest.from(data)?.finish(TransportReply(code: ReplyCode(rawValue: code)))
}

func pathAnswered(code: Int32, path: UnsafePointer<CChar>?, data: UnsafeRawPointer?) {
    unsafe PendingRequest.from(data)?.finish(TransportReply(code: ReplyCode(rawValue: code)))
}

func statAnswered(code: Int32, stat: UnsafePointer<Stat>?, data: UnsafeRawPointer?) {
    unsafe PendingRequest.from(data)?.finish(
        unsafe reply(code, stat) { .stat($0) })
}

func dataAnswered(
    code: Int32, value: UnsafePointer<CChar>?, length: Int32, stat: UnsafePointer<Stat>?, data: UnsafeRawPointer?
) {
    unsafe PendingRequest.from(data)?.finish(
        unsafe reply(code, stat) { unsafe .data(copied(value, length), $0) })
}

func createAnswered(
    code: Int32, path: UnsafePointer<CChar>?, stat: UnsafePointer<Stat>?, data: UnsafeRawPointer?
) {
    unsafe PendingRequest.from(data)?.finish(
        unsafe reply(code, stat) { unsafe .created(path: path.map { unsafe String(cString: $0) } ?? "", $0) })
}

func childrenAnswered(
    code: Int32, names: UnsafePointer<String_vector>?, stat: UnsafePointer<Stat>?, data: UnsafeRawPointer?
) {
    unsafe PendingRequest.from(data)?.finish(
        unsafe reply(code, stat) { unsafe .children(copied(names), $0) })
}

func aclAnswered(
    code: Int32, acl: UnsafeMutablePointer<ACL_vector>?, stat: UnsafeMutablePointer<Stat>?, data: UnsafeRawPointer?
) {
    unsafe PendingRequest.from(data)?.finish(
        unsafe reply(code, stat.map { unsafe UnsafePointer($0) }) { unsafe .acl(copied(acl), $0) })
}

func transactionAnswered(code: Int32, data: UnsafeRawPointer?) {
    guard let request = unsafe PendingRequest.from(data) else { return }
    let code = ReplyCode(rawValue: code)
    request.finish(TransportReply(code: code, body: request.results?.body(code: code) ?? .none))
}

private func reply(
    _ code: Int32, _ stat: UnsafePointer<Stat>?, _ body: (TransportStat) -> TransportBody
) -> TransportReply {
    let code = ReplyCode(rawValue: code)
    guard code == .ok, let stat = unsafe stat else { return TransportReply(code: code) }
    return unsafe TransportReply(code: code, body: body(TransportStat(stat.pointee)))
}

private func copied(_ value: UnsafePointer<CChar>?, _ length: Int32) -> [UInt8]? {
    guard let value = unsafe value, length >= 0 else { return nil }
    return unsafe [UInt8](UnsafeRawBufferPointer(start: value, count: Int(length)))
}

private func copied(_ names: UnsafePointer<String_vector>?) -> [String] {
    guard let names = unsafe names?.pointee, let first = unsafe names.data else { return [] }
    let all = unsafe UnsafeBufferPointer(start: first, count: Int(names.count))
    return unsafe all.compactMap { unsafe $0.map { unsafe String(cString: $0) } }
}

private func copied(_ acl: UnsafeMutablePointer<ACL_vector>?) -> [TransportACL] {
    guard let acl = unsafe acl?.pointee, let first = unsafe acl.data else { return [] }
    let all = unsafe UnsafeBufferPointer(start: first, count: Int(acl.count))
    return unsafe all.map { entry in
        unsafe TransportACL(
            permissions: entry.perms,
            scheme: entry.id.scheme.map { unsafe String(cString: $0) } ?? "",
            id: entry.id.id.map { unsafe String(cString: $0) } ?? "")
    }
}

extension TransportStat {
    init(_ stat: Stat) {
        self.init(
            czxid: stat.czxid, mzxid: stat.mzxid, pzxid: stat.pzxid, ctime: stat.ctime, mtime: stat.mtime,
            version: stat.version, cversion: stat.cversion, aversion: stat.aversion,
            ephemeralOwner: stat.ephemeralOwner, dataLength: stat.dataLength, numChildren: stat.numChildren)
    }
}
