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
)

// Services is what an application is bound to, as far as this package knows it. Services that are not bound are nil.
type Services struct {
	Connectivity *Connectivity
	Destination  *DestinationService
	XSUAA        *Credentials
	// Warnings are for the log: which of several bindings was taken, and how to choose.
	Warnings []string
}

// Connectivity is a binding of the connectivity service.
type Connectivity struct {
	Credentials
	// ProxyHost and the ports are those of the Connectivity proxy, SOCKS5 and HTTP.
	ProxyHost            string
	SOCKS5Port, HTTPPort string
	// API is the binding that lists the attached Cloud Connectors, nil if there is none. It may be another one than
	// this: instances of plan api_access have it, and those have no proxy.
	API *ConnectivityAPI
}

// Info is the connectivity service's own interface.
type ConnectivityAPI struct {
	Credentials
	ServiceURL, InfoPath string
}

// DestinationService is a binding of the destination service.
type DestinationService struct {
	Credentials
	// URI is the service's address.
	URI string
	// Instance is the service instance's name, Subaccount the subaccount's id, both for messages, "" if the binding
	// does not say.
	Instance, Subaccount string
}

// SOCKS5Address is host:port of the proxy for TCP. The error names the missing fields.
func (c *Connectivity) SOCKS5Address() (string, error) {
	return c.address(c.SOCKS5Port, "onpremise_socks5_proxy_port")
}

// HTTPAddress is host:port of the proxy for HTTP. The error names the missing fields.
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
			hint = "; an instance of plan api_access has no proxy, bind one of plan lite too"
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

// service is one of those that this package knows.
type service string

const (
	connectivity service = "connectivity"
	destination  service = "destination"
	xsuaa        service = "xsuaa"
)

// binding is a service's credentials as they were found.
type binding struct {
	service service
	name    string
	// names are all names of the binding and its instance.
	names  []string
	fields fields
	origin string
	// provided: a user-provided service.
	provided bool
}

