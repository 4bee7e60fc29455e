package transport

import (
	"net/http"
	"time"

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

func (e *exchange) sendsCredentials(d *destination) bool {
	return e.otherOrigin == "" || d.auth.identity != (Identity{})
}

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
	if err := checkMethod(r.Method); err != nil {
		return nil, err
	}
	if e.line, err = d.resolve(r.Target); err != nil {
		return nil, err
	}
	if err := d.checkTarget("target", e.line); err != nil {
		return nil, err
	}
	e.sapClient = firstClientInLine(e.line)
	if e.header, err = pluginHeaders(r.Method, r.Headers); err != nil {
		return nil, err
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
	if r.TokenPath != nil {
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

// isUnprocessed reports whether the request may be sent again after an answer with a status.
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
