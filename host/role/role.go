// Package role holds the roles of settings: what the host uses a plugin's settings for. A plugin's declaration of a setting may name
// one of them, and the host acts on the setting by that name alone. The page for authors is wit/roles.md; a test holds it to [All].
package role

import (
	"strings"

	"github.com/culvert-project/culvert/wit"
)

// Role is one use that the host has for a setting.
type Role struct {
	// Name, as a declaration gives it. One that ends in a dot stands for all names that begin so.
	Name string
	// Kind is what the setting's values are.
	Kind Kind
	// Default: where the user says nothing, the default of the plugin's declaration counts. Roles that decide where a byte goes, what
	// secures it, who logs on, or what holds for other connectors too, take none.
	Default bool
	// Own is what the host goes by where nobody says anything, "" where that is nothing or depends on others.
	Own string
	// Many settings may have it, those of a template: the host only looks at their values.
	Many bool
	// Later: known, and the host does nothing about it yet.
	Later bool
}

// Kind is what the values of a role are.
type Kind uint8

const (
	// Text that is no secret: it may stand in logs and errors.
	Text Kind = iota
	// Secret values go where the role says, and nowhere else.
	Secret
	// Either a secret or not, as the declaration has it: values of headers.
	Either
	// Number is a whole one, Decimal any.
	Number
	Decimal
	// List of text with commas between.
	List
	// Flag is 0, 1, true or false.
	Flag
)

// Names of roles that more than one package asks for by themselves.
const (
	Address     = "http.address"
	Port        = "http.port"
	Destination = "http.destination"
	Header      = "http.header."
	Query       = "http.query."
	Origins     = "http.origins"
	Login       = "http.login."
)

// All roles.
var All = []Role{
	{Name: "http.scheme", Own: "https"},
	{Name: Address},
	{Name: Port, Kind: Number},
	{Name: Destination},
	{Name: "http.auth"},
	{Name: "http.user"},
	{Name: "http.password", Kind: Secret},
	{Name: "http.oauth.token-endpoint"},
	{Name: "http.oauth.client-id"},
	{Name: "http.oauth.client-secret", Kind: Secret},
	{Name: "http.oauth.scope"},
	{Name: "http.oauth.client-auth", Own: "header"},
	{Name: Header, Kind: Either},
	{Name: Query, Kind: Secret},
	{Name: Login + "target"},
	{Name: Login + "method", Own: "POST"},
	{Name: Login + "body"},
	{Name: Login + "token-path"},
	{Name: Login + "lifetime-path"},
	{Name: Login + "header", Own: "Authorization: Bearer {token}"},
	{Name: Origins, Kind: List},
	{Name: "http.client-in", Own: "header"},
	{Name: "http.logoff-path", Default: true},
	{Name: "http.connect-timeout-ms", Kind: Number, Default: true, Own: "10000"},
	{Name: "http.read-timeout-ms", Kind: Number, Default: true, Own: "60000"},
	{Name: "http.max-concurrent", Kind: Number, Own: "4"},
	{Name: "http.max-connections", Kind: Number},
	{Name: "http.requests-per-second", Kind: Decimal},
	{Name: "http.maintenance-windows"},
	{Name: "http.proxy.type"},
	{Name: "http.proxy.address"},
	{Name: "http.proxy.user"},
	{Name: "http.proxy.password", Kind: Secret},
	{Name: "http.proxy.location-id", Kind: List},
	{Name: "http.proxy.address-map", Kind: List},
	{Name: "http.proxy.token-url"},
	{Name: "http.proxy.token-client-id"},
	{Name: "http.proxy.token-client-secret", Kind: Secret},
	{Name: "http.proxy.token-certificate"},
	{Name: "http.proxy.token-key"},
	{Name: "http.proxy.service-key"},
	{Name: "http.proxy.outage-ms", Kind: Number, Own: "300000"},
	{Name: "tls.keystore.location"},
	{Name: "tls.keystore.password", Kind: Secret},
	{Name: "tls.keystore.type"},
	{Name: "tls.keystore.key-password", Kind: Secret},
	{Name: "tls.keystore.alias"},
	{Name: "tls.truststore.location"},
	{Name: "tls.truststore.password", Kind: Secret},
	{Name: "tls.truststore.type"},
	{Name: "tls.protocol"},
	{Name: "tls.allow-legacy", Kind: Flag, Own: "0"},
	{Name: "retry.codes", Kind: List, Default: true, Own: "408,429,502,503,504"},
	{Name: "retry.max", Kind: Number, Default: true, Own: "10"},
	{Name: "retry.min-backoff-ms", Kind: Number, Default: true, Own: "1000"},
	{Name: "retry.max-backoff-ms", Kind: Number, Default: true, Own: "10000"},
	{Name: "source.topic", Many: true},
	{Name: "sink.topic", Many: true},
	{Name: "sink.flush.rows", Kind: Number, Default: true},
	{Name: "sink.flush.interval-ms", Kind: Number, Default: true},
	{Name: "sink.in-flight", Kind: Number, Default: true},
	{Name: "sink.uncertain", Default: true, Later: true},
	{Name: "listener.ports", Kind: List, Later: true},
	{Name: "listener.address", Later: true},
	{Name: "listener.user", Later: true},
	{Name: "listener.password", Kind: Secret, Later: true},
	{Name: "listener.tls.", Kind: Either, Later: true},
}

// Find is the role of that name: http.header.sap-client is one of http.header. !ok: the host knows none.
func Find(name string) (Role, bool) {
	for _, r := range All {
		if name == r.Name || strings.HasSuffix(r.Name, ".") && strings.HasPrefix(name, r.Name) && len(name) > len(r.Name) {
			return r, true
		}
	}
	return Role{}, false
}

// IsSecret tells whether values of the role are secrets, whatever a declaration says.
func IsSecret(name string) bool {
	r, ok := Find(name)
	return ok && r.Kind == Secret
}

// fits tells whether a setting of this kind can have values of the role. Text can hold anything that is no secret.
func (r Role) fits(kind wit.SettingKind) bool {
	whole := kind == wit.KindShort || kind == wit.KindInt || kind == wit.KindLong
	switch r.Kind {
	case Secret:
		return kind == wit.KindPassword
	case Either:
		return kind == wit.KindPassword || kind == wit.KindText
	case Number:
		return whole || kind == wit.KindText
	case Decimal:
		return whole || kind == wit.KindDouble || kind == wit.KindText
	case List:
		return kind == wit.KindListOfText || kind == wit.KindText
	case Flag:
		return kind == wit.KindBoolean || kind == wit.KindText
	}
	return kind == wit.KindText
}

var kindNames = [...]string{Text: "text", Secret: "password", Either: "text or password", Number: "int or long", Decimal: "double", List: "list-of-text",
	Flag: "boolean or text"}

func (k Kind) String() string { return kindNames[k] }
