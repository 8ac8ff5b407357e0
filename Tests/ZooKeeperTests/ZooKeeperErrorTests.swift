import Testing
import ZooKeeperTransport

@testable import ZooKeeper

@Suite
struct ZooKeeperErrorTests {
    @Test(
        arguments: [
            (-101, .noNode), (-110, .nodeExists), (-103, .badVersion), (-111, .notEmpty),
            (-108, .noChildrenForEphemerals), (-102, .noAuth), (-114, .invalidACL), (-115, .authenticationFailed),
            (-125, .quotaExceeded), (-127, .throttled), (-6, .unimplemented), (-8, .invalidArgument), (-121, .noWatch),
            (-119, .server), (-123, .server),
        ] as [(ReplyCode, ZooKeeperError.Code)])
    func `rule 13: what the server refused was surely not executed`(replyCode: ReplyCode, code: ZooKeeperError.Code) {
        let error = ZooKeeperError(replyCode: replyCode, path: "/a")
        #expect(error.code == code)
        #expect(!error.isOutcomeUnknown)
        #expect(error.serverCode == replyCode.rawValue)
        #expect(error.path == "/a")
    }

    @Test(
        arguments: [
            (-4, .connectionLoss), (-116, .connectionLoss), (-2, .connectionLoss), (-9, .connectionLoss),
            (-5, .connectionLoss), (-7, .operationTimeout), (-118, .sessionMoved), (-112, .sessionExpired),
        ] as [(ReplyCode, ZooKeeperError.Code)])
    func `what was lost on the way may have been executed`(replyCode: ReplyCode, code: ZooKeeperError.Code) {
        let error = ZooKeeperError(replyCode: replyCode, path: nil)
        #expect(error.code == code)
        #expect(error.isOutcomeUnknown)
    }

    @Test(arguments: [-1, -3, -100, -122, -999, 7] as [ReplyCode])
    func `a code that nobody knows promises nothing`(replyCode: ReplyCode) {
        let error = ZooKeeperError(replyCode: replyCode, path: nil)
        #expect(error.code == .server)
        #expect(error.isOutcomeUnknown)
    }

    @Test func `a description is one line with all that is known`() {
        #expect(ZooKeeperError(.noNode, path: "/a").description == "noNode at \"/a\"")
        #expect(ZooKeeperError(.clientStopped).description == "clientStopped")
        #expect(ZooKeeperError(.invalidConfiguration, message: "bad").description == "invalidConfiguration: bad")
        #expect(
            ZooKeeperError(.badVersion, path: "/a", failedOperation: 2).description
                == "badVersion at \"/a\" (operation 2 of the transaction)")
        #expect(ZooKeeperError(replyCode: -123, path: nil).description == "server [-123]")
        #expect(
            ZooKeeperError(replyCode: -4, path: "/a").description
                == "connectionLoss at \"/a\"; it may have happened all the same")
    }
}
