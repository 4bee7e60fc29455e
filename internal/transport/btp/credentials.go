// Package btp is a client of the services of an SAP BTP subaccount: it parses the bindings of a Cloud Foundry
// application, fetches and caches OAuth 2.0 tokens by client credentials, reads destinations, and lists connected
// Cloud Connectors.
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

// Credentials identify an OAuth 2.0 client by Secret, or by Certificate and Key.
type Credentials struct {
	TokenURL string
	ClientID string
	Secret   string
	// Certificate (a chain) and Key are PEM texts, in which `\n` may replace line breaks, for TLS in place of Secret.
	Certificate string
	Key         string
	// Origin names the binding, as in `VCAP_SERVICES, service connectivity, instance my-proxy`. Empty means settings.
	Origin string
}

// String returns client and service: no way of printing credentials reveals the secret.
func (c Credentials) String() string { return fmt.Sprintf("client %s at %s", c.ClientID, c.TokenURL) }

// GoString is String, so that %#v reveals nothing either.
func (c Credentials) GoString() string { return c.String() }

// LogValue implements [slog.LogValuer].
func (c Credentials) LogValue() slog.Value { return slog.StringValue(c.String()) }

func (c Credentials) usesCertificate() bool { return c.Certificate != "" || c.Key != "" }

// bindingFields maps fields to their names in a binding.
var bindingFields = map[string]string{"token-url": "token_service_url", "client-id": "clientid",
	"client-secret": "clientsecret", "certificate": "certificate", "key": "key"}

// fieldName returns the name of a field in the binding, or that of the user's setting.
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

// validate returns the token endpoint, or one error that names everything that is missing or invalid.
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
		first, _, _ := strings.Cut(missing[0], " ")
		return "", &Failure{Kind: Misconfigured, Setting: first, text: c.prefix() + "missing: " +
			strings.Join(missing, ", ")}
	}
	return c.endpoint(options.Verbatim, name("token-url"))
}

func (c Credentials) prefix() string {
	if c.Origin == "" {
		return ""
	}
	return c.Origin + ": "
}

const tokenPath = "/oauth/token"

// endpoint returns TokenURL, with the path of XSUAA's token endpoint unless verbatim is set.
func (c Credentials) endpoint(verbatim bool, setting string) (string, error) {
	parsed, err := url.Parse(strings.TrimSpace(c.TokenURL))
	switch {
	case err != nil, parsed.Scheme != "https" && parsed.Scheme != "http", parsed.Host == "", parsed.User != nil,
		parsed.Fragment != "":
		// The value is not printed: URLs may contain secrets.
		return "", &Failure{Kind: Misconfigured, Setting: setting, text: c.prefix() + setting +
			": expected the URL of a token service, https://HOST/…, without user and password in it"}
	case parsed.Scheme == "http" && c.usesCertificate():
		return "", &Failure{Kind: Misconfigured, Setting: setting,
			text: fmt.Sprintf("%s%s: expected https, found http://%s: a client certificate requires TLS",
				c.prefix(), setting, parsed.Host)}
	}
	if !verbatim && !strings.HasSuffix(strings.TrimSuffix(parsed.Path, "/"), tokenPath) {
		parsed.Path = strings.TrimSuffix(parsed.Path, "/") + tokenPath
	}
	return parsed.String(), nil
}

// keyPair parses Certificate and Key. An expired certificate is an error here, since servers would only close the
// connection.
func (c Credentials) keyPair(now time.Time, name func(string) string) (*tls.Certificate, error) {
	field := func(f string) string { return c.fieldName(f, name) }
	// Assumption: a literal \n occurs in a PEM text only if a shell or repeated JSON encoding escaped the line break.
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
