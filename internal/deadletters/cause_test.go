package deadletters

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/culvert-project/culvert/internal/base/assert"
)

// Letters of one fault have one cause, whatever values their messages quote.
func TestCauseTextOmitsValues(t *testing.T) {
	for message, want := range map[string]string{
		"":                                   "",
		"no rows":                            "no rows",
		"value 1":                            "value #",
		"value -1.5":                         "value #",
		`order "4711" of 'A b' is locked`:    `order "…" of '…' is locked`,
		`a "b\"c" d`:                         `a "…" d`,
		"it's Anna's value `x`":              "it's Anna's value `…`",
		"„Müller“ and «x»":                   "„…“ and «…»",
		"Orders(OrderID=1,Item='(x') failed": "Orders(…)",
		"[a [b] c] {d}":                      "[…] {…}",
		"row 5 of int16: at 2026-11-28T00:12:42Z, 1,000.5":   "row # of int#: at #, #",
		"id 550e8400-e29b-41d4-a716-446655440000 is unknown": "id # is unknown",
		"0x1F4A9C00 and decade, 8083x":                       "# and decade, #x",
		"cut in \"the value of 5":                            `cut in "…"`,
		"first\nsecond":                                      "first",
		"\u202evalue\x1b":                                    "\ufffdvalue\ufffd",
		"ab-12":                                              "ab-#",
		"a---b-1":                                            "a---b-#",
		"--1":                                                "#",
		"12ab-x":                                             "#ab-x",
	} {
		assert.Equal(t, want, CauseText(message), message)
	}
}

func TestCauseTextNeedsLessThanQuadraticTime(t *testing.T) {
	for _, message := range []string{
		strings.Repeat("-", 16_000),
		"a" + strings.Repeat(".-", 7_990) + "b1",
		strings.Repeat("-a", 8_000),
		strings.Repeat("-", 15_990) + "1a2z",
	} {
		start := time.Now()
		CauseText(message)
		duration := time.Since(start)
		assert.True(t, duration <= time.Second, "%.10q: expected less than 1 s, found %v", message, duration)
	}
}

func TestCauseTextIsBounded(t *testing.T) {
	for _, message := range []string{
		strings.Repeat("ü", 10_000),
		strings.Repeat("(", 10_000),
		strings.Repeat("a 1 ", 10_000),
	} {
		n := utf8.RuneCountInString(CauseText(message))
		assert.True(t, n <= 2100, "%.10q: expected about 2000 characters, found %d", message, n)
	}
}
