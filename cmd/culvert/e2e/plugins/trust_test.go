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

	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/host/plugin/guesttest"
	"github.com/culvert-project/culvert/host/porttest"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/wit"
)

// componentsOf are the components of a plugin in the folder of the tests, as it declares them.
func componentsOf(t *testing.T, p *e2etest.Place, name string) []wit.Component {
	t.Helper()
	m, err := plugin.New(t.Context(), plugin.Options{Folders: []string{e2etest.Plugins(t, "odata-sink", "smt")},
		CacheDir: guesttest.Code(t),
		Registry: record.NewRegistry()})
	e2etest.NoError(t, err)
	defer m.Close()
	for _, info := range m.Modules() {
		if info.Name == name {
			return info.Components
		}
	}
	t.Fatalf("no plugin %s", name)
	return nil
}

// thief is a server that must not be asked anything.
type thief struct {
	mu   sync.Mutex
	got  []string
	host string
}

func newThief(t *testing.T) *thief {
	f := &thief{}
	f.host = e2etest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		body, _ := io.ReadAll(r.Body)
		f.got = append(f.got, fmt.Sprint(r.Method, " ", r.URL, " ", r.Header, " ", string(body)))
	}))
	return f
}

func (f *thief) nothing(t *testing.T) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.got) > 0 {
		t.Errorf("what is the user's alone went to the thief: %v", f.got)
	}
}

// robbing is the declaration of the OData source with other roles: the same settings, and the thief's address where a
// default was open.
func robbing(t *testing.T, p *e2etest.Place, version string, change func(*wit.SettingSpec)) []byte {
	components := componentsOf(t, p, "odata-source")
	for i := range components {
		for j := range components[i].Settings {
			change(&components[i].Settings[j])
		}
	}
	return guesttest.Static(wit.Description{Name: "odata-source", Version: version, Components: components}, "",
		wit.InterfaceSource)
}

// withoutRole takes the role of a setting away.
func withoutRole(s *wit.SettingSpec) {
	var rules []wit.Rule
	for _, r := range s.Rules {
		if r.Role == nil {
			rules = append(rules, r)
		}
	}
	s.Rules = rules
}

func statusOf(t *testing.T, listen, name string) (s connect.Status) {
	e2etest.Get(t, "http://"+listen+"/connectors/"+name+"/status", &s)
	return s
}

// A version with the built-in's name and a higher number that moves the role of an address is dropped into the folder,
// in mid-run and while the worker is down: it is refused, and log and status name the setting.
func TestVersionThatMovesTheAddressIsRefused(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	dir := e2etest.Folder(t)
	s, address := e2etest.Demo(t, odatatest.Options{Rows: 20, User: "me", Password: e2etest.Password})
	thief := newThief(t)
	listen := porttest.Address(t)
	// The proxy of the user's requests is the thief, by default.
	file := p.File("orders.properties", e2etest.Instead(e2etest.Source("orders", address, "Orders"), "sap.odata.user.name=me",
		"sap.odata.user.pwd="+e2etest.Password,
		"sap.odata#00.exec-period=1")...)
	evil := robbing(t, p, "9.9.9", func(s *wit.SettingSpec) {
		switch s.Name {
		case "sap.odata.proxy.address":
			s.DefaultValue = &thief.host
		case "sap.odata.proxy.type":
			s.DefaultValue = wit.Ptr("http")
		case "sap.odata.host.address":
			withoutRole(s)
		case "sap.odata.link.hosts":
			withoutRole(s)
			s.Rules = append(s.Rules, wit.Rule{Role: wit.Ptr("http.address")})
			s.Kind = wit.KindText
			host, _, _ := net.SplitHostPort(thief.host)
			s.DefaultValue = &host
		case "sap.odata.user.pwd":
			s.Kind = wit.KindText
		}
	})
	args := []string{"run", "--plugins", dir, "--data", p.Data, "--set", "listeners=http://" + listen}
	for _, when := range []string{"while it runs", "while it is down"} {
		c := p.Start(append(args, file)...)
		c.Eventually("RUNNING", func() bool {
			s := statusOf(t, listen, "orders")
			return len(s.Tasks) == 1 && s.Tasks[0].State == connect.Running
		})
		if when == "while it runs" {
			e2etest.Put(t, dir, "better.wasm", evil)
		}
		why := c.Awaits("plugin refused")
		const moved = "version 9.9.9 of plugin odata-source gives the role http.address to the setting " +
			"sap.odata.link.hosts (before: sap.odata.host.address)"
		e2etest.Contains(t, "the log "+when, why, moved)
		var now connect.Status
		c.Eventually("a word in the status", func() bool {
			now = statusOf(t, listen, "orders")
			return len(now.Tasks) == 1 && len(now.Tasks[0].Plugins) == 1 && strings.Contains(now.Tasks[0].Plugins[0],
				moved)
		})
		if task := now.Tasks[0]; task.Version != "0.1.0" || task.State != connect.Running ||
			!strings.Contains(task.Plugin,
				filepath.Join(dir, "odata-source.wasm")+" sha256:") {
			t.Errorf("%s: expected 0.1.0 RUNNING from its file, found %+v", when, task)
		}
		before := s.Ledger().Total
		c.Eventually("further requests", func() bool { return s.Ledger().Total > before })
		c.MustStop()
		thief.nothing(t)
	}

	// In the place of the good file: nothing else is there, and still it is not taken. Nor does any other connector
	// suffer.
	e2etest.NoError(t, os.Remove(filepath.Join(dir, "better.wasm")))
	e2etest.Replace(t, dir, "odata-source.wasm", evil)
	c := p.Start(append(args, file)...)
	c.Eventually("FAILED", func() bool {
		s := statusOf(t, listen, "orders")
		return s.Connector.State == connect.Failed && strings.Contains(s.Connector.Trace,
			"the setting sap.odata.link.hosts")
	})
	c.Stop()
	thief.nothing(t)

	// Another version with the same roles goes on being taken by dropping it.
	e2etest.Replace(t, dir, "odata-source.wasm", guesttest.Bytes(t, "../../../../plugins/odata-source", "main.version=0.2.0"))
	c = p.Start(append(args, file)...)
	c.Eventually("0.2.0", func() bool {
		s := statusOf(t, listen, "orders")
		return len(s.Tasks) == 1 && s.Tasks[0].Version == "0.2.0"
	})
	c.Stop()
	thief.nothing(t)
}

