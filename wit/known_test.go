package wit

import (
	"strings"
	"testing"
)

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
	for _, c := range []struct{ one, other, want Known }{
		{"", "", ""}, {"nabc", "", "nabc"}, {"", "nabc", "nabc"}, {"nabc", "nabc", "nabc"},
		{"nabc", "fabc", "fabc,nabc"},
		{"n1,n2,n3", "n4,n5", "n1,n2,n3,n4,n5"}, {"nabc,ndef,nghi", "nklm", "n*"}, {"n*", "nabc", "n*,nabc"},
		{"fabc,fdef,fghi", "nklm", "f*,n*"}, {"nabc,ndef,nghi", "nabc,nklm", "n*"},
		{"fabc,nabc,nxyz", "fabc,ndef", "f*,n*"}, {"a*,b*,c*,d*,e*", "f1", "*"}, {"*", "nabc", "*"},
	} {
		if found := c.one.With(c.other); found != c.want || len(found) > MaxKnown || found.With(c.one) != found {
			t.Errorf("%q with %q: expected %q, found %q", c.one, c.other, c.want, found)
		}
	}
	for known, contains := range map[Known]bool{"": false, "nabc": true, "nabd": false, "n": false, "f*,n*": true,
		"f*": false,
		"*":  true, "fabc,nabc": true} {
		if known.Contains("nabc") != contains {
			t.Errorf("%q: expected %t", known, contains)
		}
	}
}
