/// Contains every request that has not been answered, so that none is ever lost.
///
/// The C library drops requests when it is closed or when its session ends. Adding and removing take constant time.
/// Once the registry has grown to the largest number of requests in flight, they allocate nothing but the request
/// itself.
struct RequestRegistry {
    private var slots: [PendingRequest?] = []
    private var vacant: [Int] = []
    private var nextNumber: UInt64 = 0

    var count: Int { slots.count - vacant.count }

    mutating func add(_ make: (_ slot: Int, _ number: UInt64) -> PendingRequest) -> PendingRequest {
        nextNumber &+= 1
        if let slot = vacant.popLast() {
            let request = make(slot, nextNumber)
            slots[slot] = request
            return request
        }
        let request = make(slots.count, nextNumber)
        slots.append(request)
        return request
    }

    /// Removes a request; returns `false` if it was removed before.
    mutating func remove(_ request: PendingRequest) -> Bool {
        guard request.slot < slots.count, slots[request.slot] === request else { return false }
        slots[request.slot] = nil
        vacant.append(request.slot)
        return true
    }

    /// Removes and returns all requests, the oldest first.
    mutating func removeAll() -> [PendingRequest] {
        let rest = slots.compactMap { $0 }.sorted { $0.number < $1.number }
        slots = []
        vacant = []
        return rest
    }
}
