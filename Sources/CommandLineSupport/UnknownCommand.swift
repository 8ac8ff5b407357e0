package import ArgumentParser

extension RootCommand {
    /// Returns the error about the first word that should be the name of a subcommand and is not; `nil` if there is none.
    ///
    /// The parser would report only how many arguments it did not expect.
    package static func unknownCommand(in arguments: some Sequence<String>) -> ValidationError? {
        var command: any ParsableCommand.Type = Self.self
        var path = [_commandName]
        for word in arguments {
            let commands = command.configuration.subcommands
            // Groups of commands have no arguments of their own. The parser itself adds the command `help`.
            guard !commands.isEmpty, !word.hasPrefix("-"), !(path.count == 1 && word == "help") else { return nil }
            if let next = commands.first(where: { $0._commandName == word || $0.configuration.aliases.contains(word) })
            {
                command = next
                path.append(word)
                continue
            }
            let names = commands.filter { $0.configuration.shouldDisplay }.map { $0._commandName }
            // The word may be an argument of the default command.
            if command.configuration.defaultSubcommand != nil, nearest(to: word, names) == nil { return nil }
            return ValidationError(
                "\(path.joined(separator: " ")) has no command \(Text.quoted(word)): \(advice(about: word, names))")
        }
        return nil
    }
}

/// Returns the advice to use the nearest of some names, or one of all if none is near.
func advice(about word: String, _ names: [String]) -> String {
    nearest(to: word, names).map { "did you mean \"\($0)\"?" } ?? "use one of \(names.joined(separator: ", "))"
}

/// Returns the name that differs from a word in one or two letters; `nil` if there is none.
private func nearest(to word: String, _ names: [String]) -> String? {
    let distances = names.map { editDistance(word, $0) }
    guard let least = distances.min(), least <= 2, let index = distances.firstIndex(of: least) else { return nil }
    return least < names[index].count ? names[index] : nil
}

/// Returns the number of letters to insert, to remove or to replace that make one word of the other.
func editDistance(_ first: String, _ second: String) -> Int {
    let (first, second) = (Array(first.unicodeScalars.prefix(100)), Array(second.unicodeScalars.prefix(100)))
    var row = Array(0...second.count)
    for (index, letter) in first.enumerated() {
        var diagonal = row[0]
        row[0] = index + 1
        for (column, other) in second.enumerated() {
            let replaced = diagonal + (letter == other ? 0 : 1)
            diagonal = row[column + 1]
            row[column + 1] = min(replaced, diagonal + 1, row[column] + 1)
        }
    }
    return row[second.count]
}
