package transport

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/wit"
)

// hosts are the headers that a guest cannot set: the contract says so.
var hosts = map[string]bool{"Authorization": true, "Cookie": true, "Host": true, "X-Csrf-Token": true,
	"Content-Length":    true,
	"Transfer-Encoding": true, "Connection": true}

// bySettings are headers that a guest cannot set either, since SAP systems log on by them: settings alone say them.
var bySettings = []string{"Sap-Client", "Sap-Language", "Sap-User", "Sap-Password"}

var hostsPrefixes = []string{"Proxy-", "Sap-Connectivity-"}

// notSecret are headers that say nothing about who logs on.
var notSecret = []string{"sap-client", "sap-language"}

// methods are those that a guest may use. An answer to others, TRACE above all, may hold what the request said,
// credentials included.
var methods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, "MERGE",
	http.MethodDelete}

func checkMethod(method string) error {
	if slices.Contains(methods, method) {
		return nil
	}
	return faultf(wit.ErrorData, "method of a request: expected one of %s, in capitals, found %q", strings.Join(methods,
		", "), method)
}

// tunnels are headers by which services take a POST for another method. Some frameworks do not tell _ from -.
var tunnels = []string{"X-Http-Method", "X-Http-Method-Override", "X-Method-Override"}

// checkTunnel holds a method that a header names to what a request's own may be, and the header to POST.
func checkTunnel(method, header, value string) error {
	if !slices.Contains(tunnels, http.CanonicalHeaderKey(strings.ReplaceAll(header, "_", "-"))) {
		return nil
	}
	if method != http.MethodPost {
		return faultf(wit.ErrorData, "header %s of a request: expected it on POST alone, found it on %s", header,
			method)
	}
	if !slices.Contains(methods, strings.TrimSpace(value)) {
		return faultf(wit.ErrorData, "header %s of a request: expected one of %s, in capitals, found %q", header,
			strings.Join(methods, ", "), value)
	}
	return nil
}

// guestHeaders takes the headers that a guest may set. Names or values that would break a request are refused.
func guestHeaders(method string, headers []wit.Header) (http.Header, error) {
	h := http.Header{}
	for _, p := range headers {
		if !token(p.Name) {
			return nil, faultf(wit.ErrorData, "header of a request: expected a name, found %q", p.Name)
		}
		if strings.ContainsAny(p.Value, "\r\n\x00") {
			return nil, faultf(wit.ErrorData, "header %s of a request: expected no line break, found %q", p.Name,
				p.Value)
		}
		if err := checkTunnel(method, p.Name, p.Value); err != nil {
			return nil, err
		}
		if name := http.CanonicalHeaderKey(p.Name); !reserved(name) && !slices.Contains(bySettings, name) {
			h[name] = append(h[name], p.Value)
		}
	}
	return h, nil
}

func reserved(name string) bool { return hosts[name] || reservedPrefix(name) }

func reservedPrefix(name string) bool {
	return slices.ContainsFunc(hostsPrefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// token says whether s is a header's name by RFC 9110.
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
// ISO-8859-1, as HTTP had it. Cookies and tokens stay with the host, and so does what the service repeats of the
// request's secrets. Addresses have secrets of their own.
func answerHeaders(h http.Header, secrets []string, ofAddresses func() []string) []wit.Header {
	out := make([]wit.Header, 0, len(h))
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, v := range h[name] {
			if keptBack[name] && !strings.EqualFold(v, csrfRequired) || reservedPrefix(name) {
				continue
			}
			shown := toUTF8(v)
			switch {
			case slices.Contains(addresses, name):
				shown = without(shown, ofAddresses())
			case !slices.Contains(whole, name):
				shown = without(shown, secrets)
			}
			out = append(out, wit.Header{Name: strings.ToLower(toUTF8(name)), Value: shown})
		}
	}
	return out
}

// keptBack are headers of answers that hold secrets of the session, or repeat them.
var keptBack = map[string]bool{"Set-Cookie": true, "Set-Cookie2": true, "Cookie": true, "Authorization": true,
	"Authentication-Info": true, "X-Csrf-Token": true}

// whole are headers that guests act by, such as an ETag, which they send back: they hold nothing of a request but by
// chance, as W/"20240101" holds the password 2024, and are worth nothing with a part struck out.
var whole = []string{"Etag", "Content-Type", "Content-Id", "Retry-After", "Preference-Applied", "Dataserviceversion",
	"Repeatabilityresult", "Last-Modified"}

// addresses are headers by which guests find entities again. They repeat credentials and sessions, but not by chance
// what is in any address, as the cookie with the SAP client is.
var addresses = []string{"Location", "Content-Location"}

// csrfRequired is the value of X-CSRF-Token that is no token: the service wants one.
const csrfRequired = "required"
