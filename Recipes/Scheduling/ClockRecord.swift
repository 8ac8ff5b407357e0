internal import Foundation
internal import ZooKeeper
internal import ZooKeeperRecipes

/// The content of `PATH/clock`: the node that last read the ensemble's clock, and its schedule.
///
/// Operators' programs do not know the schedule of a task. They read it here, to count the periods of a range.
struct ClockRecord: Sendable, Hashable {
    var participantID: String
    /// The schedule; `nil` if the record does not contain one.
    var schedule: Schedule?

    init(participantID: String, schedule: Schedule) {
        self.participantID = participantID
        self.schedule = schedule
    }

    init(_ data: [UInt8]) {
        let text = KeyValueData(data)
        participantID = text["node"] ?? ""
        schedule = Schedule(text)
    }

    var bytes: [UInt8] {
        var text = KeyValueData()
        text["node"] = participantID
        schedule?.write(to: &text)
        return text.bytes
    }
}

extension Schedule {
    /// Parses the fields of a record; `nil` if they do not define a schedule.
    fileprivate init?(_ text: KeyValueData) {
        let zone = text["zone"] ?? ""
        let parsed: Schedule? =
            switch text["schedule"] {
            case "daily": text["time"].flatMap(TimeOfDay.init(text:)).flatMap { try? .daily(at: $0, in: zone) }
            case "cron": text["cron"].flatMap { try? .cron($0, in: zone) }
            case "every":
                text["seconds"].flatMap(Int.init).flatMap { seconds in
                    text["from"].flatMap(Timestamp.init).flatMap { try? .every(.seconds(seconds), from: $0) }
                }
            case "leadership": .onLeadership
            default: nil
            }
        guard let parsed else { return nil }
        self = parsed
    }

    fileprivate func write(to text: inout KeyValueData) {
        switch kind {
        case .daily(let time, let zone):
            text["schedule"] = "daily"
            text["time"] = time.description
            text["zone"] = zone.identifier
        case .cron(let expression, let zone):
            text["schedule"] = "cron"
            text["cron"] = expression.description
            text["zone"] = zone.identifier
        case .every(let seconds, let origin):
            text["schedule"] = "every"
            text["seconds"] = String(seconds)
            text["from"] = Timestamp(seconds: origin).secondsText
        case .withLeadership: text["schedule"] = "leadership"
        }
    }
}

extension TimeOfDay {
    /// Parses the form `02:30`.
    fileprivate init?(text: String) {
        let parts = text.split(separator: ":").map { Int($0) }
        guard parts.count == 2, let hour = parts[0], let minute = parts[1],
            let time = try? TimeOfDay(hour: hour, minute: minute)
        else { return nil }
        self = time
    }
}
