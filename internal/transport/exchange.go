package transport

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/culvert-project/culvert/wit"
)

// exchange is a plugin's request, or one for a CSRF token, after validation.
type exchange struct {
	tag              string
	method           string
	line             string // path and query
	header           http.Header
	body             []byte
	repeatable       bool
	tokenFrom        string // request line that returns the CSRF token; "" means that none is needed
	firstByteTimeout time.Duration
	refusedToken     string    // OAuth 2.0 token that the service refused, or ""
	tokenFor         *exchange // the exchange that needs the CSRF token requested by this one, else nil
	sapClient        string    // SAP client that the request names, or ""
	otherOrigin      string    // a further origin; "" means the service's own
}

func (e *exchange) target() string { return e.otherOrigin + e.line }

// name identifies the request in messages. For other origins query values are redacted, since links may be secrets.
func (e *exchange) name() string { return e.method + " " + e.printableTarget() }

func (e *exchange) printableTarget() string { return e.otherOrigin + e.printableLine() }

func (e *exchange) printableLine() string {
	if e.otherOrigin != "" {
		return printable(e.line)
	}
	return e.line
}

// exchangeOf validates a plugin's request to the service or to a further origin.
func (d *destination) exchangeOf(r *wit.Request) (*exchange, error) {
	e := &exchange{tag: r.Tag, method: r.Method, body: r.Body, repeatable: r.Repeatable}
	if other := d.forTarget(r.Target); other != d {
		d = other
		e.otherOrigin = other.origin.String()
	}
	var err error
	if !slices.Contains(allowedMethods, r.Method) {
		return nil, errorf(wit.ErrorData, "method of a request: expected one of %s, in upper case, found %q",
			strings.Join(allowedMethods, ", "), r.Method)
	}
	if e.line, err = d.resolve(r.Target); err != nil {
		return nil, err
	}
	if err := d.checkTarget("target", e.line); err != nil {
		return nil, err
	}
	e.sapClient = firstClientInLine(e.line)
	// Headers that only the host or settings may set are dropped.
	e.header = http.Header{}
	for _, header := range r.Headers {
		if !isToken(header.Name) {
			return nil, errorf(wit.ErrorData, "header of a request: expected a name, found %q", header.Name)
		}
		if !httpguts.ValidHeaderFieldValue(header.Value) {
			return nil, errorf(wit.ErrorData, "header %s of a request: expected no control character, found %q",
				header.Name, header.Value)
		}
		// Some frameworks do not distinguish _ from -.
		if slices.Contains(overrideHeaders, http.CanonicalHeaderKey(strings.ReplaceAll(header.Name, "_", "-"))) {
			if r.Method != http.MethodPost {
				return nil, errorf(wit.ErrorData, "header %s of a request: expected it on POST only, found it on %s",
					header.Name, r.Method)
			}
			if !slices.Contains(allowedMethods, strings.TrimSpace(header.Value)) {
				return nil, errorf(wit.ErrorData, "header %s of a request: expected one of %s, in upper case, found %q",
					header.Name, strings.Join(allowedMethods, ", "), header.Value)
			}
		}
		if name := http.CanonicalHeaderKey(header.Name); !isReservedHeader(name) &&
			!slices.Contains(settingsHeaders, name) {
			e.header[name] = append(e.header[name], header.Value)
		}
	}
	for _, kind := range e.header["Content-Type"] {
		clients, err := d.checkForm(kind, e.body)
		if err != nil {
			return nil, err
		}
		if len(clients) > 0 && e.sapClient == "" {
			e.sapClient = clients[0]
		}
	}
	if r.TokenPath != nil { // the request needs a CSRF token
		if e.tokenFrom, err = d.resolve(*r.TokenPath); err != nil {
			return nil, err
		}
		if err := d.checkTarget("token-from", e.tokenFrom); err != nil {
			return nil, err
		}
	}
	if r.FirstByteTimeoutMs != nil {
		e.firstByteTimeout = time.Duration(*r.FirstByteTimeoutMs) * time.Millisecond
	}
	return e, nil
}

// isUnprocessed reports whether the request may be sent again after an answer with a status: the service has not
// processed it, or may process it twice.
func (e *exchange) isUnprocessed(status int) bool {
	return e.repeatable || wit.IsRejection(uint16(status))
}

// unusable returns the error of an answer that cannot be used: cause, unless the request may have been processed.
func (e *exchange) unusable(status int, cause error) error {
	if e.isUnprocessed(status) {
		return cause
	}
	return &NoResponseError{Method: e.method, Target: e.printableTarget(), Status: status, Cause: cause}
}
