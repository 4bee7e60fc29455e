package wit

import (
	"strings"
	"testing"
)

// Facts are read from a context, joined without loss and looked up with or without their subject.
func TestKnown(t *testing.T) {
	for context, want := range map[string]Known{
		"":                              "",
		"known=":                        "",
		"known=nabc":                    "", // no newline
		"known=nabc\n":                  "nabc",
		"known=nabc,f-_9\nrest":         "nabc,f-_9",
		"known=*\nrest\n":               "*",
		"known=1234567890123456\n":      "1234567890123456",
		"known=12345678901234567\n":     "",
		"known=a b\n":                   "",
		"known=a=b\n":                   "",
		"\x0eodata-sink known=nabc\n":   "",
		strings.Repeat("x", 100) + "\n": "",
	} {
		if found := KnownIn([]byte(context)); found != want {
			t.Errorf("%q: expected %q, found %q", context, want, found)
		}
	}
	for _, c := range []struct{ known, other, want Known }{
		{known: "", other: "", want: ""},
		{known: "nabc", other: "", want: "nabc"},
		{known: "", other: "nabc", want: "nabc"},
		{known: "nabc", other: "nabc", want: "nabc"},
		{known: "nabc", other: "fabc", want: "fabc,nabc"},
		{known: "n1,n2,n3", other: "n4,n5", want: "n1,n2,n3,n4,n5"},
		{known: "nabc,ndef,nghi", other: "nklm", want: "n*"},
		{known: "n*", other: "nabc", want: "n*,nabc"},
		{known: "fabc,fdef,fghi", other: "nklm", want: "f*,n*"},
		{known: "nabc,ndef,nghi", other: "nabc,nklm", want: "n*"},
		{known: "fabc,nabc,nxyz", other: "fabc,ndef", want: "f*,n*"},
		{known: "a*,b*,c*,d*,e*", other: "f1", want: "*"},
		{known: "*", other: "nabc", want: "*"},
	} {
		if got := c.known.With(c.other); got != c.want || len(got) > MaxKnown || got.With(c.known) != got {
			t.Errorf("%q with %q: expected %q, found %q", c.known, c.other, c.want, got)
		}
	}
	for known, want := range map[Known]bool{
		"":          false,
		"nabc":      true,
		"nabd":      false,
		"n":         false,
		"f*,n*":     true,
		"f*":        false,
		"*":         true,
		"fabc,nabc": true,
	} {
		if got := known.Contains("nabc"); got != want {
			t.Errorf("%q: expected it to contain nabc: %t, found %t", known, want, got)
		}
	}
}
