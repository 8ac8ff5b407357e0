import Testing

@testable import ZooKeeperRecipes

@Suite struct SemaphoreRoomTests {
    @Test func `what is no lease takes no room`() {
        let names = [
            "_c_x-lease-0000000001", "lease-0000000002", "lease--2147483648", "config", "lease-1", "lock-0000000001",
        ]
        let room = SemaphoreRoom(limit: 5, names: names)
        #expect(room.taken == 3)
        #expect(room.fits(2) && !room.fits(3))
    }

    @Test func `with a limit below what is taken nothing fits`() {
        #expect(!SemaphoreRoom(limit: 0, names: ["lease-0000000001"]).fits(1))
        #expect(!SemaphoreRoom(limit: -1, names: []).fits(1))
    }

    @Test(
        arguments: [(0, [0, 0, 0, 0]), (258, [0, 0, 1, 2]), (2_147_483_647, [127, 255, 255, 255])] as [(Int, [UInt8])])
    func `a limit is four bytes, the highest first`(_ limit: Int, _ bytes: [UInt8]) {
        #expect(SemaphoreRoom.bytes(limit: limit) == bytes)
        #expect(SemaphoreRoom.limit(bytes) == limit)
    }

    @Test func `other bytes are no limit`() {
        for bytes in [[], [1], [0, 0, 0, 0, 0]] as [[UInt8]] { #expect(SemaphoreRoom.limit(bytes) == nil) }
        #expect(SemaphoreRoom.limit([255, 255, 255, 255]) == -1)
    }
}
