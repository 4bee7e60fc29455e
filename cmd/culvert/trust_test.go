package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/culvert-project/culvert/examples/demo-service/service"
	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/host/plugin/guesttest"
	"github.com/culvert-project/culvert/host/porttest"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/wit"
)

// componentsOf are the components of a plugin in the folder of the tests, as it declares them.
func componentsOf(t *testing.T, p *place, name string) []wit.Component {
	t.Helper()
	m, err := plugin.New(t.Context(), plugin.Options{Folders: []string{plugins(t, "odata-sink", "smt")},
		CacheDir: bench.cache,
		Registry: record.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
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
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		body, _ := io.ReadAll(r.Body)
		f.got = append(f.got, fmt.Sprint(r.Method, " ", r.URL, " ", r.Header, " ", string(body)))
	})}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	f.host = l.Addr().String()
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
func robbing(t *testing.T, p *place, version string, change func(*wit.SettingSpec)) []byte {
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
	get(t, "http://"+listen+"/connectors/"+name+"/status", &s)
	return s
}

// A version with the built-in's name and a higher number that gives roles to other settings is dropped into the folder,
// in mid-run and while the worker is down: it is not taken. Log and status say what differs, and how it is taken.
func TestVersionWithOtherRolesIsNotTaken(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	dir := folder(t)
	s, address := demo(t, service.Options{Rows: 20, User: "me", Password: password})
	thief := newThief(t)
	listen := porttest.Address(t)
	// The proxy of the user's requests is the thief, by default.
	file := p.file("orders.properties", instead(source("orders", address, "Orders"), "sap.odata.user.name=me",
		"sap.odata.user.pwd="+password,
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
			s.Rules = append(s.Rules, wit.Rule{Role: wit.Ptr("http.address")})
			s.Kind = wit.KindText
			host, _, _ := net.SplitHostPort(thief.host)
			s.DefaultValue = &host
		case "sap.odata.user.pwd":
			s.Kind = wit.KindText
		}
	})
	args := []string{"run", "--plugins", dir, "--data", p.data, "--set", "listeners=http://" + listen}
	for _, when := range []string{"while it runs", "while it is down"} {
		c := p.start(append(args, file)...)
		c.eventually("RUNNING", func() bool {
			s := statusOf(t, listen, "orders")
			return len(s.Tasks) == 1 && s.Tasks[0].State == connect.Running
		})
		if when == "while it runs" {
			put(t, dir, "better.wasm", evil)
		}
		why := c.says("plugin refused")
		for _, want := range []string{"version 9.9.9 gives other roles to settings than version 0.1.0",
			"sap.odata.host.address: http.address before, no role now",
			"sap.odata.link.hosts: no role before, http.address now", "plugin.odata-source.accept="} {
			if !strings.Contains(why, want) {
				t.Errorf("%s: expected %q in the log, found %s", when, want, why)
			}
		}
		hash := why[strings.Index(why, "plugin.odata-source.accept=")+len("plugin.odata-source.accept="):][:64]
		var now connect.Status
		c.eventually("a word in the status", func() bool {
			now = statusOf(t, listen, "orders")
			return len(now.Tasks) == 1 && len(now.Tasks[0].Plugins) == 1 && strings.Contains(now.Tasks[0].Plugins[0],
				hash)
		})
		if task := now.Tasks[0]; task.Version != "0.1.0" || task.State != connect.Running ||
			!strings.Contains(task.Plugin,
				filepath.Join(dir, "odata-source.wasm")+" sha256:") {
			t.Errorf("%s: expected 0.1.0 RUNNING from its file, found %+v", when, task)
		}
		before := s.Ledger().Total
		c.eventually("further requests", func() bool { return s.Ledger().Total > before })
		c.signal(syscall.SIGTERM)
		if r := c.wait(); r.code != 0 {
			t.Fatalf("exit %d\n%s", r.code, r.stderr)
		}
		thief.nothing(t)
	}

	// In the place of the good file: nothing else is there, and still it is not taken. Nor does any other connector
	// suffer.
	if err := os.Remove(filepath.Join(dir, "better.wasm")); err != nil {
		t.Fatal(err)
	}
	replace(t, dir, "odata-source.wasm", evil)
	c := p.start(append(args, file)...)
	c.eventually("FAILED", func() bool {
		s := statusOf(t, listen, "orders")
		return s.Connector.State == connect.Failed && strings.Contains(s.Connector.Trace, "plugin.odata-source.accept=")
	})
	c.signal(syscall.SIGTERM)
	c.wait()
	thief.nothing(t)

	// Another version with the same roles goes on being taken by dropping it.
	replace(t, dir, "odata-source.wasm", guesttest.Bytes(t, "../../plugins/odata-source", "main.version=0.2.0"))
	c = p.start(append(args, file)...)
	c.eventually("0.2.0", func() bool {
		s := statusOf(t, listen, "orders")
		return len(s.Tasks) == 1 && s.Tasks[0].Version == "0.2.0"
	})
	c.signal(syscall.SIGTERM)
	c.wait()

	// What the user accepts is taken.
	hash := fmt.Sprintf("%x", sha256.Sum256(evil))
	put(t, dir, "better.wasm", evil)
	c = p.start(append(args, "--set", "plugin.odata-source.accept="+strings.ToUpper(hash), file)...)
	c.says(`msg="plugin version accepted by the user" plugin=odata-source version=9.9.9`)
	c.eventually("the accepted version", func() bool {
		return strings.Contains(c.stderr.String(), "version=9.9.9") && strings.Contains(c.stderr.String(),
			"plugin loaded")
	})
	c.signal(syscall.SIGTERM)
	c.wait()
	thief.nothing(t)
	if r := p.run("validate", "--plugins", dir, "--set", "plugin.odata-source.accept=beef", file); r.code != 2 ||
		!strings.Contains(r.stdout+r.stderr, "expected the SHA-256 of a plugin's file") {
		t.Errorf("expected exit 2, found %d %s%s", r.code, r.stdout, r.stderr)
	}
}

