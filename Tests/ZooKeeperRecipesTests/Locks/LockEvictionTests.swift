import Testing

@testable import ZooKeeperRecipes

@Suite struct LockEvictionTests {
    private static let uuid = "11111111-0000-4000-8000-000000000000"

    @Test(arguments: [
        ("_c_22222222-0000-4000-8000-000000000000-lock-0000000007", "lock-0000000007"),
        ("_c_22222222-0000-4000-8000-000000000000-__READ__0000000007", "__READ__0000000007"),
        ("anything-__WRIT__0000000007", "__WRIT__0000000007"), ("lock--0000000007", "lock--0000000007"),
        ("_c_22222222-0000-4000-8000-000000000000-lease-0000000007", "lease-0000000007"),
    ])
    func `a placeholder has the kind and the number of the holder's znode`(name: String, end: String) {
        let path = EvictionPlaceholder.path(for: "/app/lock/\(name)", uuid: Self.uuid)
        #expect(path == "/app/lock/_c_\(Self.uuid)-evict-\(end)")
        #expect(EvictionPlaceholder.isPlaceholder(path.asChild.name) && !EvictionPlaceholder.isPlaceholder(name))
        #expect(EvictionPlaceholder.place(of: path.asChild.name) == EvictionPlaceholder.place(of: name))
        let (own, holder) = (ContenderName(path.asChild.name), ContenderName(name))
        #expect(own?.number == holder?.number && own?.kind == holder?.kind)
        #expect(own != nil || SemaphoreRoom.isLease(path.asChild.name))
    }

    @Test func `a placeholder records who is evicted, why and for how long`() {
        var eviction = LockQueueEntry.Eviction([])
        #expect(eviction.participantID.isEmpty && eviction.duration == .zero)
        (eviction.participantID, eviction.reason, eviction.duration) = ("near", "a\nb=c", .milliseconds(1500))
        let bytes = eviction.bytes(operatorID: "ada")
        #expect(LockQueueEntry.Eviction(bytes) == eviction)
        #expect(KeyValueData(bytes)["owner"] == "ada")
    }
}
