public import Metrics

/// SQL statements that write the rows of a table with fencing tokens, and do not change a row with a higher token.
///
/// This type creates the text of a statement and the order of its parameters. The database library executes the
/// statement. Each row has a 64-bit column for the highest token that has written it; the column is `NULL` if no token
/// has written the row.
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
/// Rows that are also written under shared grants, such as permits of a gate, need a second column for the highest
/// exclusive token; see ``FencingRegisters``. Pass its name as `exclusiveColumn`, and create statements for both kinds
/// of tokens.
public final class FencedSQL: Sendable {
    /// The syntax in which a database writes names and parameters.
    public struct Dialect: Sendable, Hashable {
        enum Kind: Hashable { case postgreSQL, sqlite, mySQL }

        let kind: Kind

        /// Names as `"name"` and parameters as `$1`; the token is bound once.
        public static let postgreSQL = Dialect(kind: .postgreSQL)
        /// Names as `"name"` and parameters as `?1`; the token is bound once.
        public static let sqlite = Dialect(kind: .sqlite)
        /// Names in backquotes and parameters as `?`; the token is bound each time it occurs.
        ///
        /// The connection must report the number of rows found, not of rows changed (`CLIENT_FOUND_ROWS`). Otherwise a
        /// second write of the same values appears to be refused.
        public static let mySQL = Dialect(kind: .mySQL)
    }

    /// The quoted name of the table, as it appears in statements.
    public let table: String
    private let tokenColumn: String
    private let exclusiveColumn: String?
    private let dialect: Dialect
    private let counters: FencedWriteCounters

    /// Creates statements for a table.
    ///
    /// - Parameters:
    ///   - table: The name of the table, optionally preceded by a schema: letters, digits and underscores.
    ///   - tokenColumn: The column for the highest token. Default: `fencing_token`.
    ///   - exclusiveColumn: The column for the highest exclusive token; `nil` if rows are written under exclusive
    ///     grants only. Default: `nil`.
    ///   - dialect: The database's syntax for names and parameters.
    ///   - metricsFactory: The factory for the counters of updates; `nil` uses the factory that swift-metrics was
    ///     bootstrapped with. Default: `nil`.
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

    /// Returns a statement that updates the rows with given keys.
    ///
    /// - Parameters:
    ///   - columns: The columns to set, at least one.
    ///   - keys: The columns that identify the rows, at least one.
    ///   - kind: The kind of the tokens that the statement is executed with. Default: `.exclusive`.
    /// - Returns: The statement and the order of its parameters.
    /// - Throws: ``FencingError`` with code `.invalidIdentifier`, also if `kind` is shared and there is no column for
    ///   exclusive tokens, or if a column is given twice.
    public func update(
        setting columns: [String], where keys: [String], for kind: FencingToken.Kind = .exclusive
    ) throws(FencingError) -> FencedStatement {
        guard !columns.isEmpty, !keys.isEmpty, Set(columns + keys).count == columns.count + keys.count else {
            throw FencingError(
                .invalidIdentifier, target: table,
                message: "setting: and where: must each name a column, and no column may be named twice")
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
            // A higher token of another holder remains; a comparison with `NULL` is never true.
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

    /// Counts an executed update, and throws unless all of its rows were written.
    ///
    /// Call this method before the transaction of the database is committed. If only some rows of an update were
    /// refused, the transaction can then be rolled back.
    ///
    /// - Parameters:
    ///   - affectedRows: The number of rows that the database reports as written. A row is not written if it has a
    ///     higher token or does not exist.
    ///   - expected: The number of rows that the update should write. Default: 1.
    ///   - token: The token that the update was executed with.
    /// - Throws: ``FencingError`` with code `.staleToken` if fewer rows were written than expected.
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

    /// The number of accepted and rejected updates.
    public var counts: FencedWriteCounts { counters.current }
}

/// A statement and the order of its parameters.
public struct FencedStatement: Sendable, Hashable {
    /// The value to bind to a parameter.
    public enum Parameter: Sendable, Hashable {
        /// The new value of the column with this name.
        case value(String)
        /// The fencing token, ``FencingToken/rawValue``.
        case token
        /// The key value of the column with this name.
        case key(String)
    }

    /// The text of the statement.
    public fileprivate(set) var text = ""
    /// The parameters to bind, in this order.
    public fileprivate(set) var parameters: [Parameter] = []
}

extension FencedSQL.Dialect {
    /// Quotes a name, and refuses characters that could end it.
    fileprivate func quoted(_ name: String, mayHaveSchema: Bool = false) throws(FencingError) -> String {
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        guard (1...(mayHaveSchema ? 2 : 1)).contains(parts.count), parts.allSatisfy(Self.isName) else {
            throw FencingError(
                .invalidIdentifier, target: name,
                message: "a name has at most 63 letters, digits and underscores, and does not start with a digit")
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
