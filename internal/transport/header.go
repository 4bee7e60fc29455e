package transport

import (
	"net/http"
	"slices"
	"strings"
)

// hostHeaders are set by the host only. A plugin's values are ignored.
var hostHeaders = map[string]bool{"Authorization": true, "Cookie": true, "Host": true, "X-Csrf-Token": true,
	"Content-Length": true, "Transfer-Encoding": true, "Connection": true}

// settingsHeaders, by which SAP systems log on, are set by settings only. A plugin's values are ignored.
var settingsHeaders = []string{"Sap-Client", "Sap-Language", "Sap-User", "Sap-Password"}

// hostHeaderPrefixes begin the names of headers for proxies, which only the host sends and receives.
var hostHeaderPrefixes = []string{"Proxy-", "Sap-Connectivity-"}

// publicHeaders are the headers of settings that are no secrets.
var publicHeaders = []string{"sap-client", "sap-language"}

// allowedMethods excludes TRACE, whose response may repeat credentials.
var allowedMethods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
	"MERGE", http.MethodDelete}

// overrideHeaders make services treat a POST as another method.
var overrideHeaders = []string{"X-Http-Method", "X-Http-Method-Override", "X-Method-Override"}

func isReservedHeader(name string) bool { return hostHeaders[name] || hasReservedPrefix(name) }

func hasReservedPrefix(name string) bool {
	return slices.ContainsFunc(hostHeaderPrefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// isToken reports whether s is a token of RFC 9110, such as the name of a header.
func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		isLetter := c|0x20 >= 'a' && c|0x20 <= 'z' // upper or lower case
		if !isLetter && (c < '0' || c > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return s != ""
}

// secretHeaders of answers are not passed to plugins, except X-Csrf-Token: required.
var secretHeaders = map[string]bool{"Set-Cookie": true, "Set-Cookie2": true, "Cookie": true, "Authorization": true,
	"Authentication-Info": true, "X-Csrf-Token": true}

// verbatimHeaders, such as an ETag, are useless when redacted, and contain a secret only by chance.
var verbatimHeaders = []string{"Etag", "Content-Type", "Content-Id", "Retry-After", "Preference-Applied",
	"Dataserviceversion", "Odata-Version", "Repeatabilityresult", "Last-Modified"}

// addressHeaders locate entities. They may repeat credentials, but short cookie values match them by chance.
var addressHeaders = []string{"Location", "Content-Location", "Odata-Entityid"}

// csrfRequired is the value of X-Csrf-Token in an answer that refuses the request's token.
const csrfRequired = "required"
