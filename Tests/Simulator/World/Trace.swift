internal import ZooKeeper

/// What happened in a simulated world, a line a step.
///
/// A schedule's fingerprint is kept always; the lines only when they are asked for, because most schedules show nothing.
package struct Trace {
    package private(set) var lines: [String] = []
    package private(set) var fingerprint: UInt64 = 0xcbf2_9ce4_8422_2325
    package let isKept: Bool

    init(isKept: Bool) {
        self.isKept = isKept
    }

    mutating func add(_ time: MonotonicInstant, _ who: @autoclosure () -> String?, _ text: @autoclosure () -> String) {
        mix(UInt64(bitPattern: time.nanoseconds))
        guard isKept else { return }
        let line = "\(Self.seconds(time)) \(Self.padded(who() ?? "world")) \(text())"
        lines.append(line)
    }

    mutating func mix(_ number: UInt64) {
        fingerprint = (fingerprint ^ number) &* 0x0000_0100_0000_01b3
        fingerprint ^= fingerprint >> 29
    }

    /// Seconds with six digits, so that lines stand in columns.
    private static func seconds(_ time: MonotonicInstant) -> String {
        let micros = time.nanoseconds / 1000
        let fraction = String(micros % 1_000_000)
        let whole = String(micros / 1_000_000)
        return String(repeating: " ", count: max(0, 4 - whole.count)) + whole + "."
            + String(repeating: "0", count: 6 - fraction.count) + fraction
    }

    private static func padded(_ name: String) -> String {
        name + String(repeating: " ", count: max(0, 8 - name.count))
    }
}
