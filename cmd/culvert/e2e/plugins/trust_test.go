package plugins

import (
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/internal/porttest"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
)

func statusOf(t *testing.T, listen, name string) (s connect.Status) {
	e2etest.Get(t, "http://"+listen+"/connectors/"+name+"/status", &s)
	return s
}

// A new version of a plugin that gives the role of an address to another setting is dropped into the folder, during a
// run and while the worker is down: it is rejected, and log and status name the setting.
func TestVersionThatMovesTheAddressIsRefused(t *testing.T) {
	t.Parallel()
	p, s, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 20, User: "me", Password: e2etest.Password})
	dir := e2etest.CopyPlugins(t)
	// The version's default proxy is the attacker.
	attacker := e2etest.Serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("a request of the user went to the attacker: %s %s %v", r.Method, r.URL, r.Header)
	}))
	listen := porttest.Address(t)
	file := p.File("orders.properties", e2etest.WithLogon(e2etest.Source("orders", address, "Orders"),
		"sap.odata#00.exec-period=1")...)
	m, err := plugin.New(t.Context(), plugin.Options{Folders: []string{dir}, CacheDir: guesttest.Code(t),
		Registry: record.NewRegistry()})
	require.NoError(t, err)
	source := m.Modules()[0]
	components := source.Description().Components
	m.Close()
	withoutRole := func(rules []wit.Rule) []wit.Rule {
		return slices.DeleteFunc(slices.Clone(rules), func(r wit.Rule) bool { return r.Role != nil })
	}
	for i := range components {
		for j := range components[i].Settings {
			switch s := &components[i].Settings[j]; s.Name {
			case "sap.odata.proxy.address":
				s.DefaultValue = &attacker
			case "sap.odata.proxy.type":
				s.DefaultValue = wit.Ptr("http")
			case "sap.odata.host.address":
				s.Rules = withoutRole(s.Rules)
			case "sap.odata.link.hosts":
				host, _, _ := net.SplitHostPort(attacker)
				s.Kind = wit.KindString
				s.DefaultValue = &host
				s.Rules = append(withoutRole(s.Rules), wit.Rule{Role: wit.Ptr("http.address")})
			case "sap.odata.user.pwd":
				s.Kind = wit.KindString
			}
		}
	}
	module := guesttest.Static(wit.Description{Name: "odata-source", Version: "9.9.9", Components: components}, "",
		wit.InterfaceSource)
	c := p.Start("run", "--plugins", dir, "--data", p.Data, "--set", "listeners=http://"+listen, file)
	c.Eventually("RUNNING", func() bool {
		s := statusOf(t, listen, "orders")
		return len(s.Tasks) == 1 && s.Tasks[0].State == connect.Running
	})
	e2etest.WriteFile(t, dir, "better.wasm", module)
	const message = "version 9.9.9 of plugin odata-source gives the role http.address to the setting " +
		"sap.odata.link.hosts (before: sap.odata.host.address)"
	assert.Contains(t, c.AwaitStderr("plugin refused"), message)
	var status connect.Status
	c.Eventually("a message in the status", func() bool {
		status = statusOf(t, listen, "orders")
		return len(status.Tasks) == 1 && len(status.Tasks[0].Plugins) == 1 &&
			strings.Contains(status.Tasks[0].Plugins[0], message)
	})
	if task := status.Tasks[0]; task.Version != "0.1.0" || task.State != connect.Running ||
		!strings.Contains(task.Plugin, filepath.Join(dir, "odata-source.wasm")+" sha256:") {
		t.Errorf("expected 0.1.0 RUNNING from its file, found %+v", task)
	}
	requests := s.Ledger().Total
	c.Eventually("further requests", func() bool { return s.Ledger().Total > requests })
	c.MustStop()

	// It is also rejected if it replaces the good file and no other version is present.
	require.NoError(t, os.Remove(filepath.Join(dir, "better.wasm")))
	e2etest.ReplaceFile(t, dir, "odata-source.wasm", module)
	p.Run("run", "--once", "--plugins", dir, "--data", p.Data, file).WantCode(2).
		WantStderr("the setting sap.odata.link.hosts")
}

