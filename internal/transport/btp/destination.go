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

	"github.com/culvert-project/culvert/internal/secret"
)

// Destination is a destination of SAP BTP's destination service. Its maps and pointers are shared: do not change them.
type Destination struct {
	Name string
	Type string // HTTP or TCP
	Endpoint
	Client   string // sap-client
	Language string // sap-language

	// Authentication is SAP's name of the kind, such as BasicAuthentication or OAuth2ClientCredentials.
	Authentication string
	// User and Password are set for BasicAuthentication only, Keystore for ClientCertificateAuthentication only.
	User     string
	Password string
	Token    *DeliveredToken
	Keystore *Store

	// ProxyType is Internet, OnPremise or PrivateLink.
	ProxyType string
	// LocationID selects the Cloud Connector for OnPremise.
	LocationID string

	// TrustAll disables the check of the server's certificate. A nil Truststore means the system's roots.
	TrustAll   bool
	Truststore *Store

	// Digest changes with any change in the cockpit, secrets for fetching tokens included.
	Digest [sha256.Size]byte
}

// String returns name and URL: no way of printing a destination reveals passwords or tokens.
func (d Destination) String() string { return fmt.Sprintf("destination %s at %s", d.Name, d.URL) }

// GoString is String, so that %#v reveals nothing either.
func (d Destination) GoString() string { return d.String() }

// LogValue implements [slog.LogValuer].
func (d Destination) LogValue() slog.Value { return slog.StringValue(d.String()) }

// Endpoint is a destination's URL, without its query, and what requests to it add.
type Endpoint struct {
	URL    string
	Scheme string
	Host   string
	Port   int
	// Path has no slash at its end.
	Path    string
	Query   url.Values
	Headers http.Header
}

// DeliveredToken is a token that the destination service fetched. Requests send Value in the header Header.
type DeliveredToken struct {
	Header  string
	Value   string
	Expires time.Time
}

// Store is a key store or trust store that was uploaded in the cockpit.
type Store struct {
	// Name is its name in the cockpit.
	Name     string
	Type     string
	Content  []byte
	Password string
}

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

// parseDestination reads a response of the destination service. Errors name the property to correct in the cockpit.
func parseDestination(name string, body []byte, now time.Time) (Destination, error) {
	d := Destination{Name: name, Endpoint: Endpoint{Query: url.Values{}, Headers: http.Header{}}}
	var response destinationResponse
	if err := secret.UnmarshalJSON(body, &response); err != nil {
		return d, &Failure{Kind: Misconfigured, err: err,
			text: fmt.Sprintf("destination %s: expected an object with destinationConfiguration, found %v", name, err)}
	}
	c := response.Configuration
	if len(c) == 0 {
		return d, d.errorf("destinationConfiguration", "expected it in the service's answer, found nothing")
	}
	encoded, err := json.Marshal(c) // sorts by name
	if err != nil {
		return d, d.errorf("destinationConfiguration", "%v", err)
	}
	d.Digest = sha256.Sum256(encoded)
	d.Type = c.text("Type")
	d.ProxyType = c.text("ProxyType")
	d.LocationID = c.text("CloudConnectorLocationId")
	d.Client = c.text("sap-client")
	d.Language = c.text("sap-language")
	d.TrustAll = strings.EqualFold(c.text("TrustAll"), "true")
	if d.ProxyType == "" {
		d.ProxyType = "Internet"
	}
	if !slices.Contains([]string{"Internet", "OnPremise", "PrivateLink"}, d.ProxyType) {
		return d, d.errorf("ProxyType", "expected Internet, OnPremise or PrivateLink, found %q", d.ProxyType)
	}
	for key := range c {
		if header, ok := strings.CutPrefix(key, "URL.headers."); ok && header != "" {
			d.Headers.Set(header, c.text(key))
		}
		if query, ok := strings.CutPrefix(key, "URL.queries."); ok && query != "" {
			d.Query.Set(query, c.text(key))
		}
	}
	for _, read := range []func(*destinationResponse, time.Time) error{d.readAddress, d.readTokens,
		d.readAuthentication, d.readTrust} {
		if err := read(&response, now); err != nil {
			return Destination{}, err
		}
	}
	return d, nil
}

func (d *Destination) errorf(property, format string, args ...any) *Failure {
	return &Failure{Kind: Misconfigured, Setting: property, text: fmt.Sprintf("destination %s: %s: %s", d.Name,
		property, fmt.Sprintf(format, args...))}
}

