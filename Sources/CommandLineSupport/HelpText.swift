/// Parts that the help texts of several commands have in common.
package enum HelpText {
    /// Lists exit statuses, one in each line.
    ///
    /// - Parameter rows: The statuses and their meanings, of at most 70 characters each, so that no line is wrapped.
    package static func exitStatus(_ rows: KeyValuePairs<String, String>) -> String {
        (["Exit status:"] + rows.map { "  \(Text.left($0, 8))\($1)" }).joined(separator: "\n")
    }

    /// Shows an example in lines of its own.
    package static func example(_ lines: String...) -> String {
        (["Example:"] + lines.map { "  \($0)" }).joined(separator: "\n")
    }

    /// The signals that end a program, and when they have no effect.
    package static let signals = """
        SIGINT, SIGQUIT and SIGHUP do the same as SIGTERM. They have no effect if they were ignored when the program \
        was started, as with nohup or in the background of a shell script; SIGTERM always works.
        """

    /// What a program that runs until a signal does if its output is not written.
    package static let unwrittenOutput = """
        If an output cannot be written, the program reports that once and continues; it ends with status 1. If the \
        reader of the output has stopped reading, the program does not wait for it: it drops lines when 1 MiB of output \
        is waiting, and ends 1s after it has done everything else.
        """

    /// The exit statuses of programs that run until a signal, and what they do if their output is not written.
    package static let statusUntilSignal =
        exitStatus([
            "0": "a signal ended the program, or the reader of its output has exited",
            "1": "failure, such as no connection or an output that was not written",
            "64": "invalid option or argument",
        ]) + "\n\n" + unwrittenOutput
}
