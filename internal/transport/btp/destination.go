package btp

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Destination is a destination as the destination service delivers it, ready to be used. Its maps and pointers are
// shared: they are not to be changed.
type Destination struct {
	Name string
	// Type is HTTP or TCP.
	Type string
	// URL is what the destination holds, without its query. Scheme is http or https, tcp for Type TCP; Path has no
	// slash at its end.
	URL          string
	Scheme, Host string
	Port         int
	Path         string
	// Query is that of the URL and of URL.queries.*.
	Query url.Values
	// Headers are those of URL.headers.*.
	Headers http.Header
	// Client and Language are sap-client and sap-language, "" if not set.
	Client, Language string

	// Authentication is SAP's name of it: NoAuthentication, BasicAuthentication, ClientCertificateAuthentication, or
	// one for which Token was delivered, such as OAuth2ClientCredentials and OAuth2SAMLBearerAssertion.
	Authentication string
	// User and Password are of BasicAuthentication.
	User, Password string
	// Token is what the service delivered, nil if it delivered none.
	Token *DeliveredToken
	// Keystore is of ClientCertificateAuthentication, nil for the others.
	Keystore *Store

	// ProxyType is Internet, OnPremise or PrivateLink.
	ProxyType string
	// LocationID picks the Cloud Connector, for OnPremise; "" is the one without.
	LocationID string

	// TrustAll: the server's certificate is not looked at. Truststore holds its roots, nil: the system's.
	TrustAll   bool
	Truststore *Store

	// Digest is another one where anything was changed in the cockpit, secrets by which tokens are fetched included.
	Digest [sha256.Size]byte
}

// String is the name and the URL. Passwords and tokens are in none of the ways in which a destination can be printed.
func (t Destination) String() string { return fmt.Sprintf("destination %s at %s", t.Name, t.URL) }

// GoString is String.
func (t Destination) GoString() string { return t.String() }

// LogValue is String.
func (t Destination) LogValue() slog.Value { return slog.StringValue(t.String()) }

// DeliveredToken is a token that the destination service fetched.
type DeliveredToken struct {
	// Header and Value go on requests: Authorization, Bearer ….
	Header, Value string
	// Expires is zero if the service did not say.
	Expires time.Time
}

// Store is a key or trust store that is kept in the destination service.
type Store struct {
	// Name is as in the cockpit.
	Name string
	// Type is PKCS12, JKS or PEM by the name's ending, "" for others: the content tells.
	Type     string
	Content  []byte
	Password string
}

// destinationResponse is what the destination service sends.
type destinationResponse struct {
	Configuration fields `json:"destinationConfiguration"`
	Tokens        []struct {
		Type   string `json:"type"`
		Value  string `json:"value"`
		Header struct {
			Key   string `json:"key"`
			Value string `json:"value"`
		} `json:"http_header"`
		ExpiresIn any    `json:"expires_in"`
		Error     string `json:"error"`
	} `json:"authTokens"`
	Certificates []struct {
		Name    string `json:"Name"`
		Content string `json:"Content"`
	} `json:"certificates"`
}

// parseDestination reads an answer. Errors name the destination's property that is to be mended in the cockpit.
func parseDestination(name string, body []byte, now time.Time) (Destination, error) {
	t := Destination{Name: name, Query: url.Values{}, Headers: http.Header{}}
	var a destinationResponse
	if err := json.Unmarshal(body, &a); err != nil {
		return t, &Failure{Kind: Misconfigured, err: err,
			text: fmt.Sprintf("destination %s: expected an object with destinationConfiguration, found %v", name, err)}
	}
	c := a.Configuration
	if len(c) == 0 {
		return t, t.errorf("destinationConfiguration", "expected it in the service's answer, found none")
	}
	text, err := json.Marshal(c) // sorted by name
	if err != nil {
		return t, t.errorf("destinationConfiguration", "%v", err)
	}
	t.Digest = sha256.Sum256(text)
	t.Type, t.ProxyType, t.LocationID = c.text("Type"), c.text("ProxyType"), c.text("CloudConnectorLocationId")
	t.Client, t.Language = c.text("sap-client"), c.text("sap-language")
	t.TrustAll = strings.EqualFold(c.text("TrustAll"), "true")
	if t.ProxyType == "" {
		t.ProxyType = "Internet"
	}
	if !slices.Contains([]string{"Internet", "OnPremise", "PrivateLink"}, t.ProxyType) {
		return t, t.errorf("ProxyType", "expected Internet, OnPremise or PrivateLink, found %q", t.ProxyType)
	}
	for key := range c {
		if header, ok := strings.CutPrefix(key, "URL.headers."); ok && header != "" {
			t.Headers.Set(header, c.text(key))
		}
		if query, ok := strings.CutPrefix(key, "URL.queries."); ok && query != "" {
			t.Query.Set(query, c.text(key))
		}
	}
	for _, read := range []func(*destinationResponse, time.Time) error{t.readAddress, t.readTokens, t.readAuthentication,
		t.readTrust} {
		if err := read(&a, now); err != nil {
			return Destination{}, err
		}
	}
	return t, nil
}

func (t *Destination) errorf(property, format string, args ...any) *Failure {
	return &Failure{Kind: Misconfigured, Setting: property, text: fmt.Sprintf("destination %s: %s: %s", t.Name,
		property, fmt.Sprintf(format, args...))}
}

