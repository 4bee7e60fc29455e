package btp_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/transport/btp"
)

// proxy holds the credentials of a connectivity binding, with new and deprecated names, as real ones have.
const proxy = `{"tenantmode":"dedicated","clientid":"sb-1","clientsecret":"top","credential-type":"binding-secret",
	"token_service_url":"https://t.example.com","url":"https://deprecated.example.com","token_service_domain":"example.com","xsappname":"x",
	"onpremise_proxy_host":"proxy.internal","onpremise_proxy_port":"20003","onpremise_proxy_http_port":"20003","onpremise_socks5_proxy_port":"20004"}`

// boundTo returns a VCAP_SERVICES document with one binding.
func boundTo(label, name, credentials string) string {
	return `{"` + label + `":[{"label":"` + label + `","name":"` + name + `","credentials":` + credentials + `}]}`
}

// A bindingCase is the value of VCAP_SERVICES and the services that are bound by it.
type bindingCase struct {
	name string
	vcap string
	want btp.Services
}

func originOf(label, name string) string {
	return "VCAP_SERVICES, service " + label + ", instance " + name
}

// proxyOf returns the service of the binding [proxy].
func proxyOf(label, name string) *btp.Connectivity {
	return &btp.Connectivity{Credentials: btp.Credentials{TokenURL: "https://t.example.com", ClientID: "sb-1",
		Secret: "top", Origin: originOf(label, name)},
		ProxyHost: "proxy.internal", SOCKS5Port: "20004", HTTPPort: "20003"}
}

// Credentials are read in each of the forms that bindings have.
func TestBoundServicesOfEachForm(t *testing.T) {
	checkBindings(t, []bindingCase{
		{"nothing", `{}`, btp.Services{}},
		{"others only", `{"redis":[{"name":"r","credentials":{"clientid":"a","url":"b"}}],"odd":"text"}`,
			btp.Services{}},
		{"connectivity", boundTo("connectivity", "c", proxy), btp.Services{Connectivity: proxyOf("connectivity", "c")}},
		{"older names, ports as numbers", boundTo("connectivity", "c",
			`{"clientid":"a","clientsecret":"b","url":"https://u","onpremise_proxy_host":"h",`+
				`"onpremise_proxy_port":20003}`),
			btp.Services{Connectivity: &btp.Connectivity{Credentials: btp.Credentials{TokenURL: "https://u",
				ClientID: "a", Secret: "b", Origin: originOf("connectivity", "c")},
				ProxyHost: "h", HTTPPort: "20003"}}},
		{"below uaa", boundTo("connectivity", "c",
			`{"url":"https://else","uaa":{"clientid":"a","clientsecret":"b","url":"https://u"},`+
				`"onpremise_proxy_host":"h"}`),
			btp.Services{Connectivity: &btp.Connectivity{Credentials: btp.Credentials{TokenURL: "https://u",
				ClientID: "a", Secret: "b", Origin: originOf("connectivity", "c")}, ProxyHost: "h"}}},
		{"credentials in credentials", boundTo("xsuaa", "x",
			`{"credentials":{"clientid":"a","clientsecret":"b","url":"https://u"}}`),
			btp.Services{XSUAA: &btp.Credentials{TokenURL: "https://u", ClientID: "a", Secret: "b",
				Origin: originOf("xsuaa", "x")}}},
		{"x509", boundTo("xsuaa", "x",
			`{"clientid":"a","certurl":"https://cert","url":"https://u","certificate":"C","key":"K",`+
				`"credential-type":"x509"}`),
			btp.Services{XSUAA: &btp.Credentials{TokenURL: "https://cert", ClientID: "a", Certificate: "C", Key: "K",
				Origin: originOf("xsuaa", "x")}}},
		{"x509 below uaa", boundTo("connectivity", "c",
			`{"uaa":{"clientid":"a","certurl":"https://cert","certificate":"C","key":"K"},`+
				`"token_service_url":"https://t","onpremise_proxy_host":"h"}`),
			btp.Services{Connectivity: &btp.Connectivity{Credentials: btp.Credentials{TokenURL: "https://cert",
				ClientID: "a", Certificate: "C", Key: "K", Origin: originOf("connectivity", "c")}, ProxyHost: "h"}}},
		{"a certificate that is not the client's", boundTo("xsuaa", "x",
			`{"clientid":"a","clientsecret":"b","url":"https://u","certificate":"C"}`),
			btp.Services{XSUAA: &btp.Credentials{TokenURL: "https://u", ClientID: "a", Secret: "b",
				Origin: originOf("xsuaa", "x")}}},
		{"destination", boundTo("destination", "d",
			`{"clientid":"a","clientsecret":"b","url":"https://u","uri":"https://dest","tenantid":"sub-1"}`),
			btp.Services{Destination: &btp.DestinationService{Credentials: btp.Credentials{TokenURL: "https://u",
				ClientID: "a", Secret: "b", Origin: originOf("destination", "d")},
				URI: "https://dest", Instance: "d", Subaccount: "sub-1"}}},
	})
}

