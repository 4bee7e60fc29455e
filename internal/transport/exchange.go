package transport

import (
	"net/http"
	"strings"
	"time"

	"github.com/culvert-project/culvert/wit"
)

// exchange is a request with the headers that the host adds.
type exchange struct {
	tag, method, line string
	header            http.Header
	body              []byte
	repeatable        bool
	tokenFrom         string
	firstByteTimeout  time.Duration
	// refusedToken is the token that the service rejected.
	refusedToken string
	// tokenFor is the exchange that needs the CSRF token requested here; nil for other requests.
	tokenFor *exchange
	// sapClient is the SAP client in the request itself, or "".
	sapClient string
	// otherOrigin is the further origin that the request goes to. Empty means the service's own.
	otherOrigin string
}

func (e *exchange) target() string { return e.otherOrigin + e.line }

func (e *exchange) showsCredentials(d *destination) bool {
	return e.otherOrigin == "" || d.auth.identity != (Identity{})
}

// name identifies the request in messages. Links to other origins may be secrets, so only parameter names of their
// query are printed.
func (e *exchange) name() string { return e.method + " " + e.printableTarget() }

func (e *exchange) printableTarget() string { return e.otherOrigin + e.printableLine() }

func (e *exchange) printableLine() string {
	if e.otherOrigin != "" {
		return printable(e.line)
	}
	return e.line
}

func (d *destination) exchangeOf(r *wit.Request) (*exchange, error) {
	e := &exchange{tag: r.Tag, method: r.Method, body: r.Body, repeatable: r.Repeatable}
	if other := d.forTarget(r.Target); other != d {
		d, e.otherOrigin = other, other.origin.String()
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
	if e.header, err = guestHeaders(r.Method, r.Headers); err != nil {
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

// unusable is the error of an answer that cannot be returned although its status was read.
func (e *exchange) unusable(status int, cause error) error {
	if e.repeatable || wit.IsRejection(uint16(status)) {
		return cause
	}
	return &NoResponseError{Method: e.method, Target: e.printableTarget(), Status: status, Cause: cause}
}

// withoutQuery keeps tickets in a query out of messages.
func withoutQuery(location string) string {
	before, _, _ := strings.Cut(location, "?")
	return before
}