func (t *Destination) readAddress(a *destinationResponse, _ time.Time) error {
	property, schemes := "URL", []string{"http", "https"}
	address := a.Configuration.text("URL")
	switch t.Type {
	case "HTTP", "":
		t.Type = "HTTP"
		if address != "" && !strings.Contains(address, "://") {
			// assumption: the cockpit lets people leave out the scheme, and SAP's SDKs take http then
			address = "http://" + address
		}
	case "TCP":
		property, schemes = "Address", []string{"tcp", "tcps"}
		if address = a.Configuration.text("Address", "URL"); address != "" && !strings.Contains(address, "://") {
			address = "tcp://" + address
		}
	default:
		return t.errorf("Type", "expected HTTP or TCP, found %q", t.Type)
	}
	if address == "" {
		return t.errorf(property, "missing")
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Hostname() == "" || u.User != nil || u.Scheme != schemes[0] &&
		u.Scheme != schemes[1] {
		return t.errorf(property, "expected %s://HOST or %s://HOST, without user and password in it", schemes[0],
			schemes[1])
	}
	t.Scheme, t.Host, t.Path = u.Scheme, u.Hostname(), strings.TrimRight(u.EscapedPath(), "/")
	t.Port = map[string]int{"http": 80, "https": 443}[u.Scheme]
	if p := u.Port(); p != "" {
		t.Port, _ = strconv.Atoi(p)
	}
	if t.Port < 1 || t.Port > 65535 {
		return t.errorf(property, "expected a port from 1 to 65535, found %q", u.Port())
	}
	for key, values := range u.Query() {
		if !t.Query.Has(key) {
			t.Query[key] = values
		}
	}
	u.RawQuery, u.Fragment = "", ""
	t.URL = u.String()
	return nil
}

// readTokens takes the first token, which is the only one but for destinations with several audiences.
func (t *Destination) readTokens(a *destinationResponse, now time.Time) error {
	for _, d := range a.Tokens {
		if d.Error != "" {
			return &Failure{Kind: Unauthorized, Setting: "Authentication", text: fmt.Sprintf(
				"destination %s: the destination service got no token: %s", t.Name, quote(d.Error, d.Value,
					a.Configuration.text("clientSecret")))}
		}
		token := DeliveredToken{Header: d.Header.Key, Value: d.Header.Value}
		if token.Header == "" || token.Value == "" {
			if d.Value == "" {
				continue
			}
			kind := d.Type
			if kind == "" || strings.EqualFold(kind, "bearer") {
				kind = "Bearer"
			}
			token = DeliveredToken{Header: "Authorization", Value: kind + " " + d.Value}
		}
		if lifetime := seconds(d.ExpiresIn); lifetime > 0 {
			token.Expires = now.Add(lifetime)
		}
		t.Token = &token
		return nil
	}
	return nil
}

func (t *Destination) readAuthentication(a *destinationResponse, _ time.Time) error {
	c := a.Configuration
	t.Authentication = c.text("Authentication")
	switch t.Authentication {
	case "", "NoAuthentication":
		t.Authentication, t.Token = "NoAuthentication", nil
	case "BasicAuthentication":
		// the service delivers the header too; user and password are what the connector's breaker of refused logons
		// counts by
		t.User, t.Password, t.Token = c.text("User"), c.rawText("Password"), nil
		if t.User == "" {
			return t.errorf("User", "missing")
		}
	case "ClientCertificateAuthentication":
		store, err := t.store(a, c.text("KeyStoreLocation"), c.rawText("KeyStorePassword"), "KeyStoreLocation")
		if err != nil {
			return err
		}
		if store == nil {
			return t.errorf("KeyStoreLocation", "missing")
		}
		t.Keystore = store
	default:
		if t.Token == nil {
			why := "the service delivered no token"
			if strings.Contains(t.Authentication, "SAML") || strings.Contains(t.Authentication, "JWT") ||
				strings.Contains(t.Authentication, "User") || t.Authentication == "PrincipalPropagation" {
				why += ": this kind needs a user, and a connector has none; set SystemUser where it is allowed, or " +
					"take another kind"
			}
			return t.errorf("Authentication", "expected NoAuthentication, BasicAuthentication, "+
				"OAuth2ClientCredentials, OAuth2SAMLBearerAssertion or ClientCertificateAuthentication, found %q, "+
				"and %s",
				t.Authentication, why)
		}
	}
	return nil
}

func (t *Destination) readTrust(a *destinationResponse, _ time.Time) (err error) {
	c := a.Configuration
	if location := c.text("TrustStoreLocation"); location != "" && !t.TrustAll {
		t.Truststore, err = t.store(a, location, c.rawText("TrustStorePassword"), "TrustStoreLocation")
	}
	return err
}

// store finds a store among the certificates of the answer. Without a name: the only one there is.
func (t *Destination) store(a *destinationResponse, name, password, property string) (*Store, error) {
	for _, c := range a.Certificates {
		if c.Name != name && (name != "" || len(a.Certificates) != 1) {
			continue
		}
		content, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(c.Content), ""))
		if err != nil || len(content) == 0 {
			return nil, t.errorf(property, "expected the content of %s as base64, found something else", c.Name)
		}
		return &Store{Name: c.Name, Type: storeType(c.Name), Content: content, Password: password}, nil
	}
	if name == "" {
		return nil, nil
	}
	return nil, t.errorf(property, "expected a store %q among the certificates of the destination service, found none "+
		"of that name: upload it in the cockpit, Connectivity > Destinations > Certificates", name)
}

func storeType(name string) string {
	switch strings.ToLower(path.Ext(name)) {
	case ".p12", ".pfx":
		return "PKCS12"
	case ".jks":
		return "JKS"
	case ".pem":
		return "PEM"
	}
	return ""
}

// rawText is a text with its blanks, as passwords may have them.
func (f fields) rawText(name string) string {
	v, _ := f[name].(string)
	return v
}
