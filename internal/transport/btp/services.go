package btp

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/internal/keystore"
	"github.com/culvert-project/culvert/internal/secret"
)

// Services are an application's bindings of the services that this package supports. Nil means not bound.
type Services struct {
	Connectivity *Connectivity
	Destination  *DestinationService
	XSUAA        *Credentials
	// Warnings name ambiguous bindings and how to choose one; log them.
	Warnings []string
}

// Connectivity is a binding of the connectivity service.
type Connectivity struct {
	Credentials
	ProxyHost  string
	SOCKS5Port string
	HTTPPort   string
	// API is for the list of Cloud Connectors, or nil. Its plan api_access has no proxy, so it may be another instance.
	API *ConnectivityAPI
}

// ConnectivityAPI is a binding of the connectivity service's REST API.
type ConnectivityAPI struct {
	Credentials
	ServiceURL string
	InfoPath   string
}

// DestinationService is a binding of the destination service.
type DestinationService struct {
	Credentials
	URI        string
	Instance   string // for messages
	Subaccount string // for messages
}

// SOCKS5Address returns host:port of the SOCKS5 proxy. The error names missing fields.
func (c *Connectivity) SOCKS5Address() (string, error) {
	return c.address(c.SOCKS5Port, "onpremise_socks5_proxy_port")
}

// HTTPAddress returns host:port of the HTTP proxy. The error names missing fields.
func (c *Connectivity) HTTPAddress() (string, error) {
	return c.address(c.HTTPPort, "onpremise_proxy_http_port")
}

func (c *Connectivity) address(port, field string) (string, error) {
	var missing []string
	if c.ProxyHost == "" {
		missing = append(missing, "onpremise_proxy_host")
	}
	if port == "" {
		missing = append(missing, field)
	}
	if len(missing) > 0 {
		hint := ""
		if c.ProxyHost == "" && c.API != nil {
			hint = "; instances of plan api_access have no proxy: bind one of plan lite too"
		}
		return "", &Failure{Kind: Misconfigured, Setting: missing[0], text: c.prefix() + "missing: " +
			strings.Join(missing, ", ") + hint}
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return "", &Failure{Kind: Misconfigured, Setting: field,
			text: fmt.Sprintf("%s%s: expected 1 to 65535, found %q", c.prefix(), field, port)}
	}
	return net.JoinHostPort(c.ProxyHost, port), nil
}

type service string

const (
	connectivity service = "connectivity"
	destination  service = "destination"
	xsuaa        service = "xsuaa"
)

// binding holds the credentials of a service.
type binding struct {
	service        service
	name           string
	names          []string // of the binding and its instance, one of which may contain `culvert`
	fields         fields
	origin         string // of Credentials
	isUserProvided bool
}

// ReadVCAP returns the text of VCAP_SERVICES or of the file VCAP_SERVICES_FILE_PATH; "" without either.
func ReadVCAP() (string, error) {
	if services := os.Getenv("VCAP_SERVICES"); services != "" {
		return services, nil
	}
	path := os.Getenv("VCAP_SERVICES_FILE_PATH")
	if path == "" {
		return "", nil
	}
	data, err := keystore.ReadFile(path)
	if err == nil && len(bytes.TrimSpace(data)) == 0 {
		err = errors.New("it is empty")
	}
	if err != nil {
		return "", &Failure{Kind: Misconfigured, Setting: path, err: err,
			text: "VCAP_SERVICES_FILE_PATH, " + path + ": " + err.Error()}
	}
	return string(data), nil
}

// ParseVCAP reads bindings of connectivity, destination and xsuaa from VCAP_SERVICES, user-provided ones by their
// tags or fields. Of several bindings of one service it prefers complete ones, then those with `culvert` in their
// name, then those of the platform, then the first name, with a warning. Fields are validated when they are used.
func ParseVCAP(vcap string) (Services, error) {
	var document map[string]json.RawMessage
	if err := secret.UnmarshalJSON([]byte(vcap), &document); err != nil {
		return Services{}, parseFailure("VCAP_SERVICES",
			"an object with the name of a service and a list of its bindings", err)
	}
	bindings, err := bindingsOf(document, "VCAP_SERVICES")
	if err != nil {
		return Services{}, err
	}
	return selectBindings(bindings, "VCAP_SERVICES"), nil
}

func parseFailure(where, expected string, err error) *Failure {
	return &Failure{Kind: Misconfigured, Setting: where, err: err, text: fmt.Sprintf("%s: expected JSON, %s: %v", where,
		expected, err)}
}

