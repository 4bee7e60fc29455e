package keystore

import (
	"fmt"

	"github.com/culvert-project/culvert/sdk/go/setting"
)

// Error names the setting to correct, by [Options].Name.
type Error struct {
	Setting string
	Text    string
	Err     error // the cause, or nil
}

func (e *Error) Error() string { return e.Setting + ": " + e.Text }

func (e *Error) Unwrap() error { return e.Err }

// As converts it to a [setting.Problem], to which callers add file and line.
func (e *Error) As(target any) bool {
	p, ok := target.(*setting.Problem)
	if ok {
		*p = setting.Problem{Setting: e.Setting, Text: e.Text}
	}
	return ok
}

// Fields for [Options].Name. Fields of a store have the prefix "keystore." or "truststore.".
const (
	FieldLocation    = "location"
	FieldPEM         = "pem" // inline PEM text
	FieldType        = "type"
	FieldPassword    = "password"
	FieldKeyPassword = "key-password"
	FieldAlias       = "alias"

	FieldProtocol    = "protocol"
	FieldAllowLegacy = "allow-legacy"

	FieldAllowRSAKeyExchange = "allow-rsa-key-exchange"
	FieldAllowRenegotiation  = "allow-renegotiation"
	FieldAllowCommonName     = "allow-common-name"
	// FieldHostCheck is Kafka's ssl.endpoint.identification.algorithm, or without it the setting of the host.
	FieldHostCheck = "host-check"
)

type settingNames struct {
	store string // "keystore", "truststore", or "" for Open
	name  func(string) string
}

func (n settingNames) setting(field string) string {
	if n.store != "" {
		field = n.store + "." + field
	}
	if n.name != nil {
		return n.name(field)
	}
	return field
}

func (n settingNames) errorf(field string, err error, format string, args ...any) *Error {
	return &Error{Setting: n.setting(field), Text: fmt.Sprintf(format, args...), Err: err}
}
