package transport

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/wit"
)

// hostHeaders cannot be set by guests, as the contract says.
var hostHeaders = map[string]bool{"Authorization": true, "Cookie": true, "Host": true, "X-Csrf-Token": true,
	"Content-Length":    true,
	"Transfer-Encoding": true, "Connection": true}

// settingsHeaders cannot be set by guests either: SAP systems use them to log on.
var settingsHeaders = []string{"Sap-Client", "Sap-Language", "Sap-User", "Sap-Password"}

var hostHeaderPrefixes = []string{"Proxy-", "Sap-Connectivity-"}

// publicHeaders contain no credentials.
var publicHeaders = []string{"sap-client", "sap-language"}

// allowedMethods excludes TRACE above all, whose answer may contain the request's credentials.
var allowedMethods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
	"MERGE",
	http.MethodDelete}

func checkMethod(method string) error {
	if slices.Contains(allowedMethods, method) {
		return nil
	}
	return errorf(wit.ErrorData, "method of a request: expected one of %s, in capitals, found %q",
		strings.Join(allowedMethods,
			", "), method)
}

// overrideHeaders make services treat a POST as another method. Some frameworks do not distinguish _ from -.
var overrideHeaders = []string{"X-Http-Method", "X-Http-Method-Override", "X-Method-Override"}

func checkMethodOverride(method, header, value string) error {
	if !slices.Contains(overrideHeaders, http.CanonicalHeaderKey(strings.ReplaceAll(header, "_", "-"))) {
		return nil
	}
	if method != http.MethodPost {
		return errorf(wit.ErrorData, "header %s of a request: expected it on POST alone, found it on %s", header,
			method)
	}
	if !slices.Contains(allowedMethods, strings.TrimSpace(value)) {
		return errorf(wit.ErrorData, "header %s of a request: expected one of %s, in capitals, found %q", header,
			strings.Join(allowedMethods, ", "), value)
	}
	return nil
}

func guestHeaders(method string, headers []wit.Header) (http.Header, error) {
	h := http.Header{}
	for _, p := range headers {
		if !isToken(p.Name) {
			return nil, errorf(wit.ErrorData, "header of a request: expected a name, found %q", p.Name)
		}
		if strings.ContainsAny(p.Value, "\r\n\x00") {
			return nil, errorf(wit.ErrorData, "header %s of a request: expected no line break, found %q", p.Name,
				p.Value)
		}
		if err := checkMethodOverride(method, p.Name, p.Value); err != nil {
			return nil, err
		}
		if name := http.CanonicalHeaderKey(p.Name); !isReservedHeader(name) && !slices.Contains(settingsHeaders, name) {
			h[name] = append(h[name], p.Value)
		}
	}
	return h, nil
}

func isReservedHeader(name string) bool { return hostHeaders[name] || hasReservedPrefix(name) }

func hasReservedPrefix(name string) bool {
	return slices.ContainsFunc(hostHeaderPrefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// isToken reports whether s is a header name (RFC 9110).
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

// answerHeaders returns the headers for the guest: names in lower case, values in UTF-8 (others are read as
// ISO-8859-1). Cookies, tokens and repeated secrets of the request are removed.
func answerHeaders(h http.Header, secrets []string, ofAddresses func() []string) []wit.Header {
	out := make([]wit.Header, 0, len(h))
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, v := range h[name] {
			if secretHeaders[name] && !strings.EqualFold(v, csrfRequired) || hasReservedPrefix(name) {
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

// secretHeaders contain or repeat secrets of the session.
var secretHeaders = map[string]bool{"Set-Cookie": true, "Set-Cookie2": true, "Cookie": true, "Authorization": true,
	"Authentication-Info": true, "X-Csrf-Token": true}

// verbatimHeaders are sent back or evaluated by guests, such as an ETag. They contain a secret only by chance and
// are useless when redacted.
var verbatimHeaders = []string{"Etag", "Content-Type", "Content-Id", "Retry-After", "Preference-Applied", "Dataserviceversion",
	"Repeatabilityresult", "Last-Modified"}

// addressHeaders locate entities. They may repeat credentials and sessions, but short cookie values match them by
// chance.
var addressHeaders = []string{"Location", "Content-Location"}

// csrfRequired is the value of X-CSRF-Token that requests a token.
const csrfRequired = "required"