// readAddress reads the URL of an HTTP or the address of a TCP destination. Its query is added to URL.queries.
func (d *Destination) readAddress(response *destinationResponse, _ time.Time) error {
	property := "URL"
	schemes := []string{"http", "https"}
	address := response.Configuration.text("URL")
	switch d.Type {
	case "HTTP", "":
		d.Type = "HTTP"
		if address != "" && !strings.Contains(address, "://") {
			// Assumption: the cockpit allows URLs without a scheme, for which SAP's SDKs assume http.
			address = "http://" + address
		}
	case "TCP":
		property = "Address"
		schemes = []string{"tcp", "tcps"}
		if address = response.Configuration.text("Address", "URL"); address != "" && !strings.Contains(address, "://") {
			address = "tcp://" + address
		}
	default:
		return d.errorf("Type", "expected HTTP or TCP, found %q", d.Type)
	}
	if address == "" {
		return d.errorf(property, "missing")
	}
	parsed, err := url.Parse(address)
	if err != nil || parsed.Host == "" || parsed.Hostname() == "" || parsed.User != nil ||
		(parsed.Scheme != schemes[0] && parsed.Scheme != schemes[1]) {
		return d.errorf(property, "expected %s://HOST or %s://HOST, without user and password in it", schemes[0],
			schemes[1])
	}
	d.Scheme = parsed.Scheme
	d.Host = parsed.Hostname()
	d.Path = strings.TrimRight(parsed.EscapedPath(), "/")
	d.Port = map[string]int{"http": 80, "https": 443}[parsed.Scheme]
	if p := parsed.Port(); p != "" {
		d.Port, _ = strconv.Atoi(p)
	}
	if d.Port < 1 || d.Port > 65535 {
		return d.errorf(property, "expected a port from 1 to 65535, found %q", parsed.Port())
	}
	for key, values := range parsed.Query() {
		if !d.Query.Has(key) {
			d.Query[key] = values
		}
	}
	parsed.RawQuery = ""
	parsed.Fragment = ""
	d.URL = parsed.String()
	return nil
}

// readTokens stores the first token; only destinations with several audiences have more.
func (d *Destination) readTokens(response *destinationResponse, now time.Time) error {
	for _, delivered := range response.Tokens {
		if delivered.Error != "" {
			return &Failure{Kind: Unauthorized, Setting: "Authentication", text: fmt.Sprintf(
				"destination %s: the destination service could not get a token: %s", d.Name,
				quote(delivered.Error, delivered.Value, response.Configuration.text("clientSecret")))}
		}
		token := DeliveredToken{Header: delivered.Header.Key, Value: delivered.Header.Value}
		if token.Header == "" || token.Value == "" {
			if delivered.Value == "" {
				continue
			}
			kind := delivered.Type
			if kind == "" || strings.EqualFold(kind, "bearer") {
				kind = "Bearer"
			}
			token = DeliveredToken{Header: "Authorization", Value: kind + " " + delivered.Value}
		}
		if lifetime := seconds(delivered.ExpiresIn); lifetime > 0 {
			token.Expires = now.Add(lifetime)
		}
		d.Token = &token
		return nil
	}
	return nil
}

// readAuthentication reads the credentials of the kind of authentication.
func (d *Destination) readAuthentication(response *destinationResponse, _ time.Time) error {
	c := response.Configuration
	d.Authentication = c.text("Authentication")
	switch d.Authentication {
	case "", "NoAuthentication":
		d.Authentication = "NoAuthentication"
		d.Token = nil
	case "BasicAuthentication":
		// The delivered header is ignored: refused logons are counted by user and password.
		d.User = c.text("User")
		d.Password = c.rawText("Password")
		d.Token = nil
		if d.User == "" {
			return d.errorf("User", "missing")
		}
	case "ClientCertificateAuthentication":
		store, err := d.store(response, c.text("KeyStoreLocation"), c.rawText("KeyStorePassword"), "KeyStoreLocation")
		if err != nil {
			return err
		}
		if store == nil {
			return d.errorf("KeyStoreLocation", "missing")
		}
		d.Keystore = store
	default:
		if d.Token == nil {
			reason := "the service delivered no token"
			if strings.Contains(d.Authentication, "SAML") || strings.Contains(d.Authentication, "JWT") ||
				strings.Contains(d.Authentication, "User") || d.Authentication == "PrincipalPropagation" {
				reason += ": this kind needs a logged-on user, which a connector does not have; set SystemUser if " +
					"possible, or use another kind"
			}
			return d.errorf("Authentication", "expected NoAuthentication, BasicAuthentication, "+
				"OAuth2ClientCredentials, OAuth2SAMLBearerAssertion or ClientCertificateAuthentication, "+
				"found %q, and %s", d.Authentication, reason)
		}
	}
	return nil
}

func (d *Destination) readTrust(response *destinationResponse, _ time.Time) (err error) {
	c := response.Configuration
	if location := c.text("TrustStoreLocation"); location != "" && !d.TrustAll {
		d.Truststore, err = d.store(response, location, c.rawText("TrustStorePassword"), "TrustStoreLocation")
	}
	return err
}

// store returns an uploaded store. With the name "" it returns the only one, or nil.
func (d *Destination) store(response *destinationResponse, name, password, property string) (*Store, error) {
	for _, c := range response.Certificates {
		if c.Name != name && (name != "" || len(response.Certificates) != 1) {
			continue
		}
		content, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(c.Content), ""))
		if err != nil || len(content) == 0 {
			return nil, d.errorf(property, "expected the content of %s as base64, found something else", c.Name)
		}
		kind := storeTypes[strings.ToLower(path.Ext(c.Name))]
		return &Store{Name: c.Name, Type: kind, Content: content, Password: password}, nil
	}
	if name == "" {
		return nil, nil
	}
	return nil, d.errorf(property, "expected a store %q among the certificates of the destination service, found "+
		"nothing of that name: upload it in the cockpit, Connectivity > Destinations > Certificates", name)
}

// storeTypes maps the extension of a store's name to its type.
var storeTypes = map[string]string{".p12": "PKCS12", ".pfx": "PKCS12", ".jks": "JKS", ".pem": "PEM"}

func (f fields) rawText(name string) string {
	v, _ := f[name].(string)
	return v
}
