import CommandLineSupport

/// Formats the current state of a demo as lines for a terminal.
struct DemoPainter {
    /// The events per second of a full bar.
    var rate: Int
    var width: Int
    var hasColours = Output.hasColours

    private static let barWidth = 16

    /// The lines that are redrawn in place.
    func block(_ lines: some Sequence<DemoBoard.Line>, window: String) -> [String] {
        ["", fitted("  " + window)] + lines.map { self.line($0) }
    }

    private func line(_ line: DemoBoard.Line) -> String {
        let share = rate > 0 ? min(1, Double(line.perSecond) / Double(rate)) : line.perSecond > 0 ? 1 : 0
        let full = Int((share * Double(Self.barWidth)).rounded())
        let bar = String(repeating: "█", count: full) + String(repeating: "░", count: Self.barWidth - full)
        let before = "  \(Text.left(line.name, 12)) \(Text.left(String(line.pid), 7)) "
        let state = Text.left(line.state, 10)
        let after =
            " \(bar) \(Text.right(Text.grouped(line.perSecond), 6))/s \(Text.right(Text.grouped(line.events), 9)) events"
        guard hasColours, (before + state + after).count <= width - 1 else { return fitted(before + state + after) }
        let colour = Self.colour(of: line.state)
        return "\(before)\u{1b}[\(colour)m\(state)\u{1b}[0m\(after)"
    }

    /// Returns the text, cut to the terminal's width, because a wrapped line could not be redrawn in place.
    func fitted(_ text: String) -> String { String(text.prefix(max(1, width - 1))) }

    private static func colour(of state: String) -> Int {
        switch state {
        case "running": 32
        case "draining", "paused", "recovering", "starting": 33
        default: 31
        }
    }
}