// bindingsOf returns the bindings of supported services. where names the document in errors.
func bindingsOf(document map[string]json.RawMessage, where string) ([]binding, error) {
	var bindings []binding
	for _, label := range slices.Sorted(maps.Keys(document)) {
		var entries []struct {
			Name         string   `json:"name"`
			InstanceName string   `json:"instance_name"`
			BindingName  string   `json:"binding_name"`
			Tags         []string `json:"tags"`
			Credentials  fields   `json:"credentials"`
		}
		if err := secret.UnmarshalJSON(document[label], &entries); err != nil {
			if !isKnownService(label) {
				continue // another service
			}
			return nil, parseFailure(where+", "+label, "a list of bindings, each with name and credentials", err)
		}
		for _, e := range entries {
			b := binding{name: e.Name, names: []string{e.Name, e.InstanceName, e.BindingName},
				fields: e.Credentials.unwrap(), isUserProvided: label == "user-provided"}
			switch i := slices.IndexFunc(e.Tags, isKnownService); {
			case isKnownService(label):
				b.service = service(label)
			case i >= 0:
				b.service = service(e.Tags[i])
			case b.isUserProvided:
				b.service = b.fields.guessService()
			}
			if b.service != "" {
				b.origin = fmt.Sprintf("%s, service %s, instance %s", where, label, b.name)
				bindings = append(bindings, b)
			}
		}
	}
	return bindings, nil
}

func isKnownService(label string) bool {
	return slices.Contains([]service{connectivity, destination, xsuaa}, service(label))
}

// selectBindings selects one binding of each service, see [ParseVCAP].
func selectBindings(bindings []binding, where string) Services {
	var s Services
	choose := func(label service, purpose string, complete func(binding) bool) *binding {
		selected, equals := selectBinding(bindings, label, complete)
		if len(equals) > 0 && complete(*selected) {
			s.Warnings = append(s.Warnings, fmt.Sprintf("%s: several bindings %s: %s is used, not %s; to choose, "+
				"give one a name with `culvert` in it", where, purpose, selected.name, strings.Join(equals, ", ")))
		}
		return selected
	}
	if b := choose(connectivity, "of connectivity", binding.hasProxy); b != nil {
		s.Connectivity = b.connectivity()
	}
	if b := choose(connectivity, "of connectivity's REST API", binding.hasAPI); b != nil && b.hasAPI() {
		s.Connectivity.API = b.api()
	}
	if b := choose(destination, "of destination", binding.hasDestinations); b != nil {
		s.Destination = b.destination()
	}
	if b := choose(xsuaa, "of xsuaa", binding.hasClient); b != nil {
		c := b.credentials()
		s.XSUAA = &c
	}
	return s
}

// selectBinding returns the binding of a service that [ParseVCAP] prefers, or nil, and the names of equally good ones.
func selectBinding(bindings []binding, label service,
	complete func(binding) bool) (selected *binding, equals []string) {
	var candidates []binding
	for _, b := range bindings {
		if b.service == label {
			candidates = append(candidates, b)
		}
	}
	if len(candidates) == 0 {
		return nil, nil
	}
	slices.SortStableFunc(candidates, func(a, b binding) int {
		return cmp.Or(a.rank(complete)-b.rank(complete), strings.Compare(a.name, b.name))
	})
	for _, b := range candidates[1:] {
		if b.rank(complete) == candidates[0].rank(complete) {
			equals = append(equals, b.name)
		}
	}
	return &candidates[0], equals
}

// rank is lower for better bindings. Completeness counts more than the name, and that more than who provides it.
func (b binding) rank(complete func(binding) bool) (rank int) {
	hasName := slices.ContainsFunc(b.names, func(name string) bool {
		return strings.Contains(strings.ToLower(name), "culvert")
	})
	if !complete(b) {
		rank += 4
	}
	if !hasName {
		rank += 2
	}
	if b.isUserProvided {
		rank++
	}
	return rank
}

func (b binding) hasDestinations() bool { return b.hasClient() && b.fields.text("uri") != "" }

func (b binding) hasClient() bool {
	_, err := b.credentials().validate(TokenOptions{})
	return err == nil
}

func (b binding) hasProxy() bool { return b.hasClient() && b.fields.text("onpremise_proxy_host") != "" }

func (b binding) hasAPI() bool { return b.fields.object("connectivity_service").text("url") != "" }