// A new plugin of another name has the defaults of a thief: none counts for where requests go.
func TestDefaultsOfAPluginLeadNowhere(t *testing.T) {
	t.Parallel()
	thief := newThief(t)
	host, port, _ := net.SplitHostPort(thief.host)
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "{}")
	}))
	t.Cleanup(service.Close)
	own, at, _ := net.SplitHostPort(strings.TrimPrefix(service.URL, "http://"))
	for name, lines := range map[string][]string{
		"address": nil,
		"proxy":   {"rob.address=" + own, "rob.port=" + at, "rob.scheme=http"},
		"tokens": {"rob.address=" + own, "rob.port=" + at, "rob.scheme=http", "rob.auth=oauth2", "rob.id=me",
			"rob.secret=" + password},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			dir := folder(t)
			put(t, dir, "rob.wasm", guesttest.Bytes(t, "./testdata/guests/rob", "main.host="+host, "main.port="+port))
			file := p.file("c.properties", append([]string{"connector.class=test.Rob", "rob.user=me",
				"rob.password=" + password}, lines...)...)
			r := p.run("run", "--once", "--plugins", dir, "--data", p.data, "--log-level", "debug", file)
			if name == "address" && (r.code != 2 || !strings.Contains(r.stderr,
				`rob.address: Missing required configuration "rob.address" which has no default value: the plugin's default`)) {
				t.Errorf("expected exit 2, found %d: %s", r.code, r.stderr)
			}
			if strings.Contains(r.stderr+r.stdout, password) {
				t.Errorf("the password is shown: %s", r.stderr)
			}
			thief.nothing(t)
		})
	}
}

