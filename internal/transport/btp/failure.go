package btp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/culvert-project/culvert/internal/keystore"
	"github.com/culvert-project/culvert/internal/secret"
)

// Kind is what is to be done about a Failure.
type Kind uint8

const (
	// Misconfigured: the same again fails again, until somebody mends a setting, a binding or a destination.
	Misconfigured Kind = iota
	// Unauthorized: credentials were refused.
	Unauthorized
	// NotFound: what was asked for is not there.
	NotFound
	// Unavailable: the service did not answer, or said that it could not; later it may.
	Unavailable
)

// Failure is why a token, a destination or a list was not to be had. Its text holds no secret and no token.
type Failure struct {
	Kind Kind
	// Setting is the setting or the binding's field that mends it, "" if none does.
	Setting string
	// Status is the HTTP status of the answer, 0 if there was none.
	Status int

	text string
	err  error
}

func (f *Failure) Error() string { return f.text }

func (f *Failure) Unwrap() error { return f.err }

// Temporary says whether trying again later can help.
func (f *Failure) Temporary() bool { return f.Kind == Unavailable }

// remoteService is a service that is asked, as failures speak of it.
type remoteService struct {
	service string
	// address is its URL without the query, which may hold secrets.
	address string
	// name is the user's name of the setting that a field stands for, "" for none.
	name func(field string) string
	// secrets are those that a request shows, in all ways in which they stand there.
	secrets []string
}

func (p *remoteService) failure(kind Kind, field string, err error, format string, args ...any) *Failure {
	return &Failure{Kind: kind, Setting: p.name(field), err: err,
		text: fmt.Sprintf("%s %s: %s", p.service, p.address, fmt.Sprintf(format, args...))}
}

// statusMessage is an answer that is no success, for a message.
func (p *remoteService) statusMessage(status int, said string) string {
	if said = quote(said, p.secrets...); said != "" {
		said = ": " + said
	}
	return fmt.Sprintf("answered %d%s", status, said)
}

// redirectFailure is the failure of an answer that leads elsewhere.
func (p *remoteService) redirectFailure(field, answered, location string) *Failure {
	return p.failure(Misconfigured, field, nil,
		"%s: expected a token, found a redirect to %s; secrets are not sent elsewhere", answered,
		quote(withoutQuery(location), p.secrets...))
}

// connectionFailure explains why there was no answer at all.
func (p *remoteService) connectionFailure(ctx context.Context, field string, err error) *Failure {
	if lost, ok := errors.AsType[*url.Error](err); ok {
		err = lost.Err
	}
	if cause := context.Cause(ctx); cause != nil {
		err = errors.Join(cause, err)
	}
	text := quote(err.Error(), p.secrets...)
	if trouble := tlsHints[keystore.ClassOf(err)]; trouble != "" {
		return p.failure(Misconfigured, field, err, "TLS: %s: %s", text, trouble)
	}
	// of the proxy's token, or of an answer that is too large
	if nested, ok := errors.AsType[*Failure](err); ok && !nested.Temporary() {
		return p.failure(nested.Kind, field, err, "%s", text)
	}
	return p.failure(Unavailable, field, err, "no answer: %s", text)
}

// tlsHints says what is to be done about errors of TLS that last.
var tlsHints = map[keystore.Class]string{
	keystore.UnknownAuthority:   "its certificate is not signed by a known authority; add it to the trusted roots",
	keystore.OtherHost:          "its certificate is for another host",
	keystore.InvalidCertificate: "its certificate is not valid",
	keystore.NotTLS:             "expected TLS; is the scheme or the port another one?",
	keystore.Alert:              "the server refused the handshake; it may want another client certificate",
}

// isRedirect says whether an answer of this status leads elsewhere.
func isRedirect(status int) bool { return status >= 300 && status < 400 }

// isTransientStatus says whether a status is of the moment: a later request may get another one.
func isTransientStatus(status int) bool {
	return status == http.StatusRequestTimeout || status == http.StatusTooManyRequests || status >= 500
}

// quote is a text of a service for a message: one line, cut short, without any of the secrets.
func quote(text string, secrets ...string) string {
	var known secret.Redactor
	known.Add(secrets...)
	text = strings.ReplaceAll(known.Redact(text), secret.Hidden, "***")
	text = strings.Join(strings.FieldsFunc(text, func(c rune) bool { return c < ' ' || c == 0x7f || c == ' ' }), " ")
	if r := []rune(text); len(r) > maxQuote {
		text = string(r[:maxQuote]) + "…"
	}
	return text
}

// maxQuote is in characters.
const maxQuote = 200

func withoutQuery(address string) string {
	before, _, _ := strings.Cut(address, "?")
	return before
}
