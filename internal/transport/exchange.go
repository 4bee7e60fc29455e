package transport

import (
	"net/http"
	"strings"
	"time"

	"github.com/culvert-project/culvert/wit"
)

// exchange is a plugin's request, or one for a CSRF token, after validation.
type exchange struct {
	tag              string
	method           string
	line             string
	header           http.Header
	body             []byte
	repeatable       bool
	tokenFrom        string
	firstByteTimeout time.Duration
	refusedToken     string    // by the service
	tokenFor         *exchange // set for requests of a CSRF token
	sapClient        string
	// otherOrigin is a further origin. Empty means the service's own.
	otherOrigin string
}

func (e *exchange) target() string { return e.otherOrigin + e.line }

func (e *exchange) showsCredentials(d *destination) bool {
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

func (d *destination) exchangeOf(r *wit.Request) (*exchange, error) {
	validated := &exchange{tag: r.Tag, method: r.Method, body: r.Body, repeatable: r.Repeatable}
	if other := d.forTarget(r.Target); other != d {
		d = other
		validated.otherOrigin = other.origin.String()
	}
	var err error
	if err := checkMethod(r.Method); err != nil {
		return nil, err
	}
	if validated.line, err = d.resolve(r.Target); err != nil {
		return nil, err
	}
	if err := d.checkTarget("target", validated.line); err != nil {
		return nil, err
	}
	validated.sapClient = firstClientInLine(validated.line)
	if validated.header, err = guestHeaders(r.Method, r.Headers); err != nil {
		return nil, err
	}
	for _, kind := range validated.header["Content-Type"] {
		clients, err := d.checkForm(kind, validated.body)
		if err != nil {
			return nil, err
		}
		if len(clients) > 0 && validated.sapClient == "" {
			validated.sapClient = clients[0]
		}
	}
	if r.TokenPath != nil {
		if validated.tokenFrom, err = d.resolve(*r.TokenPath); err != nil {
			return nil, err
		}
		if err := d.checkTarget("token-from", validated.tokenFrom); err != nil {
			return nil, err
		}
	}
	if r.FirstByteTimeoutMs != nil {
		validated.firstByteTimeout = time.Duration(*r.FirstByteTimeoutMs) * time.Millisecond
	}
	return validated, nil
}

func (e *exchange) unusable(status int, cause error) error {
	if e.repeatable || wit.IsRejection(uint16(status)) {
		return cause
	}
	return &NoResponseError{Method: e.method, Target: e.printableTarget(), Status: status, Cause: cause}
}

func withoutQuery(location string) string {
	base, _, _ := strings.Cut(location, "?")
	return base
}
