package keystore

import (
	"fmt"

	"github.com/culvert-project/culvert/sdk/go/setting"
)

// Error says which setting has to be mended, and why. Setting is the name that [Options].Name gave; Open knows only the
// fields of [Location].
type Error struct {
	Setting string
	Text    string
	Err     error // what it came from; may be nil
}

func (e *Error) Error() string { return e.Setting + ": " + e.Text }

func (e *Error) Unwrap() error { return e.Err }

// As makes a [setting.Problem] of it for whoever knows in which line of which file the setting stands.
func (e *Error) As(target any) bool {
	p, ok := target.(*setting.Problem)
	if ok {
		*p = setting.Problem{Setting: e.Setting, Text: e.Text}
	}
	return ok
}

// Fields that [Options].Name is asked for. Those of a store come with "keystore." or "truststore." in front, the others
// stand alone.
const (
	FieldLocation    = "location"
	FieldPEM         = "pem" // PEM text that is given inline
	FieldType        = "type"
	FieldPassword    = "password"
	FieldKeyPassword = "key-password"
	FieldAlias       = "alias"

	FieldProtocol    = "protocol"
	FieldAllowLegacy = "allow-legacy"

	FieldAllowRSAKeyExchange = "allow-rsa-key-exchange"
	FieldAllowRenegotiation  = "allow-renegotiation"
	FieldAllowCommonName     = "allow-common-name"
	// Kafka's ssl.endpoint.identification.algorithm; where there is no such setting, the one that names the host
	FieldHostCheck = "host-check"
)

// settingNames turns a field of one store into what the user wrote.
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
