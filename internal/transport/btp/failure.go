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

// Kind classifies failures by what has to be done.
type Kind uint8

const (
	// Misconfigured lasts until a setting, binding or destination is corrected.
	Misconfigured Kind = iota
	// Unauthorized means that the credentials were refused.
	Unauthorized
	NotFound
	// Unavailable may pass: the service did not respond or reported an overload.
	Unavailable
)

// Failure is the error of a request for a token, a destination or a list. Its text contains no secret.
type Failure struct {
	Kind    Kind
	Setting string // the setting, binding field or destination to correct, or ""
	Status  int    // the HTTP status, or 0

	text string
	err  error
}

func (f *Failure) Error() string { return f.text }

func (f *Failure) Unwrap() error { return f.err }

// Temporary reports whether a retry may help.
func (f *Failure) Temporary() bool { return f.Kind == Unavailable }

// remoteService identifies a called service in failures.
type remoteService struct {
	service string
	address string                    // without query
	name    func(field string) string // of the setting for a field
	secrets []string                  // in all encodings, hidden in messages
}

func (r *remoteService) failure(kind Kind, field string, err error, format string, args ...any) *Failure {
	return &Failure{Kind: kind, Setting: r.name(field), err: err,
		text: fmt.Sprintf("%s %s: %s", r.service, r.address, fmt.Sprintf(format, args...))}
}

func (r *remoteService) statusMessage(status int, text string) string {
	if text = quote(text, r.secrets...); text != "" {
		text = ": " + text
	}
	return fmt.Sprintf("answered %d%s", status, text)
}

// connectionFailure returns the failure of a request without an answer.
func (r *remoteService) connectionFailure(ctx context.Context, field string, err error) *Failure {
	if urlErr, ok := errors.AsType[*url.Error](err); ok {
		err = urlErr.Err
	}
	if cause := context.Cause(ctx); cause != nil {
		err = errors.Join(cause, err)
	}
	problem := quote(err.Error(), r.secrets...)
	if hint := tlsHints[keystore.ClassOf(err)]; hint != "" {
		return r.failure(Misconfigured, field, err, "TLS: %s: %s", problem, hint)
	}
	// Nested failures come from the proxy's token or a response that is too large.
	if nested, ok := errors.AsType[*Failure](err); ok && !nested.Temporary() {
		f := r.failure(nested.Kind, field, err, "%s", problem)
		f.Status = nested.Status
		return f
	}
	return r.failure(Unavailable, field, err, "no response: %s", problem)
}

var tlsHints = map[keystore.Class]string{
	keystore.UnknownAuthority:   "the certificate is not signed by a trusted authority; add that to the trusted roots",
	keystore.OtherHost:          "the certificate is for another host",
	keystore.InvalidCertificate: "the certificate is not valid",
	keystore.NotTLS:             "the server does not use TLS; check scheme and port",
	keystore.Alert:              "the server rejected the handshake; it may require another client certificate",
}

func isRedirect(status int) bool { return status >= 300 && status < 400 }

// isTransientStatus reports whether a later request may succeed.
func isTransientStatus(status int) bool {
	return status == http.StatusRequestTimeout || status == http.StatusTooManyRequests || status >= 500
}

// quote prepares a service's text for a message: one line, shortened, without secrets.
func quote(text string, secrets ...string) string {
	var redactor secret.Redactor
	redactor.Add(secrets...)
	text = strings.ReplaceAll(redactor.Redact(text), secret.Hidden, "***")
	text = strings.Join(strings.FieldsFunc(text, func(c rune) bool { return c < ' ' || c == 0x7f || c == ' ' }), " ")
	if r := []rune(text); len(r) > maxQuote {
		text = string(r[:maxQuote]) + "…"
	}
	return text
}

const maxQuote = 200 // characters

func withoutQuery(address string) string {
	base, _, _ := strings.Cut(address, "?")
	return base
}
