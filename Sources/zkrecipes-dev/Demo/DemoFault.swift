/// The faults that the demo causes, each during a window.
enum DemoFault: String, Sendable, CaseIterable, Encodable {
    case killProcessor = "kill -9 of a processor"
    case killOperator = "kill -9 of the operator"
    case freezeProcessor = "SIGSTOP of a processor"
    case restartServer = "server restart"
}