// One of several bindings is chosen: the platform's, the one whose name has culvert in it, the complete one, the first.
func TestOneOfSeveralBindingsIsChosen(t *testing.T) {
	withOwnInterface := proxyOf("connectivity", "b")
	withOwnInterface.API = &btp.ConnectivityAPI{Credentials: btp.Credentials{TokenURL: "https://t", ClientID: "i",
		Secret: "j", Origin: originOf("connectivity", "a")},
		ServiceURL: "https://own", InfoPath: "/api/v1/info"}
	checkBindings(t, []bindingCase{
		{"user-provided", boundTo("user-provided", "u", proxy),
			btp.Services{Connectivity: proxyOf("user-provided", "u")}},
		{"user-provided by tag", `{"user-provided":[{"name":"u","tags":["x","xsuaa"],"credentials":{"clientid":"a"}}]}`,
			btp.Services{XSUAA: &btp.Credentials{ClientID: "a", Origin: originOf("user-provided", "u")}}},
		{"the platform's before user-provided", `{"user-provided":[{"name":"a","credentials":` + proxy +
			`}],"connectivity":[{"name":"b","credentials":` + proxy + `}]}`,
			btp.Services{Connectivity: proxyOf("connectivity", "b")}},
		{"several: the alphabet, with a warning", `{"connectivity":[{"name":"b","credentials":` + proxy +
			`},{"name":"a","credentials":` + proxy + `}]}`,
			btp.Services{Connectivity: proxyOf("connectivity", "a"), Warnings: []string{
				"VCAP_SERVICES: several bindings of connectivity: a is used, not b; to choose, give one a name with " +
					"`culvert` in it"}}},
		{"several: by name", `{"connectivity":[{"name":"a","credentials":` + proxy +
			`},{"name":"z","binding_name":"for-Culvert","credentials":` + proxy + `}]}`,
			btp.Services{Connectivity: proxyOf("connectivity", "z")}},
		{"several: the complete one",
			`{"connectivity":[{"name":"a","credentials":{"clientid":"x"}},{"name":"b","credentials":` + proxy + `}]}`,
			btp.Services{Connectivity: proxyOf("connectivity", "b")}},
		{"proxy and own interface are two plans", `{"connectivity":[{"name":"a","plan":"api_access","credentials":` +
			`{"clientid":"i","clientsecret":"j","token_service_url":"https://t",` +
			`"connectivity_service":{"url":"https://own","scc_info_path":"/api/v1/info"}}},` +
			`{"name":"b","credentials":` + proxy + `}]}`, btp.Services{Connectivity: withOwnInterface}},
	})
}

func checkBindings(t *testing.T, cases []bindingCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := btp.ParseVCAP(c.vcap)
			require.NoError(t, err)
			assert.Equal(t, c.want, got)
		})
	}
}

