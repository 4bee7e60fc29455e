package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/culvert-project/culvert/examples/demo-service/service"
	"github.com/culvert-project/culvert/host/porttest"
)

// subfolder makes a folder in the test's own.
func (p *place) subfolder(name string) string {
	p.t.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.MkdirAll(path, 0o700); err != nil {
		p.t.Fatal(err)
	}
	return path
}

// settingsOf are the lines of a properties file as a map.
func settingsOf(lines []string) map[string]string {
	m := map[string]string{}
	for _, line := range lines {
		key, value, _ := strings.Cut(line, "=")
		m[key] = value
	}
	return m
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// A connector is the same in every form that Kafka's standalone worker takes, in what REST answers, and in YAML.
func TestFormsOfConnectorFiles(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	_, address := demo(t, service.Options{Rows: 10})
	folder := p.subfolder("forms")
	lines := func(name string) []string {
		return instead(source(name, address, "Orders"), "sap.odata#00.topic="+name)
	}
	rest := porttest.Address(t)
	p.file("forms/worker.properties", "bootstrap.servers=embedded", "listeners=http://"+rest)
	p.file("forms/plain.json", asJSON(t, settingsOf(lines("plain"))))
	request := settingsOf(lines("request"))
	delete(request, "name")
	p.file("forms/request.json", asJSON(t, map[string]any{"name": "request", "config": request,
		"initial_state": "RUNNING"}))
	// Kafka goes by the content, not by the name
	p.file("forms/inside.properties", asJSON(t, settingsOf(lines("inside"))))
	var flat, nested []string
	for key, value := range settingsOf(lines("flat")) {
		flat = append(flat, `"`+key+`": "`+value+`"`)
	}
	for key, value := range settingsOf(lines("nested")) {
		nested = append(nested, `  "`+key+`": "`+value+`"`)
	}
	p.file("forms/flat.yaml", flat...)
	p.file("forms/nested.yml", append([]string{"name: nested", "type: source", "tasks: [{connector: nested, task: 0}]",
		"config:"}, nested...)...)
	c := p.start("run", "--plugins", plugins(t), "--data", p.data, "--config", folder)
	names := []string{"flat", "inside", "nested", "plain", "request"}
	answers := map[string][]byte{}
	for _, name := range names {
		c.eventually(name+" with its task", func() bool {
			r, err := http.Get("http://" + rest + "/connectors/" + name)
			if err != nil {
				return false
			}
			defer r.Body.Close()
			answers[name], _ = io.ReadAll(r.Body)
			return strings.Contains(string(answers[name]), `"task":0`)
		})
	}
	c.signal(syscall.SIGTERM)
	if r := c.wait(); r.code != 0 {
		t.Fatalf("exit %d\n%s", r.code, r.stderr)
	}
	if r := p.run("run", "--once", "--plugins", plugins(t), "--data", p.data, "--config", folder); r.code != 0 {
		t.Fatalf("exit %d\n%s", r.code, r.stderr)
	}
	for _, name := range names {
		if n := len(p.records(name)); n != 10 {
			t.Errorf("%s: expected 10 records, found %d", name, n)
		}
	}
	// What REST answers is a connector file, as it stands there.
	again := p.file("again.json", string(answers["request"]))
	if r := p.run("validate", "--plugins", plugins(t), again); r.code != 0 || r.stdout != "" {
		t.Errorf("the answer of GET /connectors/request: exit %d\n%s%s\n%s", r.code, r.stdout, r.stderr,
			answers["request"])
	}
	if r := p.run("run", "--once", "--plugins", plugins(t), "--data", p.data, again); r.code != 0 {
		t.Errorf("exit %d\n%s", r.code, r.stderr)
	}
}

// A folder in which half of the files are bad: the others run, and everybody who asks is told which file is bad, and
// why.
func TestBadFilesOfAFolderStopTheirOwnConnector(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	s, address := demo(t, service.Options{Rows: 10})
	folder := p.subfolder("half")
	rest := porttest.Address(t)
	p.file("half/worker.properties", "bootstrap.servers=embedded", "listeners=http://"+rest)
	p.file("half/good.properties", source("good", address, "Orders")...)
	p.file("half/misspelt.properties", append(source("misspelt", address, "Products"), "sap.odata.host.adress=x")...)
	p.file("half/broken.json", `{"name": "broken", "config": {`)
	p.file("half/without.yaml", `name: without`)
	p.file("half/empty.properties")
	p.file("half/empty.json", "")
	p.file("half/state.json", asJSON(t, map[string]any{"name": "state", "initial_state": "AWAY",
		"config": settingsOf(source("state", address, "Products"))}))
	p.file("half/one.properties", source("twin", address, "Categories")...)
	p.file("half/two.properties", source("twin", address, "Customers")...)
	p.file("half/secret.properties", append(source("secret", address, "Products"), "sap.odata.user.name=me",
		"sap.odata.user.pwd=${file:/nowhere/at/all:pwd}")...)
	p.subfolder("half/mounted.properties") // Docker makes a folder where a file to mount is not there
	p.file("half/utf16.properties", "\xff\xfen\x00a\x00m\x00e\x00=\x00u\x00t\x00f\x001\x006\x00")
	if err := os.Symlink("nowhere", filepath.Join(folder, "dangling.properties")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/zero", filepath.Join(folder, "endless.properties")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(folder, "pipe.json"), 0o600); err != nil {
		t.Fatal(err)
	}
	// By the name of the connector: what its trace says. The name is the file's where the file says none.
	bad := map[string][]string{
		"misspelt":         {"half/misspelt.properties:10: sap.odata.host.adress: unknown setting"},
		"broken":           {"half/broken.json:1: invalid JSON"},
		"without":          {"half/without.yaml:1: connector.class: Missing required configuration"},
		"empty.properties": {"half/empty.properties: the file is empty"},
		"empty.json":       {"half/empty.json: the file is empty"},
		"state": {"half/state.json:", "initial_state: ",
			"expected RUNNING, PAUSED or STOPPED, found AWAY"},
		"twin":                {"half/one.properties:1: name: ", "half/two.properties:1: name: ", "none of them runs"},
		"secret":              {"half/secret.properties:11: sap.odata.user.pwd: ", "no such file"},
		"mounted.properties":  {"half/mounted.properties: expected a file, found a folder"},
		"utf16.properties":    {"half/utf16.properties: ", "UTF-16"},
		"dangling.properties": {"half/dangling.properties: ", "no such file"},
		"endless.properties":  {"half/endless.properties: expected a file, found a device"},
		"pipe.json":           {"half/pipe.json: expected a file, found a pipe"},
	}
	c := p.start("run", "--plugins", plugins(t), "--data", p.data, "--config", "half")
	c.eventually("the good one's rows", func() bool {
		var status struct{ Tasks []struct{ State string } }
		return get(t, "http://"+rest+"/connectors/good/status", &status) == 200 && len(status.Tasks) == 1 &&
			status.Tasks[0].State == "RUNNING"
	})
	var names []string
	get(t, "http://"+rest+"/connectors", &names)
	want := []string{"good"}
	for name, says := range bad {
		want = append(want, name)
		var status struct {
			Connector struct{ State, Trace string }
		}
		if get(t, "http://"+rest+"/connectors/"+name+"/status", &status) != 200 || status.Connector.State != "FAILED" {
			t.Errorf("%s: expected it to be FAILED, found %+v", name, status)
		}
		for _, text := range says {
			if !strings.Contains(status.Connector.Trace, text) {
				t.Errorf("%s: expected %q in its trace, found\n%s", name, text, status.Connector.Trace)
			}
			if !strings.Contains(c.stderr.String(), text) {
				t.Errorf("%s: expected %q in the log, found\n%s", name, text, c.stderr.String())
			}
		}
	}
	slices.Sort(want)
	if !slices.Equal(names, want) {
		t.Errorf("expected the connectors %q, found %q", want, names)
	}
	c.signal(syscall.SIGTERM)
	if r := c.wait(); r.code != 0 {
		t.Errorf("stopped by a signal: expected exit 0, found %d\n%s", r.code, r.stderr)
	}
	once := p.run("run", "--once", "--plugins", plugins(t), "--data", p.data, "--config", "half")
	if once.code != 2 || !strings.Contains(once.stderr, "connector misspelt: FAILED: half/misspelt.properties:10: ") {
		t.Errorf("--once: expected exit 2 and the bad files, found %d\n%s", once.code, once.stderr)
	}
	if n := len(p.records("Orders")); n != 10 {
		t.Errorf("expected the 10 records of the good connector, found %d", n)
	}
	for _, set := range []string{"Products", "Categories", "Customers"} {
		for _, r := range s.Ledger().Requests {
			if strings.Contains(r.Path, "/"+set) {
				t.Errorf("a bad file's entity set was asked for: %s", r.Path)
			}
		}
	}
	check := p.run("validate", "--plugins", plugins(t), "half")
	for name, says := range bad {
		for _, text := range says {
			if !strings.Contains(check.stdout, text) {
				t.Errorf("validate, %s: expected %q in\n%s%s", name, text, check.stdout, check.stderr)
			}
		}
	}
	if check.code != 1 {
		t.Errorf("validate: expected exit 1, found %d", check.code)
	}
	// Files that are named are all run or none, as by Kafka's standalone worker.
	named := p.run("run", "--once", "--plugins", plugins(t), "--data", p.data, "half/good.properties",
		"half/misspelt.properties")
	if named.code != 2 || !strings.Contains(named.stderr, "half/misspelt.properties:10: ") {
		t.Errorf("named files: expected exit 2 and the bad file, found %d\n%s", named.code, named.stderr)
	}
	// Where no file is good there is nothing to run.
	p.subfolder("bad")
	p.file("bad/misspelt.properties", append(source("misspelt", address, "Products"), "sap.odata.host.adress=x")...)
	none := p.run("run", "--plugins", plugins(t), "--data", p.data, "--set", "listeners=", "--config", "bad")
	if none.code != 2 || !strings.Contains(none.stderr, "bad/misspelt.properties:10: ") {
		t.Errorf("no good file: expected exit 2 and the bad file, found %d\n%s", none.code, none.stderr)
	}
}
