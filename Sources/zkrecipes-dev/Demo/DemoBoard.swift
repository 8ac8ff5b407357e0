import CommandLineSupport
import Synchronization
import ZooKeeper

/// The output of the demo: a log of events, and the current state of all processors.
///
/// On a terminal, the log scrolls and the current state is redrawn below it. Otherwise, only the log is printed.
final class DemoBoard: Sendable {
    /// The displayed state of one processor.
    struct Line: Sendable {
        var name: String
        var pid: Int32
        var state: String
        var events = 0
        var perSecond = 0
    }

    fileprivate struct State {
        var lines: [Line] = []
        var window = ""
        var pending: [String] = []
        var drawn = 0
        var history: [(at: MonotonicInstant, counts: [String: Int])] = []
    }

    private let rate: Int
    private let isLive: Bool
    private let isSilent: Bool
    private let clock = SystemMonotonicClock()
    private let began: MonotonicInstant
    private let state = Mutex(State())

    /// Creates the output.
    ///
    /// - Parameters:
    ///   - rate: The events per second of a full bar.
    ///   - isSilent: Whether nothing is printed, as with `--json`.
    init(rate: Int, isSilent: Bool) {
        self.rate = rate
        self.isSilent = isSilent
        isLive = !isSilent && Output.isTerminal
        began = clock.now
    }

    // MARK: Log and states

    /// Adds a line with the time to the log.
    func tell(_ text: String) {
        let time = Text.right(Text.fixed((clock.now - began) / .seconds(1), 1), 6)
        tell(plain: "\(time) s  \(text)")
    }

    /// Adds a line without the time to the log.
    func tell(plain text: String) {
        guard !isSilent else { return }
        if isLive { state.withLock { $0.pending.append(Text.escaped(text)) } } else { Output.line(text) }
    }

    /// Sets the displayed state of the current window.
    func show(window: String) { state.withLock { $0.window = window } }

    /// Adds a processor, or replaces the one with the same name.
    func add(_ name: String, pid: Int32) {
        state.withLock { state in
            let line = Line(name: name, pid: pid, state: "starting")
            if let index = state.lines.firstIndex(where: { $0.name == name }) {
                state.lines[index] = line
            } else {
                state.lines.append(line)
            }
        }
    }

    /// Sets the displayed state of a processor.
    func set(_ name: String, state word: String) {
        let isNew = state.withLock { state in
            guard let index = state.lines.firstIndex(where: { $0.name == name }) else { return false }
            defer { state.lines[index].state = word }
            return state.lines[index].state != word
        }
        if isNew, !isLive { tell("\(name) is \(word)") }
    }

    // MARK: Drawing

    /// Redraws the current state until the task is cancelled.
    ///
    /// - Parameter counts: Returns the number of events that each processor has logged.
    func draw(counts: @escaping @Sendable () -> [String: Int]) async {
        guard isLive else { return }
        Output.writeResult("\u{1b}[?25l")
        while (try? await Task.sleep(for: .milliseconds(100))) != nil {
            redraw(counts())
            // A terminal that has stopped its output receives no frames in between.
            try? await Output.requireWritten()
        }
        redraw(counts())
        Output.writeResult("\u{1b}[?25h")
    }

    private func redraw(_ counts: [String: Int]) {
        let now = clock.now
        let text = state.withLock { state in
            state.note(counts, at: now)
            let size = Output.terminalSize
            let painter = DemoPainter(rate: rate, width: size.columns)
            let block = painter.block(state.lines.suffix(max(1, size.rows - 4)), window: state.window)
            var text = state.drawn > 0 ? "\u{1b}[\(state.drawn)A\r\u{1b}[0J" : ""
            text += state.pending.map { painter.fitted($0) + "\n" }.joined()
            text += block.map { $0 + "\n" }.joined()
            (state.pending, state.drawn) = ([], block.count)
            return text
        }
        Output.writeResult(text)
    }
}

extension DemoBoard.State {
    /// Records counts, of which the last half second determines the rates.
    fileprivate mutating func note(_ counts: [String: Int], at now: MonotonicInstant) {
        history.append((now, counts))
        while history.count > 2, history[1].at < now - .milliseconds(500) { history.removeFirst() }
        let first = history[0]
        let seconds = max((now - first.at) / .seconds(1), 0.001)
        for index in lines.indices {
            let name = lines[index].name
            let count = counts[name] ?? 0
            let new = count - (first.counts[name] ?? count)
            lines[index].events = count
            lines[index].perSecond = max(0, Int(Double(new) / seconds))
        }
    }
}
