import Testing
import ZooKeeperRecipes

@Suite struct FencedSQLTests {
    @Test func `PostgreSQL numbers its parameters, the token once`() throws {
        let fenced = try FencedSQL(table: "billing.invoices", dialect: .postgreSQL)
        let update = try fenced.update(setting: ["state", "paid_at"], where: ["id"])
        #expect(
            update.text == """
                UPDATE "billing"."invoices" SET "state" = $1, "paid_at" = $2, "fencing_token" = $3 \
                WHERE "id" = $4 AND ("fencing_token" IS NULL OR "fencing_token" <= $3)
                """)
        #expect(update.parameters == [.value("state"), .value("paid_at"), .token, .key("id")])
    }

    @Test func `SQLite numbers them in its own way`() throws {
        let update = try FencedSQL(table: "t", tokenColumn: "tok", dialect: .sqlite)
            .update(setting: ["a"], where: ["x", "y"])
        #expect(
            update.text
                == #"UPDATE "t" SET "a" = ?1, "tok" = ?2 WHERE "x" = ?3 AND "y" = ?4 AND ("tok" IS NULL OR "tok" <= ?2)"#
        )
    }

    @Test func `MySQL binds the token twice`() throws {
        let update = try FencedSQL(table: "t", tokenColumn: "tok", dialect: .mySQL).update(setting: ["a"], where: ["x"])
        #expect(update.text == "UPDATE `t` SET `a` = ?, `tok` = ? WHERE `x` = ? AND (`tok` IS NULL OR `tok` <= ?)")
        #expect(update.parameters == [.value("a"), .token, .key("x"), .token])
    }

    @Test func `rows with two columns are written under grants of both kinds`() throws {
        let fenced = try FencedSQL(table: "t", tokenColumn: "tok", exclusiveColumn: "excl", dialect: .postgreSQL)
        #expect(
            try fenced.update(setting: ["a"], where: ["x"]).text
                == #"UPDATE "t" SET "a" = $1, "tok" = $2, "excl" = $2 WHERE "x" = $3 AND ("tok" IS NULL OR "tok" <= $2)"#
        )
        let shared = try fenced.update(setting: ["a"], where: ["x"], for: .shared)
        #expect(
            shared.text == """
                UPDATE "t" SET "a" = $1, "tok" = CASE WHEN "tok" > $2 THEN "tok" ELSE $2 END \
                WHERE "x" = $3 AND ("excl" IS NULL OR "excl" <= $2)
                """)
        let mySQL = try FencedSQL(table: "t", exclusiveColumn: "excl", dialect: .mySQL)
            .update(setting: ["a"], where: ["x"], for: .shared)
        #expect(mySQL.parameters == [.value("a"), .token, .token, .key("x"), .token])
        let error = #expect(throws: FencingError.self) {
            try FencedSQL(table: "t", dialect: .sqlite).update(setting: ["a"], where: ["x"], for: .shared)
        }
        #expect(error?.message?.contains("exclusiveColumn") == true)
    }

    @Test func `an update of which a row was refused is refused`() throws {
        let fenced = try FencedSQL(table: "t", dialect: .sqlite)
        let error = #expect(throws: FencingError.self) {
            try fenced.record(affectedRows: 2, of: 3, token: FencingToken(rawValue: 1))
        }
        #expect(error?.code == .staleToken && error?.message?.contains("2 of 3") == true)
        try fenced.record(affectedRows: 3, of: 3, token: FencingToken(rawValue: 1))
        #expect(fenced.counts.accepted == 1 && fenced.counts.rejected == 1)
    }

    @Test(arguments: [
        "", "a b", "a;b", "1a", "a\"", "a`b", "a.b.c", "ä", ".a", "a.", String(repeating: "a", count: 64),
    ])
    func `a name that could end its quotes is refused`(_ name: String) {
        let error = #expect(throws: FencingError.self) { try FencedSQL(table: name, dialect: .postgreSQL) }
        #expect(error?.code == .invalidIdentifier)
        #expect(throws: FencingError.self) {
            try FencedSQL(table: "t", dialect: .mySQL).update(setting: [name], where: ["x"])
        }
    }

    @Test func `a column with a schema, one that is there twice, and none are refused`() throws {
        let fenced = try FencedSQL(table: "t", dialect: .sqlite)
        for (columns, keys) in [(["a.b"], ["x"]), (["a", "a"], ["x"]), (["x"], ["x"]), ([], ["x"]), (["a"], [])] {
            #expect(throws: FencingError.self) { try fenced.update(setting: columns, where: keys) }
        }
    }

    @Test func `what was executed is counted, and no row is a stale token`() throws {
        let fenced = try FencedSQL(table: "t", dialect: .sqlite)
        try fenced.record(affectedRows: 2, token: FencingToken(rawValue: 1))
        let error = #expect(throws: FencingError.self) {
            try fenced.record(affectedRows: 0, token: FencingToken(rawValue: 1))
        }
        #expect(error?.code == .staleToken)
        #expect(fenced.counts.accepted == 1 && fenced.counts.rejected == 1)
    }
}