// credentials prefers a certificate: such bindings have no secret, and another token URL.
func (b binding) credentials() Credentials {
	f := b.fields
	c := Credentials{ClientID: f.text("clientid"), Secret: f.text("clientsecret"), Certificate: f.text("certificate"),
		Key: f.text("key"), Origin: b.origin}
	if c.Certificate != "" && (c.Key != "" || c.Secret == "") {
		// Assumption: connectivity bindings name these fields as xsuaa bindings do, at the top or below `uaa`.
		c.TokenURL = f.text("certurl", "token_service_url", "url")
		c.Secret = ""
		return c
	}
	c.Certificate = ""
	c.Key = ""
	c.TokenURL = f.text("token_service_url", "url")
	return c
}

func (b binding) connectivity() *Connectivity {
	f := b.fields
	return &Connectivity{Credentials: b.credentials(), ProxyHost: f.text("onpremise_proxy_host"),
		SOCKS5Port: f.text("onpremise_socks5_proxy_port"),
		HTTPPort:   f.text("onpremise_proxy_http_port", "onpremise_proxy_port")}
}

func (b binding) api() *ConnectivityAPI {
	inner := b.fields.object("connectivity_service")
	return &ConnectivityAPI{Credentials: b.credentials(), ServiceURL: inner.text("url"),
		InfoPath: cmp.Or(inner.text("scc_info_path"), b.fields.text("scc_info_path"))}
}

func (b binding) destination() *DestinationService {
	f := b.fields
	return &DestinationService{Credentials: b.credentials(), URI: f.text("uri"), Instance: b.name,
		Subaccount: f.text("subaccountid", "tenantid", "identityzoneid")}
}

// ReadServiceKey reads a service key, as it is or below `credentials`, or a VCAP_SERVICES document.
func ReadServiceKey(path string) (Services, error) {
	data, err := keystore.ReadFile(path)
	if err != nil {
		return Services{}, &Failure{Kind: Misconfigured, Setting: path, err: err, text: "service key: " + err.Error()}
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")) // a byte order mark
	var document map[string]json.RawMessage
	if err := secret.UnmarshalJSON(data, &document); err != nil {
		return Services{}, parseFailure(path, "an object, the service key", err)
	}
	if inner, ok := document["VCAP_SERVICES"]; ok {
		document = nil
		if err := secret.UnmarshalJSON(inner, &document); err != nil {
			return Services{}, parseFailure(path+", VCAP_SERVICES", "an object", err)
		}
	}
	bindings, err := bindingsOf(document, path)
	if err != nil {
		return Services{}, err
	}
	if len(bindings) == 0 {
		var f fields
		if err := secret.UnmarshalJSON(data, &f); err != nil {
			return Services{}, parseFailure(path, "an object, the service key", err)
		}
		f = f.unwrap()
		b := binding{service: f.guessService(), fields: f, origin: path}
		if b.service == "" {
			return Services{}, &Failure{Kind: Misconfigured, Setting: path, text: fmt.Sprintf(
				"%s: expected a service key of connectivity, destination or xsuaa with clientid and more, found the "+
					"fields %s", path, strings.Join(slices.Sorted(maps.Keys(f)), ", "))}
		}
		bindings = append(bindings, b)
	}
	return selectBindings(bindings, path), nil
}

// fields is a JSON object of a binding or destination.
type fields map[string]any

// unwrap returns the innermost object below `credentials`.
func (f fields) unwrap() fields {
	for {
		inner := f.object("credentials")
		if inner == nil {
			return f
		}
		f = inner
	}
}

func (f fields) object(name string) fields {
	inner, _ := f[name].(map[string]any)
	return inner
}

// text returns the first non-empty value. Values below `uaa` have priority: only there `url` means the token service.
func (f fields) text(names ...string) string {
	for _, name := range names {
		for _, object := range []fields{f.object("uaa"), f} {
			switch v := object[name].(type) {
			case string:
				if v = strings.TrimSpace(v); v != "" {
					return v
				}
			case float64:
				return strconv.FormatFloat(v, 'f', -1, 64)
			}
		}
	}
	return ""
}

// guessService derives the service from the fields that its bindings have, "" if unknown.
func (f fields) guessService() service {
	switch {
	case f.text("onpremise_proxy_host", "onpremise_socks5_proxy_port") != "", f.object("connectivity_service") != nil:
		return connectivity
	case f.text("uri") != "" && f.text("clientid") != "":
		return destination
	case f.text("clientid") != "" && f.text("url", "token_service_url", "certurl") != "":
		return xsuaa
	}
	return ""
}
