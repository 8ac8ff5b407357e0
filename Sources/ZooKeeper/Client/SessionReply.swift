internal import ZooKeeperTransport

/// The answer to a request that succeeded.
package enum SessionReply: Sendable {
    case none
    case created(path: String, stat: ZNodeStat)
    case stat(ZNodeStat)
    case data([UInt8], ZNodeStat)
    case children([String], ZNodeStat)
    case acl([ACL], ZNodeStat)
    case multi([TransactionResult])
}

package typealias SessionResult = Result<SessionReply, ZooKeeperError>

/// The content of replies; a reply of another kind than the request is an error of the transport.
extension SessionReply {
    package var created: (path: String, stat: ZNodeStat) {
        get throws(ZooKeeperError) {
            guard case .created(let path, let stat) = self else { throw Self.mismatch }
            return (path, stat)
        }
    }

    package var stat: ZNodeStat {
        get throws(ZooKeeperError) {
            guard case .stat(let stat) = self else { throw Self.mismatch }
            return stat
        }
    }

    package var data: (data: [UInt8], stat: ZNodeStat) {
        get throws(ZooKeeperError) {
            guard case .data(let data, let stat) = self else { throw Self.mismatch }
            return (data, stat)
        }
    }

    package var children: (names: [String], stat: ZNodeStat) {
        get throws(ZooKeeperError) {
            guard case .children(let names, let stat) = self else { throw Self.mismatch }
            return (names, stat)
        }
    }

    package var acl: (acl: [ACL], stat: ZNodeStat) {
        get throws(ZooKeeperError) {
            guard case .acl(let acl, let stat) = self else { throw Self.mismatch }
            return (acl, stat)
        }
    }

    private static var mismatch: ZooKeeperError {
        ZooKeeperError(.server, message: "the answer does not match the kind of the request")
    }
}

extension RequestEncoder {
    /// Converts an answer of the transport into its public form.
    func decode(_ reply: TransportReply, to request: SessionRequest) -> SessionResult {
        guard reply.code == .ok else { return .failure(error(for: reply, request: request)) }
        return switch reply.body {
        case .none: .success(.none)
        case .created(let path, let stat): .success(.created(path: stripped(path), stat: ZNodeStat(stat)))
        case .stat(let stat): .success(.stat(ZNodeStat(stat)))
        case .data(let data, let stat): .success(.data(data ?? [], ZNodeStat(stat)))
        case .children(let names, let stat): .success(.children(names, ZNodeStat(stat)))
        case .acl(let acl, let stat): .success(.acl(acl.map(ACL.init), ZNodeStat(stat)))
        case .multi(let results): .success(.multi(results.map(decode)))
        }
    }

    private func decode(_ result: TransportOperationResult) -> TransactionResult {
        TransactionResult(path: result.path.map(stripped), stat: result.stat.map(ZNodeStat.init))
    }

    private func error(for reply: TransportReply, request: SessionRequest) -> ZooKeeperError {
        var error = ZooKeeperError(replyCode: reply.code, path: request.path)
        guard case .multi(let operations) = request, case .multi(let results) = reply.body else { return error }
        // The operations before the failed one have succeeded, and those after it were not executed.
        guard !error.isOutcomeUnknown,
            let index = results.firstIndex(where: { ![.ok, .runtimeInconsistency].contains($0.code) })
        else {
            return error
        }
        error.failedOperation = index
        if index < operations.count { error.path = operations[index].path }
        return error
    }
}
