package import ZooKeeperTransport

/// A change that every server makes alike, decided by the leader before it was proposed.
package enum TreeChange {
    case create(Creation)
    case delete(path: String)
    case setData(path: String, data: [UInt8]?, version: Int32)
    case setACL(path: String, acl: [TransportACL], version: Int32)
    case check
    /// The session's timeout in milliseconds.
    case createSession(timeout: Int32)
    /// The ephemeral nodes that go with the session.
    case closeSession(paths: [String])
    /// An administrator's: the next sequence number among a node's children.
    case setSequence(path: String, next: Int32)
    /// A write that was refused; it takes its place among the others nonetheless.
    case error(ReplyCode)
    case multi([TreeChange])
    case failedMulti([ReplyCode])
}

/// A node that will be created.
package struct Creation {
    package var path: String
    package var data: [UInt8]?
    package var acl: [TransportACL]
    /// A session, none, or the mark of a container.
    package var owner: Int64
    /// How many children the parent has ever had, with this one.
    package var parentCreated: Int32

    var isEphemeral: Bool { owner != 0 && owner != Znode.container }
}

/// An entry of the ensemble's history.
package final class Transaction {
    package let zxid: Int64
    /// Wall clock of the leader, in milliseconds since 1970.
    package let time: Int64
    /// Whose it is; 0 for an administrator's or a server's own.
    package let session: Int64
    package let change: TreeChange
    /// Who waits for the answer.
    let origin: Origin?

    package convenience init(zxid: Int64, time: Int64, session: Int64, change: TreeChange) {
        self.init(zxid: zxid, time: time, session: session, change: change, origin: nil)
    }

    init(zxid: Int64, time: Int64, session: Int64, change: TreeChange, origin: Origin?) {
        self.zxid = zxid
        self.time = time
        self.session = session
        self.change = change
        self.origin = origin
    }

    /// The code of a write that was refused.
    var code: ReplyCode {
        switch change {
        case .error(let code): code
        case .failedMulti(let codes): codes.first { $0 != ReplyCode.ok } ?? ReplyCode.ok
        default: ReplyCode.ok
        }
    }
}

/// The place on a server where a request's answer is waited for.
struct Origin {
    var server: Int
    var ticket: Int
}

extension Transaction: CustomStringConvertible {
    /// The transaction as a trace shows it.
    package var description: String { "\(zxidText(zxid)) \(change)" }
}

extension TreeChange: CustomStringConvertible {
    package var description: String {
        switch self {
        case .create(let creation): "create \(creation.path)"
        case .delete(let path): "delete \(path)"
        case .setData(let path, _, _): "set \(path)"
        case .setACL(let path, _, _): "set access of \(path)"
        case .check: "check"
        case .createSession: "create session"
        case .closeSession(let paths): "close session" + paths.map { " \($0)" }.joined()
        case .setSequence(let path, let next): "next of \(path) is \(next)"
        case .error(let code): "refused \(code)"
        case .multi(let changes): "[" + changes.map(\.description).joined(separator: ", ") + "]"
        case .failedMulti(let codes): "refused \(codes)"
        }
    }
}

/// A zxid as `epoch:number`, which is how one reads it.
func zxidText(_ zxid: Int64) -> String { "\(zxid >> 32):\(zxid & 0xffff_ffff)" }
