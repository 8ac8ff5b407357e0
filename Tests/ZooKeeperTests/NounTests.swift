import Testing

@testable import ZooKeeper

@Suite struct NounTests {
    @Test func `one is the singular, and every other number the plural`() {
        #expect([0, 1, 2, -1].map { noun("field", for: $0) } == ["fields", "field", "fields", "fields"])
        #expect([1, 2].map { noun("child", plural: "children", for: $0) } == ["child", "children"])
    }
}
