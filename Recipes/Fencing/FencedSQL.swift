public import Metrics

/// Statements that write to a table's rows with fencing tokens: a row that has a higher token is left as it is.
///
/// It makes text and the order of the parameters; executing it is the database library's. Each row has a column for the
/// highest token that has written it, 64 bits, `NULL` for a row that nobody has written with one.
///
/// ```swift
/// let fenced = try FencedSQL(table: "invoices", dialect: .postgreSQL)
/// let update = try fenced.update(setting: ["state", "paid_at"], where: ["id"])
/// // UPDATE "invoices" SET "state" = $1, "paid_at" = $2, "fencing_token" = $3
/// // WHERE "id" = $4 AND ("fencing_token" IS NULL OR "fencing_token" <= $3)
/// let rows = try await database.execute(update.text, [state, paidAt, lease.fencingToken.rawValue, id])
/// try fenced.record(affectedRows: rows, token: lease.fencingToken)
/// ```
///
/// Rows that are also written under shared grants, such as permits of a gate, have a second column, for the highest
/// exclusive token: see ``FencingRegisters``. Name it with `exclusiveColumn`, and make statements for both kinds of tokens.
public final class FencedSQL: Sendable {
    /// How a database writes names and parameters.
    public struct Dialect: Sendable, Hashable {
        enum Kind: Hashable { case postgreSQL, sqlite, mySQL }

        let kind: Kind

        /// `"name"`, and `$1` for parameters: the token is one parameter.
        public static let postgreSQL = Dialect(kind: .postgreSQL)
        /// `"name"`, and `?1` for parameters: the token is one parameter.
        public static let sqlite = Dialect(kind: .sqlite)
        /// The name in backquotes, and `?` for parameters: the token is bound twice.
        ///
        /// The connection must count the rows that were found, not those that were changed (`CLIENT_FOUND_ROWS`): a
        /// second write of the same values would look refused.
        public static let mySQL = Dialect(kind: .mySQL)
    }

    /// The table's name as it stands in statements.
    public let table: String
    private let tokenColumn: String
    private let exclusiveColumn: String?
    private let dialect: Dialect
    private let counters: FencedWriteCounters

    /// Takes a table.
    ///
    /// - Parameters:
    ///   - table: Its name, with a schema in front if need be: letters, digits and underscores.
    ///   - tokenColumn: The column for the highest token.
    ///   - exclusiveColumn: The column for the highest exclusive token; `nil` if rows are written under exclusive grants only.
    ///   - dialect: The database's way to write names and parameters.
    ///   - metricsFactory: Where updates are counted; `nil` takes the one that swift-metrics was set up with.
    /// - Throws: ``FencingError`` with code `.invalidIdentifier`.
    public init(
        table: String, tokenColumn: String = "fencing_token", exclusiveColumn: String? = nil, dialect: Dialect,
        metricsFactory: (any MetricsFactory)? = nil
    ) throws(FencingError) {
        self.dialect = dialect
        self.tokenColumn = try dialect.quoted(tokenColumn)
        if let exclusiveColumn {
            self.exclusiveColumn = try dialect.quoted(exclusiveColumn)
        } else {
            self.exclusiveColumn = nil
        }
        self.table = try dialect.quoted(table, mayHaveSchema: true)
        counters = FencedWriteCounters(target: table, factory: metricsFactory)
    }

