import Testing
import ZooKeeperTransport

@testable import ZooKeeperBridge

@Suite struct LogTests {
    @Test func `a line of the library loses its clock, process and thread`() {
        let line = LibraryLogLine(
            "2026-01-31 10:11:12,345:77(0x7f0012):ZOO_ERROR@handle_socket_error_msg@2043: Socket [::1:2181] zk retcode=-4\n"
        )
        #expect(line.text == "Socket [::1:2181] zk retcode=-4")
        #expect(line.function == "handle_socket_error_msg")
        #expect(line.isProblem)
        #expect(!LibraryLogLine("2026-01-31 10:11:12,345:77(0x7f):ZOO_INFO@check_events@2985: a@b: c").isProblem)
        #expect(LibraryLogLine("2026-01-31 10:11:12,345:77(0x7f):ZOO_INFO@check_events@2985: a@b: c").text == "a@b: c")
    }

    @Test func `a line in another form stays as it is`() {
        #expect(LibraryLogLine("something else").text == "something else")
        #expect(LibraryLogLine("").text == "")
        #expect(LibraryLogLine("a@b@c").text == "a@b@c")
    }
}
