/// The parts of replies; a reply of another shape than the request's is an error of the transport.
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
        ZooKeeperError(.server, message: "an answer of another kind than the request")
    }
}
