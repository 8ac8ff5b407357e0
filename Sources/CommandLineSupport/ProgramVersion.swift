/// The version of the programs, as `--version` prints it.
///
/// It is that of the newest heading of `CHANGELOG.md`, with `-unreleased` behind it until the release; `make lint` checks
/// this.
package let programVersion = "0.1.0-unreleased"
