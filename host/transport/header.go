package transport

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/wit"
)

// hostHeaders are the headers that a guest cannot set: the contract says so.
var hostHeaders = map[string]bool{"Authorization": true, "Cookie": true, "Host": true, "X-Csrf-Token": true,
	"Content-Length":    true,
	"Transfer-Encoding": true, "Connection": true}

// settingsHeaders are headers that a guest cannot set either, since SAP systems log on by them: settings alone say them.
var settingsHeaders = []string{"Sap-Client", "Sap-Language", "Sap-User", "Sap-Password"}

var hostHeaderPrefixes = []string{"Proxy-", "Sap-Connectivity-"}

// publicHeaders are headers that say nothing about who logs on.
var publicHeaders = []string{"sap-client", "sap-language"}

// allowedMethods are those that a guest may use. An answer to others, TRACE above all, may hold what the request said,
// credentials included.
var allowedMethods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, "MERGE",
	http.MethodDelete}

func checkMethod(method string) error {
	if slices.Contains(allowedMethods, method) {
		return nil
	}
	return faultf(wit.ErrorData, "method of a request: expected one of %s, in capitals, found %q", strings.Join(allowedMethods,
		", "), method)
}

// overrideHeaders are headers by which services take a POST for another method. Some frameworks do not tell _ from -.
var overrideHeaders = []string{"X-Http-Method", "X-Http-Method-Override", "X-Method-Override"}

// checkMethodOverride holds a method that a header names to what a request's own may be, and the header to POST.
func checkMethodOverride(method, header, value string) error {
	if !slices.Contains(overrideHeaders, http.CanonicalHeaderKey(strings.ReplaceAll(header, "_", "-"))) {
		return nil
	}
	if method != http.MethodPost {
		return faultf(wit.ErrorData, "header %s of a request: expected it on POST alone, found it on %s", header,
			method)
	}
	if !slices.Contains(allowedMethods, strings.TrimSpace(value)) {
		return faultf(wit.ErrorData, "header %s of a request: expected one of %s, in capitals, found %q", header,
			strings.Join(allowedMethods, ", "), value)
	}
	return nil
}

// guestHeaders takes the headers that a guest may set. Names or values that would break a request are refused.
func guestHeaders(method string, headers []wit.Header) (http.Header, error) {
	h := http.Header{}
	for _, p := range headers {
		if !isToken(p.Name) {
			return nil, faultf(wit.ErrorData, "header of a request: expected a name, found %q", p.Name)
		}
		if strings.ContainsAny(p.Value, "\r\n\x00") {
			return nil, faultf(wit.ErrorData, "header %s of a request: expected no line break, found %q", p.Name,
				p.Value)
		}
		if err := checkMethodOverride(method, p.Name, p.Value); err != nil {
			return nil, err
		}
		if name := http.CanonicalHeaderKey(p.Name); !reserved(name) && !slices.Contains(settingsHeaders, name) {
			h[name] = append(h[name], p.Value)
		}
	}
	return h, nil
}

func reserved(name string) bool { return hostHeaders[name] || reservedPrefix(name) }

func reservedPrefix(name string) bool {
	return slices.ContainsFunc(hostHeaderPrefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// isToken says whether s is a header's name by RFC 9110.
func isToken(s string) bool {
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
			if secretHeaders[name] && !strings.EqualFold(v, csrfRequired) || reservedPrefix(name) {
				continue
			}
			shown := toUTF8(v)
			switch {
			case slices.Contains(addressHeaders, name):
				shown = redact(shown, ofAddresses())
			case !slices.Contains(verbatimHeaders, name):
				shown = redact(shown, secrets)
			}
			out = append(out, wit.Header{Name: strings.ToLower(toUTF8(name)), Value: shown})
		}
	}
	return out
}

// secretHeaders are headers of answers that hold secrets of the session, or repeat them.
var secretHeaders = map[string]bool{"Set-Cookie": true, "Set-Cookie2": true, "Cookie": true, "Authorization": true,
	"Authentication-Info": true, "X-Csrf-Token": true}

// verbatimHeaders are headers that guests act by, such as an ETag, which they send back: they hold nothing of a request but by
// chance, as W/"20240101" holds the password 2024, and are worth nothing with a part struck out.
var verbatimHeaders = []string{"Etag", "Content-Type", "Content-Id", "Retry-After", "Preference-Applied", "Dataserviceversion",
	"Repeatabilityresult", "Last-Modified"}

// addressHeaders are headers by which guests find entities again. They repeat credentials and sessions, but not by chance
// what is in any address, as the cookie with the SAP client is.
var addressHeaders = []string{"Location", "Content-Location"}

// csrfRequired is the value of X-CSRF-Token that is no token: the service wants one.
const csrfRequired = "required"
