extension CommandFailure: CustomStringConvertible {
    /// How the command ended, for logs and records.
    var description: String {
        switch status {
        case 126: "the command cannot be run (exit status 126)"
        case 127: "the command was not found (exit status 127)"
        case 129...192: "the command was ended by signal \(status - 128) (exit status \(status))"
        default: "the command ended with exit status \(status)"
        }
    }
}
