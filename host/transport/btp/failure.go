package btp

import (
	"strings"

	"github.com/culvert-project/culvert/host/secret"
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

// Temporary tells whether trying again later can help.
func (f *Failure) Temporary() bool { return f.Kind == Unavailable }

// quote is a text of a service for a message: one line, cut short, without any of the secrets.
func quote(text string, secrets ...string) string {
	var known secret.Known
	known.Keep(secrets...)
	text = strings.ReplaceAll(known.Strike(text), secret.Hidden, "***")
	text = strings.Join(strings.FieldsFunc(text, func(c rune) bool { return c < ' ' || c == 0x7f || c == ' ' }), " ")
	if r := []rune(text); len(r) > maxQuote {
		text = string(r[:maxQuote]) + "…"
	}
	return text
}

// maxQuote is in characters.
const maxQuote = 200
