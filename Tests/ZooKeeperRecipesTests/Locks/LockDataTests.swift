import Testing
import ZooKeeper

@testable import ZooKeeperRecipes

@Suite struct LockDataTests {
    @Test func `a name alone and data alone are written as they are`() {
        #expect(LockData(participantID: "web 1", data: []).bytes == Array("web 1".utf8))
        #expect(LockData(participantID: "", data: [0, 255]).bytes == [0, 255])
        #expect(LockData(participantID: "", data: []).bytes == [])
    }

    @Test func `both together are lines that people can read`() {
        let data = LockData(participantID: "web\n1", data: Array("a=b\\c\n".utf8))
        #expect(String(decoding: data.bytes, as: UTF8.self) == "owner=web\\n1\ndata=a=b\\\\c\\n\n")
    }

    @Test(arguments: [[0, 159, 146, 150], [1], [255, 0], [255, 254, 253], Array("text".utf8)] as [[UInt8]])
    func `both together read back`(_ bytes: [UInt8]) {
        let data = LockData(participantID: "näme", data: bytes)
        #expect(LockData(data.bytes) == data)
    }

    @Test func `what others write is the name, where it is text, and the data`() {
        #expect(LockData(Array("10.0.0.7".utf8)) == LockData(participantID: "10.0.0.7", data: Array("10.0.0.7".utf8)))
        #expect(LockData([255, 1]) == LockData(participantID: "", data: [255, 1]))
        #expect(LockData(Array("owner=x\nbase64=?\n".utf8)).participantID == "owner=x\nbase64=?\n")
    }

    @Test(arguments: ["": "", "f": "Zg==", "fo": "Zm8=", "foo": "Zm9v", "foob": "Zm9vYg==", "fooba": "Zm9vYmE="])
    func `base64 is that of RFC 4648`(_ text: String, _ encoded: String) {
        #expect(Base64.encode(Array(text.utf8)) == encoded)
        #expect(Base64.decode(encoded) == Array(text.utf8))
    }

    @Test(arguments: ["Z", "Zg=", "Zh==", "Zg==Zg==", "Zm9v!"]) func `what is not base64 is refused`(_ text: String) {
        #expect(Base64.decode(text) == nil)
    }
}
