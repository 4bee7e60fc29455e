package java

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Trim is String.trim, by which Kafka takes values: it cuts what is no more than U+0020, and so no other space, such as
// U+00A0.
func Trim(text string) string { return strings.TrimFunc(text, func(r rune) bool { return r <= ' ' }) }

// ASCIIDigits puts 0 to 9 in the place of other digits, such as those of Arabic, which Java reads as well in whole
// numbers and in BigDecimal: of a pair of surrogates it reads none.
func ASCIIDigits(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= utf8.RuneSelf && r <= 0xffff && unicode.Is(unicode.Nd, r) {
			for _, of := range unicode.Nd.R16 { // of tens
				if rune(of.Lo) <= r && r <= rune(of.Hi) {
					return '0' + (r-rune(of.Lo))%10
				}
			}
		}
		return r
	}, text)
}