// The error of a malformed document names the part of it.
func TestMalformedBindingsAreRejected(t *testing.T) {
	for vcap, want := range map[string]string{
		``:                                  "VCAP_SERVICES: expected JSON",
		`[]`:                                "an object with the name of a service",
		`{"connectivity":{"name":"c"}}`:     "VCAP_SERVICES, connectivity: expected JSON, a list of bindings",
		`{"xsuaa":[{"credentials":"top"}]}`: "VCAP_SERVICES, xsuaa",
	} {
		_, err := btp.ParseVCAP(vcap)
		wantFailure(t, err, btp.Misconfigured, settingOf(vcap), want)
	}
}

func settingOf(vcap string) string {
	switch {
	case strings.Contains(vcap, "connectivity"):
		return "VCAP_SERVICES, connectivity"
	case strings.Contains(vcap, "xsuaa"):
		return "VCAP_SERVICES, xsuaa"
	}
	return "VCAP_SERVICES"
}

// Missing fields are named as in the binding, when they are needed.
func TestMissingFieldsAreNamed(t *testing.T) {
	s, err := btp.ParseVCAP(boundTo("connectivity", "c", `{"clientid":"a"}`))
	require.NoError(t, err)
	prefix := "VCAP_SERVICES, service connectivity, instance c: "
	_, err = s.Connectivity.SOCKS5Address()
	wantFailure(t, err, btp.Misconfigured, "onpremise_proxy_host",
		prefix+"missing: onpremise_proxy_host, onpremise_socks5_proxy_port")
	_, err = s.Connectivity.HTTPAddress()
	wantFailure(t, err, btp.Misconfigured, "onpremise_proxy_host",
		prefix+"missing: onpremise_proxy_host, onpremise_proxy_http_port")
	_, err = btp.NewTokens(s.Connectivity.Credentials,
		btp.TokenOptions{Name: func(string) string { return "kafka.proxy.x" }})
	wantFailure(t, err, btp.Misconfigured, "token_service_url",
		prefix+"missing: token_service_url, clientsecret (or certificate and key)")

	s, _ = btp.ParseVCAP(boundTo("connectivity", "c",
		`{"clientid":"a","onpremise_proxy_host":"h","onpremise_socks5_proxy_port":"20004x"}`))
	_, err = s.Connectivity.SOCKS5Address()
	wantFailure(t, err, btp.Misconfigured, "onpremise_socks5_proxy_port", `expected 1 to 65535, found "20004x"`)

	s, _ = btp.ParseVCAP(boundTo("connectivity", "c", `{"clientid":"a","connectivity_service":{"url":"https://own"}}`))
	_, err = s.Connectivity.SOCKS5Address()
	wantFailure(t, err, btp.Misconfigured, "onpremise_proxy_host", "plan api_access have no proxy")

	s, _ = btp.ParseVCAP(boundTo("connectivity", "c", proxy))
	for want, address := range map[string]func() (string, error){"proxy.internal:20004": s.Connectivity.SOCKS5Address,
		"proxy.internal:20003": s.Connectivity.HTTPAddress} {
		got, err := address()
		assert.True(t, got == want && err == nil, "expected %s, found %s, %v", want, got, err)
	}
}