// A guest that is after secrets gets none, in no way that leads into it: settings of connectors, transforms, predicates
// and commands, called text or caught by templates; what files hold; contexts, states, headers and targets of answers
// by a service that repeats all it was sent. The host's own use of them goes on.
func TestSecretsReachNoGuest(t *testing.T) {
	t.Parallel()
	secrets := map[string]string{"rob.password": "pw-4711-declared-text", "rob.secret": "pw-4712-password",
		"rob.key": "pw-4713-header", "rob.store.password": "pw-4714-store",
		"sap.odata.user.pwd": "pw-4715-of-another", "sap.odata.header.APIKey": "pw-4716-template",
		"sap.odata.oauth.client.secret": "pw-4717-oauth",
		"rob.db.pwd":                    "pw-4718-undeclared", "transforms.t.sap.odata.user.pwd": "pw-4719-transform",
		"predicates.p.sap.odata.user.pwd": "pw-4720-predicate",
		"sap.odata.keystore.password":     "pw-4721-not-its-own"}
	var mu sync.Mutex
	var asked []http.Header
	var told strings.Builder // what the guest says to the service
	service := e2etest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, r.Header.Clone())
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintln(&told, r.URL, r.Header["X-Seen"], string(body))
		_, pwd, _ := r.BasicAuth()
		h := w.Header()
		h.Set("Set-Cookie", "session="+secrets["rob.password"])
		h.Set("Authorization", r.Header.Get("Authorization"))
		h.Set("X-Csrf-Token", "token-of-the-session")
		h.Set("X-Echo", "you are "+pwd+", by "+r.Header.Get("Authorization"))
		h.Set("X-Key", r.Header.Get("apikey"))
		h.Set("X-Cookie", r.Header.Get("Cookie"))
		h.Set("Location", "/login?p="+pwd)
		io.WriteString(w, "a page")
	}))
	host, port, _ := net.SplitHostPort(service)
	p := e2etest.NewPlace(t)
	dir := e2etest.Folder(t, "odata-sink")
	e2etest.Put(t, dir, "rob.wasm", guesttest.Bytes(t, "../../testdata/guests/rob"))
	kept := p.File("kept.properties", "text=filed-5711", "shown=filed-5712")
	common := []string{"rob.address=" + host, "rob.port=" + port, "rob.scheme=http", "rob.user=me",
		"unknown.settings=warn",
		"rob.plain=${file:" + kept + ":text}", "rob.revealed=${file:" + kept + ":shown}", "rob.open=seen-by-all",
		"rob.password=" + secrets["rob.password"], "rob.key=" + secrets["rob.key"],
		"sap.odata.user.pwd=" + secrets["sap.odata.user.pwd"],
		"sap.odata.header.APIKey=" + secrets["sap.odata.header.APIKey"],
		"sap.odata.oauth.client.secret=" + secrets["sap.odata.oauth.client.secret"],
		"rob.db.pwd=" + secrets["rob.db.pwd"], "sap.odata.keystore.password=" + secrets["sap.odata.keystore.password"],
		"transforms=t", "transforms.t.type=test.RobTransform", "transforms.t.sap.odata.user.pwd=" +
			secrets["transforms.t.sap.odata.user.pwd"],
		"transforms.t.text=${file:" + kept + ":text}", "transforms.t.predicate=p", "predicates=p",
		"predicates.p.type=test.RobPredicate",
		"predicates.p.sap.odata.user.pwd=" + secrets["predicates.p.sap.odata.user.pwd"],
		"predicates.p.text=${file:" + kept + ":text}"}
	from := p.File("from.properties", append([]string{"name=from", "connector.class=test.Rob"}, common...)...)
	to := p.File("to.properties", append([]string{"name=to", "connector.class=test.RobSink", "topics=Loot"},
		common...)...)
	args := []string{"--plugins", dir, "--data", p.Data, "--set", "plugin.rob.reveal=rob.revealed"}
	// from here on all of them are known
	p.MustRun("plugins", "list", "--plugins", dir, "--data", p.Data)
	listen := porttest.Address(t)
	var shown strings.Builder
	c := p.Start(append(append([]string{"run", "--log-level", "debug", "--set", "listeners=http://" + listen}, args...),
		from, to)...)
	c.Awaits("rob settle")
	for _, path := range []string{"/connectors/from/status", "/connectors/from/tasks", "/connectors/to/status",
		"/connectors/to/tasks"} {
		r, err := http.Get("http://" + listen + path)
		e2etest.NoError(t, err)
		text, _ := io.ReadAll(r.Body)
		r.Body.Close()
		// Connect's own answers have what the user wrote
		if !strings.HasSuffix(path, "tasks") || strings.Contains(string(text), "rob seen") {
			shown.Write(text)
		}
	}
	r := c.MustStop()
	shown.WriteString(r.Stderr)
	for _, records := range []string{"Loot", "connect-offsets"} {
		r := p.Run("consume", records, "--data", p.Data)
		shown.WriteString(r.Stdout)
	}
	ping := p.Run(append(append([]string{"ping", "--log-level", "debug"}, args...), "-p", from)...)
	shown.WriteString(ping.Stdout + ping.Stderr)
	check := p.Run(append(append([]string{"validate"}, args...), from, to)...)
	shown.WriteString(check.Stdout + check.Stderr)
	mu.Lock()
	defer mu.Unlock()
	shown.WriteString(told.String())
	never := append(slices.Collect(maps.Values(secrets)), "filed-5711", "token-of-the-session", "Basic bWU6")
	for _, secret := range never {
		if at := strings.Index(shown.String(), secret); at >= 0 {
			t.Errorf("%s is shown: %.400s", secret, shown.String()[max(0, at-300):])
		}
	}
	e2etest.Contains(t, "what the guest tells", shown.String(), "rob validate", "rob plan", "rob open", "rob next",
		"rob begin", "rob decode", "rob prepare", "rob prepare condition", "rob sink open", "rob encode", "rob settle",
		"{rob.open seen-by-all}", "{rob.revealed filed-5712}", "{rob.plain [hidden]}", "{rob.password [hidden]}",
		"{sap.odata.user.pwd [hidden]}", "{sap.odata.header.APIKey [hidden]}",
		"{x-echo you are [hidden], by [hidden]", "{x-key [hidden]}", "{location /login?p=[hidden]}",
		"{text [hidden]}")
	if len(asked) < 4 {
		t.Errorf("expected requests of the source, the sink and the command, found %d: %s", len(asked), ping.Stderr)
	}
	for _, h := range asked {
		if user, password, ok := (&http.Request{Header: h}).BasicAuth(); !ok || user != "me" ||
			password != secrets["rob.password"] ||
			h.Get("apikey") != secrets["rob.key"] {
			t.Errorf("expected the host to log on as before, found %v", h)
		}
	}
	if t.Failed() {
		t.Logf("%s%s", r.Stderr, ping.Stderr)
	}
}
