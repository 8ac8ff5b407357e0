public import Metrics

/// Statements that write to a table's rows with fencing tokens: a row that has a higher token is left as it is.
///
/// It makes text and the order of the parameters; executing it is the database library's. Each row has a column for the
/// token, 64 bits, `NULL` for a row that nobody has written with one.
///
/// ```swift
/// let fenced = try FencedSQL(table: "invoices", dialect: .postgreSQL)
/// let update = try fenced.update(setting: ["state", "paid_at"], where: ["id"])
/// // UPDATE "invoices" SET "state" = $1, "paid_at" = $2, "fencing_token" = $3
/// // WHERE "id" = $4 AND ("fencing_token" IS NULL OR "fencing_token" <= $3)
/// let rows = try await database.execute(update.text, [state, paidAt, lease.fencingToken.rawValue, id])
/// try fenced.record(affectedRows: rows, token: lease.fencingToken)
/// ```
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
    private let dialect: Dialect
    private let counters: FencedWriteCounters

    /// Takes a table.
    ///
    /// - Parameters:
    ///   - table: Its name, with a schema in front if need be: letters, digits and underscores.
    ///   - tokenColumn: The column for the token.
    ///   - dialect: The database's way to write names and parameters.
    ///   - metricsFactory: Where updates are counted; `nil` takes the one that swift-metrics was set up with.
    /// - Throws: ``FencingError`` with code `.invalidIdentifier`.
    public init(
        table: String, tokenColumn: String = "fencing_token", dialect: Dialect,
        metricsFactory: (any MetricsFactory)? = nil
    ) throws(FencingError) {
        self.dialect = dialect
        self.tokenColumn = try dialect.quoted(tokenColumn)
        self.table = try dialect.quoted(table, mayHaveSchema: true)
        counters = FencedWriteCounters(target: table, factory: metricsFactory)
    }

    /// Makes an update of the rows that a key names.
    ///
    /// - Parameters:
    ///   - columns: What is written, at least one.
    ///   - keys: What the row is found by, at least one.
    /// - Throws: ``FencingError`` with code `.invalidIdentifier`.
    public func update(setting columns: [String], where keys: [String]) throws(FencingError) -> FencedStatement {
        guard !columns.isEmpty, !keys.isEmpty, Set(columns + keys).count == columns.count + keys.count else {
            throw FencingError(
                .invalidIdentifier, target: table, message: "columns to set and columns to find by, none of them twice")
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
        assignments.append("\(tokenColumn) = \(placeholder(.token))")
        var conditions: [String] = []
        for key in keys { conditions.append("\(try dialect.quoted(key)) = \(placeholder(.key(key)))") }
        conditions.append("(\(tokenColumn) IS NULL OR \(tokenColumn) <= \(placeholder(.token)))")
        statement.text =
            "UPDATE \(table) SET \(assignments.joined(separator: ", "))"
            + " WHERE \(conditions.joined(separator: " AND "))"
        return statement
    }

    /// Counts an update that was executed.
    ///
    /// - Parameters:
    ///   - affectedRows: How many rows the database says it has written. None means that the row has a higher token, or
    ///     that there is no such row.
    ///   - token: The token that the update was made with.
    /// - Throws: ``FencingError`` with code `.staleToken` when there are none.
    public func record(affectedRows: Int, token: FencingToken) throws(FencingError) {
        guard affectedRows > 0 else {
            counters.reject()
            throw FencingError(.staleToken, target: table, token: token)
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