// A service key is read in each form in which tools store it. Errors contain no value of the key.
func TestReadKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key.json")
	want := btp.Connectivity{Credentials: btp.Credentials{TokenURL: "https://t.example.com", ClientID: "sb-1",
		Secret: "top", Origin: path},
		ProxyHost: "proxy.internal", SOCKS5Port: "20004", HTTPPort: "20003"}
	for name, c := range map[string]struct{ text, origin string }{
		"as it is":          {proxy, path},
		"byte order mark":   {"\xef\xbb\xbf" + proxy, path},
		"below credentials": {`{"credentials":` + proxy + `}`, path},
		"VCAP document":     {boundTo("connectivity", "c", proxy), path + ", service connectivity, instance c"},
		"with its name": {`{"VCAP_SERVICES":` + boundTo("connectivity", "c", proxy) + `,"VCAP_APPLICATION":{}}`, path +
			", service connectivity, instance c"},
		"twice credentials": {`{"credentials":{"credentials":` + proxy + `}}`, path},
		"as a tool nests it": {boundTo("connectivity", "c", `{"credentials":`+proxy+`}`), path +
			", service connectivity, instance c"},
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, os.WriteFile(path, []byte(c.text), 0o600))
			got, err := btp.ReadServiceKey(path)
			require.NoError(t, err)
			want := want
			want.Origin = c.origin
			assert.Equal(t, btp.Services{Connectivity: &want}, got)
		})
	}
	for text, part := range map[string]string{
		"{":                                     path + ": expected JSON",
		`{"clientsecret":top}`:                  "the service key: unexpected character at byte 18",
		`{"a":"top","b":1}`:                     "found the fields a, b",
		`{"VCAP_SERVICES":[]}`:                  "VCAP_SERVICES: expected JSON",
		`{"clientid":"a","clientsecret":"top"}`: "found the fields clientid, clientsecret",
	} {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		_, err := btp.ReadServiceKey(path)
		assert.True(t, err != nil && strings.Contains(err.Error(), part) && !strings.Contains(err.Error(), "top") &&
			!strings.Contains(err.Error(), "'t'"), "%s: expected an error with %q, found %v", text, part, err)
	}
	_, err := btp.ReadServiceKey(path + "x")
	assert.Error(t, err, "key.jsonx", "names the file")
}

// Any text is parsed or rejected, and parsed values have no surrounding spaces.
func FuzzBound(f *testing.F) {
	f.Add(boundTo("connectivity", "c", proxy))
	f.Add(`{"user-provided":[{"name":"u","tags":["xsuaa"],"credentials":{"uaa":{"clientid":" a "},"url":1e99}}]}`)
	f.Add(`{"destination":[{"credentials":{"credentials":{}}},{"credentials":null}]}`)
	f.Fuzz(func(t *testing.T, vcap string) {
		s, err := btp.ParseVCAP(vcap)
		if err != nil {
			return
		}
		if s.Connectivity != nil {
			assert.Equal(t, s.Connectivity.ClientID, strings.TrimSpace(s.Connectivity.ClientID), "client id")
			if address, err := s.Connectivity.SOCKS5Address(); err == nil && s.Connectivity.ProxyHost == "" {
				t.Errorf("expected an address with a host, found %q", address)
			}
		}
	})
}

// Bindings come from the variable, else from the file that the other variable names; an unreadable or empty file is
// an error.
func TestEnvironment(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "vcap.json")
	empty := filepath.Join(dir, "empty")
	for name, text := range map[string]string{file: `{"from":"the file"}`, empty: "\n"} {
		require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	}
	for _, c := range []struct {
		variable string // value of VCAP_SERVICES
		path     string // value of VCAP_SERVICES_FILE_PATH
		want     string
		problem  string // part of the error; "" means that there is no error
	}{
		{"", "", "", ""},
		{`{"from":"the variable"}`, "", `{"from":"the variable"}`, ""},
		{"", file, `{"from":"the file"}`, ""},
		{`{"from":"the variable"}`, file, `{"from":"the variable"}`, ""},
		{"", filepath.Join(dir, "none"), "", "none"},
		{"", empty, "", "it is empty"},
		{"", dir, "", dir},
	} {
		t.Setenv("VCAP_SERVICES", c.variable)
		t.Setenv("VCAP_SERVICES_FILE_PATH", c.path)
		got, err := btp.ReadVCAP()
		assert.True(t, got == c.want && (err != nil) == (c.problem != ""), "%+v: found %q, %v", c, got, err)
		if c.problem != "" {
			wantFailure(t, err, btp.Misconfigured, c.path, "VCAP_SERVICES_FILE_PATH", c.problem)
		}
	}
}
