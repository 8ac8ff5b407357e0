internal import Foundation

/// One instant at which a schedule strikes.
struct Stroke: Equatable {
    var id: String
    var instant: Date
    var remark: String?
}

extension Schedule {
    /// Rare days, such as a 29 February on a certain weekday, come within 40 years; in 2100 one is left out.
    private static let horizon = 50 * 366

    func first(after instant: Date) -> Stroke? {
        if isWithLeadership { return nil }
        if case .every(let seconds, let origin) = kind {
            return stroke(seconds: seconds, origin: origin, count: count(seconds, origin, instant) + 1)
        }
        var day = LocalDay(of: instant, in: zone).previous
        for _ in 0..<Self.horizon {
            if let stroke = strokes(on: day).first(where: { $0.instant > instant }) { return stroke }
            day = day.next
        }
        return nil
    }

    func last(at instant: Date) -> Stroke? {
        if isWithLeadership { return nil }
        if case .every(let seconds, let origin) = kind {
            return stroke(seconds: seconds, origin: origin, count: count(seconds, origin, instant))
        }
        var day = LocalDay(of: instant, in: zone).next
        for _ in 0..<Self.horizon {
            if let stroke = strokes(on: day).last(where: { $0.instant <= instant }) { return stroke }
            day = day.previous
        }
        return nil
    }

    private var zone: TimeZone {
        switch kind {
        case .daily(_, let zone), .cron(_, let zone): zone
        case .every, .withLeadership: .gmt
        }
    }

    // MARK: Local days

    /// When it strikes on a local day, in order.
    private func strokes(on day: LocalDay) -> [Stroke] {
        switch kind {
        case .daily(let time, let zone):
            return once(time, on: day, in: zone, id: day.description).map { [$0] } ?? []
        case .cron(let expression, let zone):
            guard expression.includes(day) else { return [] }
            let strokes = expression.times.flatMap { time in
                expression.isAnyHour
                    ? each(time, on: day, in: zone)
                    : once(time, on: day, in: zone, id: "\(day)T\(time)").map { [$0] } ?? []
            }
            return strokes.sorted { ($0.instant, $0.id) < ($1.instant, $1.id) }
        case .every, .withLeadership: return []
        }
    }

    /// A time of the local day, which is meant once.
    ///
    /// - Returns: `nil` when the zone leaves the whole day out.
    private func once(_ time: TimeOfDay, on day: LocalDay, in zone: TimeZone, id: String) -> Stroke? {
        switch LocalInstant(time, on: day, in: zone) {
        case .once(let instant): return Stroke(id: id, instant: instant)
        case .twice(let first, _):
            return Stroke(
                id: id, instant: first, remark: "\(time) comes twice on \(day) in \(zone.identifier): the first")
        case .never(let then):
            guard LocalDay(of: then, in: zone) == day else { return nil }
            return Stroke(
                id: id, instant: then,
                remark: "there is no \(time) on \(day) in \(zone.identifier): the first instant after it")
        }
    }

    /// A local time that is meant as often as it comes; named by its instant, so that names are in order of time.
    private func each(_ time: TimeOfDay, on day: LocalDay, in zone: TimeZone) -> [Stroke] {
        switch LocalInstant(time, on: day, in: zone) {
        case .once(let instant): [stroke(at: instant)]
        case .twice(let first, let second):
            [
                stroke(at: first, remark: "\(time) comes twice on \(day): the first"),
                stroke(at: second, remark: "\(time) comes twice on \(day): the second"),
            ]
        case .never: []
        }
    }

    // MARK: Intervals

    private func count(_ seconds: Int, _ origin: Int, _ instant: Date) -> Int {
        Int(((instant.timeIntervalSince1970 - Double(origin)) / Double(seconds)).rounded(.down))
    }

    private func stroke(seconds: Int, origin: Int, count: Int) -> Stroke {
        stroke(at: Date(timeIntervalSince1970: Double(origin + count * seconds)))
    }

    private func stroke(at instant: Date, remark: String? = nil) -> Stroke {
        Stroke(id: UniversalTime.text(instant), instant: instant, remark: remark)
    }
}