// robSecrets has the secrets that the guest rob searches for, by their settings.
var robSecrets = map[string]string{
	"rob.password":                    "pw-4711-declared-text",
	"rob.secret":                      "pw-4712-password",
	"rob.key":                         "pw-4713-header",
	"rob.store.password":              "pw-4714-store",
	"sap.odata.user.pwd":              "pw-4715-of-another",
	"sap.odata.header.APIKey":         "pw-4716-template",
	"sap.odata.oauth.client.secret":   "pw-4717-oauth",
	"rob.db.pwd":                      "pw-4718-undeclared",
	"transforms.t.sap.odata.user.pwd": "pw-4719-transform",
	"predicates.p.sap.odata.user.pwd": "pw-4720-predicate",
	"sap.odata.keystore.password":     "pw-4721-not-its-own",
}

// repeatingService is a service that repeats in its responses all that it received, secrets too.
type repeatingService struct {
	mu       sync.Mutex
	headers  []http.Header
	requests strings.Builder // what the guest sends to the service
}

func (s *repeatingService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.headers = append(s.headers, r.Header.Clone())
	body, _ := io.ReadAll(r.Body)
	fmt.Fprintln(&s.requests, r.URL, r.Header["X-Seen"], string(body))
	_, pwd, _ := r.BasicAuth()
	h := w.Header()
	h.Set("Set-Cookie", "session="+robSecrets["rob.password"])
	h.Set("Authorization", r.Header.Get("Authorization"))
	h.Set("X-Csrf-Token", "token-of-the-session")
	h.Set("X-Echo", "you are "+pwd+", by "+r.Header.Get("Authorization"))
	h.Set("X-Key", r.Header.Get("apikey"))
	h.Set("X-Cookie", r.Header.Get("Cookie"))
	h.Set("Location", "/login?p="+pwd)
	io.WriteString(w, "a page")
}

// settingsWithSecrets returns settings of a connector of the guest rob, whose service is at an address. secretsFile is
// a file with secrets.
func settingsWithSecrets(host, port, secretsFile string) []string {
	return []string{"rob.address=" + host, "rob.port=" + port, "rob.scheme=http", "rob.user=me",
		"unknown.settings=warn",
		"rob.plain=${file:" + secretsFile + ":text}", "rob.revealed=${file:" + secretsFile + ":shown}",
		"rob.open=seen-by-all", "rob.password=" + robSecrets["rob.password"], "rob.key=" + robSecrets["rob.key"],
		"sap.odata.user.pwd=" + robSecrets["sap.odata.user.pwd"],
		"sap.odata.header.APIKey=" + robSecrets["sap.odata.header.APIKey"],
		"sap.odata.oauth.client.secret=" + robSecrets["sap.odata.oauth.client.secret"],
		"rob.db.pwd=" + robSecrets["rob.db.pwd"], "sap.odata.keystore.password=" +
			robSecrets["sap.odata.keystore.password"],
		"transforms=t", "transforms.t.type=test.RobTransform", "transforms.t.sap.odata.user.pwd=" +
			robSecrets["transforms.t.sap.odata.user.pwd"],
		"transforms.t.text=${file:" + secretsFile + ":text}", "transforms.t.predicate=p", "predicates=p",
		"predicates.p.type=test.RobPredicate",
		"predicates.p.sap.odata.user.pwd=" + robSecrets["predicates.p.sap.odata.user.pwd"],
		"predicates.p.text=${file:" + secretsFile + ":text}"}
}