    /// Makes an update of the rows that a key names.
    ///
    /// - Parameters:
    ///   - columns: What is written, at least one.
    ///   - keys: What the row is found by, at least one.
    ///   - kind: The kind of the tokens that the statement is executed with.
    /// - Throws: ``FencingError`` with code `.invalidIdentifier`, also for shared tokens without a column for exclusive ones.
    public func update(
        setting columns: [String], where keys: [String], for kind: FencingToken.Kind = .exclusive
    ) throws(FencingError) -> FencedStatement {
        guard !columns.isEmpty, !keys.isEmpty, Set(columns + keys).count == columns.count + keys.count else {
            throw FencingError(
                .invalidIdentifier, target: table, message: "columns to set and columns to find by, none of them twice")
        }
        guard kind == .exclusive || exclusiveColumn != nil else {
            throw FencingError(
                .invalidIdentifier, target: table,
                message: "shared tokens need a second column: give exclusiveColumn, for the highest exclusive token")
        }
        var statement = FencedStatement()
        func placeholder(_ parameter: FencedStatement.Parameter) -> String {
            let known = dialect.kind == .mySQL ? nil : statement.parameters.firstIndex(of: parameter)
            if known == nil { statement.parameters.append(parameter) }
            let number = (known ?? statement.parameters.count - 1) + 1
            return switch dialect.kind {
            case .postgreSQL: "$\(number)"
            case .sqlite: "?\(number)"
            case .mySQL: "?"
            }
        }
        var assignments: [String] = []
        for column in columns { assignments.append("\(try dialect.quoted(column)) = \(placeholder(.value(column)))") }
        switch kind {
        case .exclusive:
            for column in [tokenColumn, exclusiveColumn].compactMap(\.self) {
                assignments.append("\(column) = \(placeholder(.token))")
            }
        case .shared:
            // A higher one of another holder stays; `NULL` is never higher.
            assignments.append(
                "\(tokenColumn) = CASE WHEN \(tokenColumn) > \(placeholder(.token)) THEN \(tokenColumn) "
                    + "ELSE \(placeholder(.token)) END")
        }
        var conditions: [String] = []
        for key in keys { conditions.append("\(try dialect.quoted(key)) = \(placeholder(.key(key)))") }
        let least = kind == .shared ? exclusiveColumn ?? tokenColumn : tokenColumn
        conditions.append("(\(least) IS NULL OR \(least) <= \(placeholder(.token)))")
        statement.text =
            "UPDATE \(table) SET \(assignments.joined(separator: ", "))"
            + " WHERE \(conditions.joined(separator: " AND "))"
        return statement
    }

    /// Counts an update that was executed, and refuses it unless all its rows were written.
    ///
    /// Call it before the database's transaction is committed, so that an update of several rows of which some are refused
    /// can be rolled back.
    ///
    /// - Parameters:
    ///   - affectedRows: How many rows the database says it has written. A row is missing if it has a higher token, or does
    ///     not exist.
    ///   - expected: How many rows the update was to write.
    ///   - token: The token that the update was made with.
    /// - Throws: ``FencingError`` with code `.staleToken` if a row is missing.
    public func record(affectedRows: Int, of expected: Int = 1, token: FencingToken) throws(FencingError) {
        guard affectedRows >= expected else {
            counters.reject()
            let message =
                affectedRows > 0
                ? "\(affectedRows) of \(expected) rows were written: roll the transaction back" : nil
            throw FencingError(.staleToken, target: table, token: token, message: message)
        }
        counters.accept()
    }

    /// How many updates were taken, and how many refused.
    public var counts: FencedWriteCounts { counters.current }
}

/// A statement with the order of its parameters.
public struct FencedStatement: Sendable, Hashable {
    /// What a parameter stands for.
    public enum Parameter: Sendable, Hashable {
        /// The new value of a column.
        case value(String)
        /// The fencing token, ``FencingToken/rawValue``.
        case token
        /// What a row is found by.
        case key(String)
    }

    /// The statement.
    public fileprivate(set) var text = ""
    /// What is to be bound, in this order.
    public fileprivate(set) var parameters: [Parameter] = []
}

extension FencedSQL.Dialect {
    /// A name as it may stand in a statement: nothing that could end it.
    fileprivate func quoted(_ name: String, mayHaveSchema: Bool = false) throws(FencingError) -> String {
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        guard (1...(mayHaveSchema ? 2 : 1)).contains(parts.count), parts.allSatisfy(Self.isName) else {
            throw FencingError(
                .invalidIdentifier, target: name,
                message: "letters, digits and underscores, at most 63, not beginning with a digit")
        }
        let mark = kind == .mySQL ? "`" : "\""
        return parts.map { "\(mark)\($0)\(mark)" }.joined(separator: ".")
    }

    private static func isName(_ name: Substring) -> Bool {
        let bytes = name.utf8
        guard let first = bytes.first, bytes.count <= 63 else { return false }
        func isLetter(_ byte: UInt8) -> Bool {
            byte == UInt8(ascii: "_") || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
        }
        return isLetter(first)
            && bytes.allSatisfy { isLetter($0) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    }
}
