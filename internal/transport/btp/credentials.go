// Package btp talks to what an SAP BTP subaccount offers a worker: tokens of its authorization service, the bindings of
// a Cloud Foundry application, destinations, and the list of attached Cloud Connectors. Its tokens serve any OAuth 2.0
// service that grants client credentials.
package btp

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"
)

// Credentials are those of an OAuth 2.0 client: Secret, or Certificate and Key.
type Credentials struct {
	// TokenURL is the authorization service, with or without the path /oauth/token (see TokenOptions.Verbatim).
	TokenURL string
	ClientID string
	Secret   string
	// Certificate is a chain and Key its private key, both the text of PEM files; `\n` may stand for line breaks. With
	// them the client shows itself by TLS, and Secret is not used.
	Certificate, Key string
	// Origin is where the credentials come from, if it was a binding: `VCAP_SERVICES, service connectivity, instance
	// my-proxy`. It is in front of messages, which then name the binding's fields. "": they come from settings.
	Origin string
}

// String names the client and the service. The secret is in none of the ways in which credentials can be printed.
func (c Credentials) String() string { return fmt.Sprintf("client %s at %s", c.ClientID, c.TokenURL) }

// GoString is String.
func (c Credentials) GoString() string { return c.String() }

// LogValue is String.
func (c Credentials) LogValue() slog.Value { return slog.StringValue(c.String()) }

// usesCertificate says whether the client shows itself by TLS.
func (c Credentials) usesCertificate() bool { return c.Certificate != "" || c.Key != "" }

// bindingFields are the names of Credentials' fields in bindings and service keys.
var bindingFields = map[string]string{"token-url": "token_service_url", "client-id": "clientid",
	"client-secret": "clientsecret",
	"certificate":   "certificate", "key": "key"}

// fieldName is how the user knows a field: token-url, client-id, client-secret, certificate, key.
func (c Credentials) fieldName(field string, name func(string) string) string {
	switch {
	case c.Origin != "" && field == "token-url" && c.usesCertificate():
		return "certurl"
	case c.Origin != "":
		return bindingFields[field]
	case name != nil:
		return name(field)
	}
	return field
}

// validate names everything that is missing or cannot be, at once. The endpoint is where tokens are asked for.
func (c Credentials) validate(options TokenOptions) (endpoint string, err error) {
	name := func(field string) string { return c.fieldName(field, options.Name) }
	var missing []string
	for _, f := range []struct{ field, value string }{{"token-url", c.TokenURL}, {"client-id", c.ClientID}} {
		if f.value == "" {
			missing = append(missing, name(f.field))
		}
	}
	switch {
	case c.Certificate == "" && c.Key == "" && c.Secret == "":
		missing = append(missing, fmt.Sprintf("%s (or %s and %s)", name("client-secret"), name("certificate"),
			name("key")))
	case c.Certificate == "" && c.Key != "":
		missing = append(missing, name("certificate"))
	case c.Certificate != "" && c.Key == "":
		missing = append(missing, name("key"))
	}
	if len(missing) > 0 {
		return "", &Failure{Kind: Misconfigured, Setting: firstWord(missing[0]), text: c.prefix() + "missing: " +
			strings.Join(missing, ", ")}
	}
	return c.endpoint(options.Verbatim, name("token-url"))
}

func firstWord(s string) string {
	word, _, _ := strings.Cut(s, " ")
	return word
}

func (c Credentials) prefix() string {
	if c.Origin == "" {
		return ""
	}
	return c.Origin + ": "
}

// tokenPath is what bindings leave out of the address of the token service.
const tokenPath = "/oauth/token"

func (c Credentials) endpoint(verbatim bool, setting string) (string, error) {
	u, err := url.Parse(strings.TrimSpace(c.TokenURL))
	switch {
	case err != nil, u.Scheme != "https" && u.Scheme != "http", u.Host == "", u.User != nil, u.Fragment != "":
		// the value is not printed: people write secrets into URLs
		return "", &Failure{Kind: Misconfigured, Setting: setting,
			text: c.prefix() + setting +
				": expected the URL of a token service, https://HOST/…, without user and password in it"}
	case u.Scheme == "http" && c.usesCertificate():
		return "", &Failure{Kind: Misconfigured, Setting: setting,
			text: fmt.Sprintf("%s%s: expected https, found http://%s: a client certificate is shown by TLS only",
				c.prefix(), setting, u.Host)}
	}
	if !verbatim && !strings.HasSuffix(strings.TrimSuffix(u.Path, "/"), tokenPath) {
		u.Path = strings.TrimSuffix(u.Path, "/") + tokenPath
	}
	return u.String(), nil
}

// keyPair reads Certificate and Key. A certificate that is not valid now is an error: servers close the connection
// without a reason.
func (c Credentials) keyPair(now time.Time, name func(string) string) (*tls.Certificate, error) {
	field := func(f string) string { return c.fieldName(f, name) }
	// assumption: only bindings that went through two rounds of JSON, or a shell, hold a backslash and an n in PEM
	// texts
	lines := strings.NewReplacer(`\r\n`, "\n", `\n`, "\n")
	pair, err := tls.X509KeyPair([]byte(lines.Replace(c.Certificate)), []byte(lines.Replace(c.Key)))
	if err != nil {
		return nil, &Failure{Kind: Misconfigured, Setting: field("certificate"), err: err,
			text: fmt.Sprintf("%s%s and %s: expected a certificate chain and its private key as PEM: %v", c.prefix(),
				field("certificate"), field("key"), err)}
	}
	if pair.Leaf == nil {
		if pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
			return nil, &Failure{Kind: Misconfigured, Setting: field("certificate"), err: err, text: c.prefix() +
				field("certificate") + ": " + err.Error()}
		}
	}
	if now.After(pair.Leaf.NotAfter) || now.Before(pair.Leaf.NotBefore) {
		return nil, &Failure{Kind: Misconfigured, Setting: field("certificate"),
			text: fmt.Sprintf("%s%s: expected a certificate that is valid now, found one of %s valid from %s to %s: "+
				"create a new binding or service key",
				c.prefix(), field("certificate"), pair.Leaf.Subject, pair.Leaf.NotBefore.UTC().Format(time.RFC3339),
				pair.Leaf.NotAfter.UTC().Format(time.RFC3339))}
	}
	return &pair, nil
}