// A file in the folder has the class of another plugin: of two from folders the connector that names it fails, naming
// both; all others run. The user's word decides.
func TestClassOfTwoPlugins(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	dir := folder(t, "odata-sink")
	s, address := demo(t, service.Options{Rows: 20})
	sink := componentsOf(t, p, "odata-sink")
	for i := range sink {
		for j := range sink[i].Settings {
			withoutRole(&sink[i].Settings[j])
		}
	}
	second := guesttest.Static(wit.Description{Name: "a-better-sink", Version: "1.0.0", Components: sink}, "",
		wit.InterfaceSink)
	put(t, dir, "better.wasm", second)
	listen := porttest.Address(t)
	files := []string{p.file("orders.properties", source("orders", address, "Orders")...), p.file("copies.properties",
		sinkOf("copies", address, "Orders", "OrderCopies")...)}
	args := append([]string{"run", "--plugins", dir, "--data", p.data, "--set", "listeners=http://" + listen}, files...)
	c := p.start(args...)
	c.eventually("the other connector's rows", func() bool { return s.Ledger().Rows >= 20 })
	c.eventually("FAILED", func() bool {
		trace := statusOf(t, listen, "copies").Connector.Trace
		return strings.Contains(trace, "there are a-better-sink, odata-sink") && strings.Contains(trace,
			filepath.Join(dir, "better.wasm"))
	})
	c.signal(syscall.SIGTERM)
	if r := c.wait(); r.code != 0 {
		t.Fatalf("exit %d\n%s", r.code, r.stderr)
	}
	// Accepting the one that was there first settles it.
	data, err := os.ReadFile(filepath.Join(dir, "odata-sink.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	c = p.start(append(args, "--set", fmt.Sprintf("plugin.odata-sink.accept=%x", sha256.Sum256(data)))...)
	c.eventually("the copies", func() bool { return s.Count("OrderCopies") == 20 })
	c.signal(syscall.SIGTERM)
	if r := c.wait(); r.code != 0 {
		t.Fatalf("exit %d\n%s", r.code, r.stderr)
	}
	if got := p.records("Orders"); len(got) != 20 {
		t.Errorf("expected 20 records, found %d", len(got))
	}
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
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
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
	t.Cleanup(service.Close)
	host, port, _ := net.SplitHostPort(strings.TrimPrefix(service.URL, "http://"))
	p := newPlace(t)
	dir := folder(t, "odata-sink")
	put(t, dir, "rob.wasm", guesttest.Bytes(t, "./testdata/guests/rob"))
	kept := p.file("kept.properties", "text=filed-5711", "shown=filed-5712")
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
	from := p.file("from.properties", append([]string{"name=from", "connector.class=test.Rob"}, common...)...)
	to := p.file("to.properties", append([]string{"name=to", "connector.class=test.RobSink", "topics=Loot"},
		common...)...)
	args := []string{"--plugins", dir, "--data", p.data, "--set", "plugin.rob.reveal=rob.revealed"}
	// from here on all of them are known
	if r := p.run("plugins", "list", "--plugins", dir, "--data", p.data); r.code != 0 {
		t.Fatal(r.stderr)
	}
	listen := porttest.Address(t)
	var shown strings.Builder
	c := p.start(append(append([]string{"run", "--log-level", "debug", "--set", "listeners=http://" + listen}, args...),
		from, to)...)
	c.says("rob settle")
	for _, path := range []string{"/connectors/from/status", "/connectors/from/tasks", "/connectors/to/status",
		"/connectors/to/tasks"} {
		r, err := http.Get("http://" + listen + path)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(r.Body)
		r.Body.Close()
		// Connect's own answers have what the user wrote
		if !strings.HasSuffix(path, "tasks") || strings.Contains(string(text), "rob seen") {
			shown.Write(text)
		}
	}
	c.signal(syscall.SIGTERM)
	r := c.wait()
	if r.code != 0 {
		t.Errorf("exit %d\n%s", r.code, r.stderr)
	}
	shown.WriteString(r.stderr)
	for _, records := range []string{"Loot", "connect-offsets"} {
		r := p.run("consume", records, "--data", p.data)
		shown.WriteString(r.stdout)
	}
	ping := p.run(append(append([]string{"ping", "--log-level", "debug"}, args...), "-p", from)...)
	shown.WriteString(ping.stdout + ping.stderr)
	check := p.run(append(append([]string{"validate"}, args...), from, to)...)
	shown.WriteString(check.stdout + check.stderr)
	mu.Lock()
	defer mu.Unlock()
	shown.WriteString(told.String())
	for name, secret := range secrets {
		if at := strings.Index(shown.String(), secret); at >= 0 {
			t.Errorf("%s is shown: %.400s", name, shown.String()[max(0, at-300):])
		}
	}
	for _, never := range []string{"filed-5711", "token-of-the-session", "Basic bWU6"} {
		if at := strings.Index(shown.String(), never); at >= 0 {
			t.Errorf("%s is shown: %.400s", never, shown.String()[max(0, at-300):])
		}
	}
	for _, call := range []string{"rob validate", "rob plan", "rob open", "rob next", "rob begin", "rob decode",
		"rob prepare", "rob prepare condition", "rob sink open", "rob encode",
		"rob settle", "{rob.open seen-by-all}", "{rob.revealed filed-5712}", "{rob.plain [hidden]}",
		"{rob.password [hidden]}", "{sap.odata.user.pwd [hidden]}",
		"{sap.odata.header.APIKey [hidden]}", "{x-echo you are [hidden], by [hidden]", "{x-key [hidden]}",
		"{location /login?p=[hidden]}", "{text [hidden]}"} {
		if !strings.Contains(shown.String(), call) {
			t.Errorf("expected the guest to tell %q", call)
		}
	}
	if len(asked) < 4 {
		t.Errorf("expected requests of the source, the sink and the command, found %d: %s", len(asked), ping.stderr)
	}
	for _, h := range asked {
		if user, password, ok := (&http.Request{Header: h}).BasicAuth(); !ok || user != "me" ||
			password != secrets["rob.password"] ||
			h.Get("apikey") != secrets["rob.key"] {
			t.Errorf("expected the host to log on as before, found %v", h)
		}
	}
	if t.Failed() {
		t.Logf("%s%s", r.stderr, ping.stderr)
	}
}
