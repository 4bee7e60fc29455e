package wit

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
)

// Facts are read from the first line of a context. Malformed facts count as none.
func TestKnownIn(t *testing.T) {
	for context, want := range map[string]Known{
		"":                              "",
		"known=":                        "",
		"known=nabc":                    "", // no newline
		"known=nabc\n":                  "nabc",
		"known=nabc,f-_9\nrest":         "nabc,f-_9",
		"known=*\nrest\n":               "*",
		"known=1234567890123456\n":      "1234567890123456", // the longest
		"known=12345678901234567\n":     "",                 // one byte too long
		"known=a b\n":                   "",                 // a space
		"known=a=b\n":                   "",                 // an equals sign
		"\x0eodata-sink known=nabc\n":   "",                 // not at the start
		strings.Repeat("x", 100) + "\n": "",                 // no facts, a long line
	} {
		found := KnownIn([]byte(context))
		assert.True(t, found == want, "%q: expected %q, found %q", context, want, found)
	}
}

// Joined facts contain the facts of both operands in any order and fit [MaxKnown]: if they are too long, subjects are
// dropped, and if they are still too long, every fact is known.
func TestKnownWith(t *testing.T) {
	for _, c := range []struct{ known, other, want Known }{
		{known: "", other: "", want: ""},
		{known: "nabc", other: "", want: "nabc"},
		{known: "", other: "nabc", want: "nabc"},
		{known: "nabc", other: "nabc", want: "nabc"},
		{known: "nabc", other: "fabc", want: "fabc,nabc"},            // sorted
		{known: "n1,n2,n3", other: "n4,n5", want: "n1,n2,n3,n4,n5"},  // they just fit
		{known: "nabc,ndef,nghi", other: "nklm", want: "n*"},         // too long with subjects
		{known: "n*", other: "nabc", want: "n*,nabc"},                // they fit, so the needless subject is kept
		{known: "fabc,fdef,fghi", other: "nklm", want: "f*,n*"},      // each fact is kept without its subjects
		{known: "nabc,ndef,nghi", other: "nabc,nklm", want: "n*"},    // too long although a fact is in both
		{known: "fabc,nabc,nxyz", other: "fabc,ndef", want: "f*,n*"}, // the same with two facts
		{known: "a*,b*,c*,d*,e*", other: "f1", want: "*"},            // too long even without subjects
		{known: "*", other: "nabc", want: "*"},                       // every fact includes all others
	} {
		got := c.known.With(c.other)
		assert.True(t, got == c.want, "%q with %q: expected %q, found %q", c.known, c.other, c.want, got)
		assert.True(t, len(got) <= MaxKnown, "%q with %q: expected at most %d bytes, found %d", c.known, c.other,
			MaxKnown, len(got))
		if swapped := c.other.With(c.known); swapped != got {
			t.Errorf("%q with %q: expected %q as in the other order, found %q", c.other, c.known, got, swapped)
		}
		for _, word := range append(parseFacts(string(c.known)), parseFacts(string(c.other))...) {
			assert.True(t, got.Contains(word), "%q with %q: expected the fact %q, found %q", c.known, c.other, word,
				got)
		}
	}
}

// A fact is known of its subject, of every subject, or among every fact.
func TestKnownContains(t *testing.T) {
	for known, want := range map[Known]bool{
		"":          false,
		"nabc":      true,
		"nabd":      false, // another subject
		"n":         false, // no subject
		"f*,n*":     true,
		"f*":        false, // another fact of every subject
		"*":         true,
		"fabc,nabc": true,
	} {
		got := known.Contains("nabc")
		assert.True(t, got == want, "%q: expected it to contain nabc: %t, found %t", known, want, got)
	}
}