// ReadVCAP is what Cloud Foundry says an application is bound to: the text of the variable VCAP_SERVICES, else, for
// applications whose bindings are in a file, of the file that VCAP_SERVICES_FILE_PATH names; "" where there is neither.
func ReadVCAP() (string, error) {
	if text := os.Getenv("VCAP_SERVICES"); text != "" {
		return text, nil
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

// ParseVCAP reads VCAP_SERVICES: its bindings of connectivity, destination and xsuaa, and user-provided services that hold
// the same fields or have one of these three among their tags. Of several bindings of one service, complete ones come
// before others, those with `culvert` in their name before others, a platform's before user-provided ones, then the
// alphabet decides, with a warning. Fields are looked at when they are used, so that one service's missing field does
// not matter to another.
func ParseVCAP(vcap string) (Services, error) {
	var document map[string]json.RawMessage
	if err := json.Unmarshal([]byte(vcap), &document); err != nil {
		return Services{}, unreadable("VCAP_SERVICES",
			"an object with the name of a service and a list of its bindings", err)
	}
	bindings, err := bindingsOf(document, "VCAP_SERVICES")
	if err != nil {
		return Services{}, err
	}
	return selectBindings(bindings, "VCAP_SERVICES"), nil
}

func unreadable(where, expected string, err error) *Failure {
	return &Failure{Kind: Misconfigured, Setting: where, err: err, text: fmt.Sprintf("%s: expected JSON, %s: %v", where,
		expected, err)}
}

func bindingsOf(document map[string]json.RawMessage, where string) ([]binding, error) {
	var all []binding
	for _, label := range slices.Sorted(maps.Keys(document)) {
		var entries []struct {
			Name         string   `json:"name"`
			InstanceName string   `json:"instance_name"`
			BindingName  string   `json:"binding_name"`
			Tags         []string `json:"tags"`
			Credentials  fields   `json:"credentials"`
		}
		if err := json.Unmarshal(document[label], &entries); err != nil {
			if !isKnownService(label) {
				continue // somebody else's
			}
			return nil, unreadable(where+", "+label, "a list of bindings, each with name and credentials", err)
		}
		for _, e := range entries {
			b := binding{name: e.Name, names: []string{e.Name, e.InstanceName, e.BindingName},
				fields: e.Credentials.unwrapped(), provided: label == "user-provided"}
			switch i := slices.IndexFunc(e.Tags, isKnownService); {
			case isKnownService(label):
				b.service = service(label)
			case i >= 0:
				b.service = service(e.Tags[i])
			case b.provided:
				b.service = b.fields.guessService()
			}
			if b.service != "" {
				b.origin = fmt.Sprintf("%s, service %s, instance %s", where, label, b.name)
				all = append(all, b)
			}
		}
	}
	return all, nil
}

func isKnownService(label string) bool {
	return slices.Contains([]service{connectivity, destination, xsuaa}, service(label))
}

// selectBindings takes one binding for each purpose.
func selectBindings(bindings []binding, where string) Services {
	var s Services
	purpose := func(of service, what string, complete func(binding) bool) *binding {
		var fit []binding
		for _, b := range bindings {
			if b.service == of {
				fit = append(fit, b)
			}
		}
		rank := func(b binding) (n int) {
			if b.provided {
				n++
			}
			if !slices.ContainsFunc(b.names, func(name string) bool {
				return strings.Contains(strings.ToLower(name), "culvert")
			}) {
				n += 2
			}
			if !complete(b) {
				n += 4
			}
			return n
		}
		slices.SortStableFunc(fit, func(a, b binding) int {
			return cmp.Or(rank(a)-rank(b), strings.Compare(a.name, b.name))
		})
		if len(fit) == 0 {
			return nil
		}
		var equals []string
		for _, b := range fit[1:] {
			if rank(b) == rank(fit[0]) {
				equals = append(equals, b.name)
			}
		}
		if len(equals) > 0 && complete(fit[0]) {
			s.Warnings = append(s.Warnings, fmt.Sprintf("%s: several bindings %s: %s is used, not %s; to choose, "+
				"give one a name with `culvert` in it",
				where, what, fit[0].name, strings.Join(equals, ", ")))
		}
		return &fit[0]
	}
	if b := purpose(connectivity, "of connectivity", binding.hasProxy); b != nil {
		s.Connectivity = b.connectivity()
	}
	if b := purpose(connectivity, "of connectivity's own interface", binding.hasAPI); b != nil && b.hasAPI() {
		s.Connectivity.API = b.api()
	}
	if b := purpose(destination, "of destination", func(b binding) bool {
		return b.hasClient() && b.fields.text("uri") != ""
	}); b != nil {
		s.Destination = b.destination()
	}
	if b := purpose(xsuaa, "of xsuaa", binding.hasClient); b != nil {
		c := b.credentials()
		s.XSUAA = &c
	}
	return s
}

func (b binding) hasClient() bool {
	_, err := b.credentials().validate(TokenOptions{})
	return err == nil
}

func (b binding) hasProxy() bool { return b.hasClient() && b.fields.text("onpremise_proxy_host") != "" }

func (b binding) hasAPI() bool { return b.fields.object("connectivity_service").text("url") != "" }

// credentials takes the certificate where there is one: such bindings have no secret, and their service another
// address.
func (b binding) credentials() Credentials {
	f := b.fields
	c := Credentials{ClientID: f.text("clientid"), Secret: f.text("clientsecret"), Certificate: f.text("certificate"),
		Key: f.text("key"), Origin: b.origin}
	if c.Certificate != "" && (c.Key != "" || c.Secret == "") {
		// assumption: a connectivity binding names them as an xsuaa binding does, at the top or below `uaa`
		c.Secret, c.TokenURL = "", f.text("certurl", "token_service_url", "url")
		return c
	}
	c.Certificate, c.Key = "", ""
	c.TokenURL = f.text("token_service_url", "url")
	return c
}

func (b binding) connectivity() *Connectivity {
	f := b.fields
	return &Connectivity{Credentials: b.credentials(), ProxyHost: f.text("onpremise_proxy_host"),
		SOCKS5Port: f.text("onpremise_socks5_proxy_port"), HTTPPort: f.text("onpremise_proxy_http_port",
			"onpremise_proxy_port")}
}

func (b binding) api() *ConnectivityAPI {
	own := b.fields.object("connectivity_service")
	return &ConnectivityAPI{Credentials: b.credentials(), ServiceURL: own.text("url"), InfoPath: cmp.Or(own.text("scc_info_path"),
		b.fields.text("scc_info_path"))}
}

func (b binding) destination() *DestinationService {
	f := b.fields
	return &DestinationService{Credentials: b.credentials(), URI: f.text("uri"), Instance: b.name,
		Subaccount: f.text("subaccountid", "tenantid", "identityzoneid")}
}

// ReadServiceKey reads a service key: the credentials as they are, or below `credentials` as the platform's tools print them,
// or a whole VCAP_SERVICES document, with or without that name around it.
func ReadServiceKey(path string) (Services, error) {
	data, err := keystore.ReadFile(path)
	if err != nil {
		return Services{}, &Failure{Kind: Misconfigured, Setting: path, err: err, text: "service key: " + err.Error()}
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	var document map[string]json.RawMessage
	if err := json.Unmarshal(data, &document); err != nil {
		return Services{}, unreadable(path, "an object, the service key", err)
	}
	if inner, ok := document["VCAP_SERVICES"]; ok {
		document = nil
		if err := json.Unmarshal(inner, &document); err != nil {
			return Services{}, unreadable(path+", VCAP_SERVICES", "an object", err)
		}
	}
	bindings, err := bindingsOf(document, path)
	if err != nil {
		return Services{}, err
	}
	if len(bindings) == 0 {
		var f fields
		if err := json.Unmarshal(data, &f); err != nil {
			return Services{}, unreadable(path, "an object, the service key", err)
		}
		f = f.unwrapped()
		b := binding{service: f.guessService(), fields: f, origin: path}
		if b.service == "" {
			return Services{}, &Failure{Kind: Misconfigured, Setting: path, text: fmt.Sprintf(
				"%s: expected a service key of connectivity, destination or xsuaa with clientid and more, found the "+
					"fields %s", path,
				strings.Join(slices.Sorted(maps.Keys(f)), ", "))}
		}
		bindings = append(bindings, b)
	}
	return selectBindings(bindings, path), nil
}

// fields are a binding's credentials, by name: texts mostly, some are objects.
type fields map[string]any

// unwrapped is what stands below `credentials`, where it stands there.
func (f fields) unwrapped() fields {
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

// text is the first of the names that has a value; what stands below `uaa` comes first, since there `url` is surely
// that of tokens. Ports are texts in some bindings and numbers in others.
func (f fields) text(names ...string) string {
	for _, name := range names {
		for _, in := range []fields{f.object("uaa"), f} {
			switch v := in[name].(type) {
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

// guessService is which service a binding without a label is of, by the fields that it has.
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
