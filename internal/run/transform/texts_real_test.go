//go:build real

package transform

import (
	"fmt"
	"strconv"
	"strings"
)

// literal returns a text that SimpleHeaderConverter parses: numbers by their size, dates, lists, maps, quoted text, and
// similar texts.
func (c chance) literal(depth int) string {
	space := func() string { return c.pick("", "", "", " ", "\t", "  ") }
	digits := func(n int) string {
		var b strings.Builder
		for range 1 + c.IntN(n) {
			b.WriteByte(byte('0' + c.IntN(10)))
		}
		return b.String()
	}
	var text string
	switch c.IntN(12 + 4*min(depth, 1)) {
	case 0:
		text = c.pick("127", "128", "-128", "-129", "32767", "32768", "-32769", "2147483647", "2147483648",
			"-2147483649", "9223372036854775807", "9223372036854775808",
			"-9223372036854775809", "1e3", "1E400", "0x10", "007", "-0", "+1", "1_000")
	case 1:
		text = c.pick("", "-", "+") + digits(22)
	case 2:
		text = c.pick("", "-") + digits(9) + "." + digits(c.IntN(12)+1)
	case 3:
		text = c.pick("", "-", "+") + digits(4) + c.pick(".", "") + digits(3) + c.pick("e", "E", "E+", "e-") + digits(2)
	case 4:
		text = fmt.Sprintf("%04d-%02d-%02d", c.IntN(3000), c.IntN(14), c.IntN(33))
	case 5:
		text = fmt.Sprintf("%02d:%02d:%02d.%03d%s", c.IntN(26), c.IntN(62), c.IntN(62), c.IntN(1000),
			c.pick("Z", "", "+01:00"))
	case 6:
		text = fmt.Sprintf("%04d-%02d-%02dT%02d:%02d:%02d.%03d%s", 1900+c.IntN(200), 1+c.IntN(12), 1+c.IntN(31),
			c.IntN(24), c.IntN(60), c.IntN(60), c.IntN(1000), c.pick("Z", "Z", "Z", "", "+0100", "-05:00"))
	case 7:
		text = c.pick("true", "false", "null", "TRUE", "False", "NULL", "nulls", "truefalse", "NaN", "Infinity",
			"-Infinity", "1f", "1d", "1L", "٣٠٠", "-٣.٥", "٢٠٢٤-٠٢-٢٩",
			"\u00a0", "\u3000x", "\x01", "1.5F", "2D", ".5", "5.", ".", "-", "+", "e", "1e", "--1")
	case 8, 9:
		text = strconv.Quote(c.pick("", "a", "a b", "ä", "1", "true", `q"q`, `\`, ",", "]", "2024-02-29", "٢٠٢٤-٠٢-٢٩",
			":"))
		if c.oneIn(4) {
			text = text[:len(text)-1]
		}
	case 10:
		text = c.pick("a", "text", "ä", "a b", "😀", "a,b", "a:b", ":", ",", `\`, `\"`, `\:`, `a\,b`,
			"[", "]", "{", "}", "[]", "{}", "[,]", "{:}", "{,}", "[}", "{]", "[[", "[]]", "'a'", "\u00a0", "\n")
	case 11:
		text = ""
	case 12, 13:
		var list []string
		for range c.IntN(4) {
			list = append(list, space()+c.literal(depth-1)+space())
		}
		text = "[" + strings.Join(list, ",") + c.pick("]", "]", "]", "]", ",]", "", "]]")
	default:
		var list []string
		for range c.IntN(3) {
			list = append(list, space()+c.literal(depth-1)+space()+c.pick(":", ":", ":", ":", "", "=")+
				space()+c.literal(depth-1))
		}
		text = "{" + strings.Join(list, ",") + c.pick("}", "}", "}", "}", ",}", "", "}}")
	}
	return c.pick("", "", "", " ") + text + c.pick("", "", "", " ")
}

// numeral returns a text that Cast may accept as a number, or nearly.
func (c chance) numeral() string {
	var b strings.Builder
	for range 1 + c.IntN(6) {
		b.WriteString(c.pick("0", "1", "9", "127", "128", "32768", "2147483648", "9223372036854775807", ".", "e", "E",
			"-", "+", "x", "p", "f", "D", "L", " ", "_", "true", "NaN", "Infinity", "٣", "0x", "\u00a0", "é"))
	}
	return b.String()
}

// expression returns a Java regular expression, or nearly.
func (c chance) expression() string {
	var b strings.Builder
	for range 1 + c.IntN(5) {
		b.WriteString(c.pick("o", "r", "ders", "sap", "-", `\.`, ".", "(.*)", "(.*?)", "(o|s)", "[a-z]", "[^a-c]", `\w`,
			`\W`, `\d`, `\b`, `\B`, "^", "$", "|", "(?i)", "(?:a)", "(?<n>r)", `\k<n>`, `\1`, `\2`, `(\3)?`, "+", "*",
			"?", "{2}", "{1,}", "{,2}", "++", "*+", "(?=r)", "(?!r)", "(?<=o)", "(?<!o)", "(?>o)", `\p{L}`, `\p{Lower}`,
			`\P{IsDigit}`, "[a-z&&[^o]]", "[[a-c]o]", `\Qa.b\E`, `\x6f`, `\u006f`, `\R`, `\h`, `\X`, "(", ")", "[", "]",
			"{", `\`, "(?x) # c\n", `\G`, `\A`, `\z`, `\Z`, "(?s)", "(?m)", "(?-i)", "(?i:O)", `\p{javaLowerCase}`))
	}
	return b.String()
}
