/// Returns a noun in the form that a number in front of it requires: `1 field`, `2 fields`.
///
/// - Parameters:
///   - singular: The singular.
///   - plural: The plural. Default: the singular with an `s`.
///   - count: The number.
package func noun(_ singular: String, plural: String? = nil, for count: some BinaryInteger) -> String {
    count == 1 ? singular : plural ?? singular + "s"
}
