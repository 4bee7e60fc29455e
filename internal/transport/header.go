package transport

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/culvert-project/culvert/wit"
)

// hostHeaders are set by the host only. A plugin's values are ignored.
var hostHeaders = map[string]bool{"Authorization": true, "Cookie": true, "Host": true, "X-Csrf-Token": true,
	"Content-Length": true, "Transfer-Encoding": true, "Connection": true}

// settingsHeaders, by which SAP systems log on, are set by settings only. A plugin's values are ignored.
var settingsHeaders = []string{"Sap-Client", "Sap-Language", "Sap-User", "Sap-Password"}

var hostHeaderPrefixes = []string{"Proxy-", "Sap-Connectivity-"}

// publicHeaders are the headers of settings that are no secrets.
var publicHeaders = []string{"sap-client", "sap-language"}

// allowedMethods excludes TRACE, whose response may repeat credentials.
var allowedMethods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
	"MERGE", http.MethodDelete}

func checkMethod(method string) error {
	if slices.Contains(allowedMethods, method) {
		return nil
	}
	return errorf(wit.ErrorData, "method of a request: expected one of %s, in upper case, found %q",
		strings.Join(allowedMethods, ", "), method)
}

// overrideHeaders make services treat a POST as another method.
var overrideHeaders = []string{"X-Http-Method", "X-Http-Method-Override", "X-Method-Override"}

func checkMethodOverride(method, header, value string) error {
	// Some frameworks do not distinguish _ from -.
	if !slices.Contains(overrideHeaders, http.CanonicalHeaderKey(strings.ReplaceAll(header, "_", "-"))) {
		return nil
	}
	if method != http.MethodPost {
		return errorf(wit.ErrorData, "header %s of a request: expected it on POST only, found it on %s", header, method)
	}
	if !slices.Contains(allowedMethods, strings.TrimSpace(value)) {
		return errorf(wit.ErrorData, "header %s of a request: expected one of %s, in upper case, found %q", header,
			strings.Join(allowedMethods, ", "), value)
	}
	return nil
}

// pluginHeaders validates the headers of a plugin's request and drops those that only the host or settings may set.
func pluginHeaders(method string, headers []wit.Header) (http.Header, error) {
	h := http.Header{}
	for _, header := range headers {
		if !isToken(header.Name) {
			return nil, errorf(wit.ErrorData, "header of a request: expected a name, found %q", header.Name)
		}
		if !httpguts.ValidHeaderFieldValue(header.Value) {
			return nil, errorf(wit.ErrorData, "header %s of a request: expected no control character, found %q",
				header.Name, header.Value)
		}
		if err := checkMethodOverride(method, header.Name, header.Value); err != nil {
			return nil, err
		}
		if name := http.CanonicalHeaderKey(header.Name); !isReservedHeader(name) &&
			!slices.Contains(settingsHeaders, name) {
			h[name] = append(h[name], header.Value)
		}
	}
	return h, nil
}

func isReservedHeader(name string) bool { return hostHeaders[name] || hasReservedPrefix(name) }

func hasReservedPrefix(name string) bool {
	return slices.ContainsFunc(hostHeaderPrefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		isLetter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !isLetter && (c < '0' || c > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return s != ""
}

// answerHeaders returns headers for plugins: lower case, UTF-8, without cookies, tokens and secrets.
func answerHeaders(h http.Header, secrets []string, addressSecrets func() []string) []wit.Header {
	headers := make([]wit.Header, 0, len(h))
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, v := range h[name] {
			if (secretHeaders[name] && !strings.EqualFold(v, csrfRequired)) || hasReservedPrefix(name) {
				continue
			}
			value := toUTF8(v)
			switch {
			case slices.Contains(addressHeaders, name):
				value = redact(value, addressSecrets())
			case !slices.Contains(verbatimHeaders, name):
				value = redact(value, secrets)
			}
			headers = append(headers, wit.Header{Name: strings.ToLower(toUTF8(name)), Value: value})
		}
	}
	return headers
}

var secretHeaders = map[string]bool{"Set-Cookie": true, "Set-Cookie2": true, "Cookie": true, "Authorization": true,
	"Authentication-Info": true, "X-Csrf-Token": true}

// verbatimHeaders, such as an ETag, are useless when redacted, and contain a secret only by chance.
var verbatimHeaders = []string{"Etag", "Content-Type", "Content-Id", "Retry-After", "Preference-Applied",
	"Dataserviceversion", "Repeatabilityresult", "Last-Modified"}

// addressHeaders locate entities. They may repeat credentials, but short cookie values match them by chance.
var addressHeaders = []string{"Location", "Content-Location"}

// csrfRequired is the value of X-Csrf-Token in an answer that refuses the request's token.
const csrfRequired = "required"
