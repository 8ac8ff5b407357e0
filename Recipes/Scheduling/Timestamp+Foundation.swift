public import Foundation
public import ZooKeeper

extension Timestamp {
    /// Creates the timestamp that is nearest to a date.
    ///
    /// A date that is not a number becomes 1970-01-01T00:00:00Z.
    ///
    /// - Parameter date: The date.
    public init(_ date: Date) {
        let milliseconds = (date.timeIntervalSince1970 * 1000).rounded()
        self.init(
            millisecondsSince1970: milliseconds.isNaN
                ? 0 : Int64(exactly: milliseconds) ?? (milliseconds < 0 ? .min : .max))
    }
}

extension Date {
    /// Creates the date of a timestamp.
    ///
    /// - Parameter timestamp: The timestamp.
    public init(_ timestamp: Timestamp) {
        self.init(timeIntervalSince1970: Double(timestamp.millisecondsSince1970) / 1000)
    }
}
