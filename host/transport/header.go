package transport

import (
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/culvert-project/culvert/wit"
)

// hosts are the headers that a guest cannot set: the contract says so.
var hosts = map[string]bool{"Authorization": true, "Cookie": true, "Host": true, "X-Csrf-Token": true, "Content-Length": true,
	"Transfer-Encoding": true, "Connection": true}

var hostsPrefixes = []string{"Proxy-", "Sap-Connectivity-"}

// guestHeaders takes the headers that a guest may set. Names or values that would break a request are refused.
func guestHeaders(headers []wit.Header) (http.Header, error) {
	h := http.Header{}
	for _, p := range headers {
		if !token(p.Name) {
			return nil, faultf(wit.FaultData, "header of a request: expected a name, found %q", p.Name)
		}
		if strings.ContainsAny(p.Value, "\r\n\x00") {
			return nil, faultf(wit.FaultData, "header %s of a request: expected no line break, found %q", p.Name, p.Value)
		}
		if name := http.CanonicalHeaderKey(p.Name); !reserved(name) {
			h[name] = append(h[name], p.Value)
		}
	}
	return h, nil
}

func reserved(name string) bool {
	for _, prefix := range hostsPrefixes {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return hosts[name]
}

// token tells whether s is a header's name by RFC 9110.
func token(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return s != ""
}

// answerHeaders are the headers that a guest sees: names in lower case, values in UTF-8. What is no UTF-8 is read as
// ISO-8859-1, as HTTP had it. Cookies stay with the host.
func answerHeaders(h http.Header) []wit.Header {
	out := make([]wit.Header, 0, len(h))
	for _, name := range sortedNames(h) {
		if name == "Set-Cookie" || name == "Set-Cookie2" {
			continue
		}
		for _, v := range h[name] {
			out = append(out, wit.Header{Name: strings.ToLower(toUTF8(name)), Value: toUTF8(v)})
		}
	}
	return out
}

func toUTF8(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	runes := make([]rune, len(s))
	for i := range len(s) {
		runes[i] = rune(s[i])
	}
	return string(runes)
}