// A guest that searches for secrets finds none: in settings of connectors, transforms, predicates and commands,
// declared as text or matched by templates, in contents of files, and in contexts, states, headers and targets of
// responses by a service that repeats all it received. The host uses them nevertheless.
func TestSecretsReachNoGuest(t *testing.T) {
	t.Parallel()
	var service repeatingService
	host, port, _ := net.SplitHostPort(e2etest.Serve(t, &service))
	p := e2etest.NewPlace(t)
	dir := e2etest.CopyPlugins(t, "odata-sink")
	e2etest.WriteFile(t, dir, "rob.wasm", guesttest.Bytes(t, "../../testdata/guests/rob"))
	secretsFile := p.File("kept.properties", "text=filed-5711", "shown=filed-5712")
	common := settingsWithSecrets(host, port, secretsFile)
	from := p.File("from.properties", append([]string{"name=from", "connector.class=test.Rob"}, common...)...)
	to := p.File("to.properties", append([]string{"name=to", "connector.class=test.RobSink", "topics=Loot"},
		common...)...)
	args := []string{"--plugins", dir, "--data", p.Data, "--set", "plugin.rob.reveal=rob.revealed"}
	// From here on all versions are known.
	p.MustRun("plugins", "list", "--plugins", dir, "--data", p.Data)
	listen := porttest.Address(t)
	var output strings.Builder
	c := p.Start(append(append([]string{"run", "--log-level", "debug", "--set", "listeners=http://" + listen}, args...),
		from, to)...)
	c.AwaitStderr("rob settle")
	for _, path := range []string{"/connectors/from/status", "/connectors/from/tasks", "/connectors/to/status",
		"/connectors/to/tasks"} {
		r, err := http.Get("http://" + listen + path)
		require.NoError(t, err)
		body, _ := io.ReadAll(r.Body)
		r.Body.Close()
		// Kafka Connect's own responses contain what the user wrote.
		if !strings.HasSuffix(path, "tasks") || strings.Contains(string(body), "rob seen") {
			output.Write(body)
		}
	}
	r := c.MustStop()
	output.WriteString(r.Stderr)
	for _, records := range []string{"Loot", "connect-offsets"} {
		r := p.Run("consume", records, "--data", p.Data)
		output.WriteString(r.Stdout)
	}
	ping := p.Run(append(append([]string{"ping", "--log-level", "debug"}, args...), "-p", from)...)
	output.WriteString(ping.Stdout + ping.Stderr)
	check := p.Run(append(append([]string{"validate"}, args...), from, to)...)
	output.WriteString(check.Stdout + check.Stderr)
	service.mu.Lock()
	defer service.mu.Unlock()
	output.WriteString(service.requests.String())
	secrets := append(slices.Collect(maps.Values(robSecrets)), "filed-5711", "token-of-the-session", "Basic bWU6")
	for _, secret := range secrets {
		if pos := strings.Index(output.String(), secret); pos >= 0 {
			t.Errorf("%s is shown: %.400s", secret, output.String()[max(0, pos-300):])
		}
	}
	assert.Contains(t, output.String(), "rob validate", "rob plan", "rob open", "rob next",
		"rob begin", "rob decode", "rob prepare", "rob prepare condition", "rob sink open", "rob encode", "rob settle",
		"{rob.open seen-by-all}", "{rob.revealed filed-5712}", "{rob.plain [hidden]}", "{rob.password [hidden]}",
		"{sap.odata.user.pwd [hidden]}", "{sap.odata.header.APIKey [hidden]}",
		"{x-echo you are [hidden], by [hidden]", "{x-key [hidden]}", "{location /login?p=[hidden]}",
		"{text [hidden]}")
	assert.True(t, len(service.headers) >= 4,
		"expected requests of the source, the sink and the command, found %d: %s", len(service.headers), ping.Stderr)
	for _, h := range service.headers {
		user, password, ok := (&http.Request{Header: h}).BasicAuth()
		assert.True(t, ok && user == "me" && password == robSecrets["rob.password"] &&
			h.Get("apikey") == robSecrets["rob.key"], "expected the host to log on as before, found %v", h)
	}
	if t.Failed() {
		t.Logf("%s%s", r.Stderr, ping.Stderr)
	}
}
