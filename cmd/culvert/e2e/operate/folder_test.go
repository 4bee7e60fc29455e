package operate

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/culvert-project/culvert/cmd/culvert/e2e"
	"github.com/culvert-project/culvert/examples/demo-service/service"
	"github.com/culvert-project/culvert/host/porttest"
)

// settingsOf are the lines of a properties file as a map.
func settingsOf(lines []string) map[string]string {
	m := map[string]string{}
	for _, line := range lines {
		key, value, _ := strings.Cut(line, "=")
		m[key] = value
	}
	return m
}

// A connector is the same in every form that Kafka's standalone worker takes, in what REST answers, and in YAML.
func TestFormsOfConnectorFiles(t *testing.T) {
	t.Parallel()
	p := e2e.NewPlace(t)
	_, address := e2e.Demo(t, service.Options{Rows: 10})
	folder := p.Subfolder("forms")
	lines := func(name string) []string {
		return e2e.Instead(e2e.Source(name, address, "Orders"), "sap.odata#00.topic="+name)
	}
	rest := porttest.Address(t)
	p.File("forms/worker.properties", "bootstrap.servers=embedded", "listeners=http://"+rest)
	p.File("forms/plain.json", e2e.AsJSON(t, settingsOf(lines("plain"))))
	request := settingsOf(lines("request"))
	delete(request, "name")
	p.File("forms/request.json", e2e.AsJSON(t, map[string]any{"name": "request", "config": request,
		"initial_state": "RUNNING"}))
	// Kafka goes by the content, not by the name
	p.File("forms/inside.properties", e2e.AsJSON(t, settingsOf(lines("inside"))))
	var flat, nested []string
	for key, value := range settingsOf(lines("flat")) {
		flat = append(flat, `"`+key+`": "`+value+`"`)
	}
	for key, value := range settingsOf(lines("nested")) {
		nested = append(nested, `  "`+key+`": "`+value+`"`)
	}
	p.File("forms/flat.yaml", flat...)
	p.File("forms/nested.yml", append([]string{"name: nested", "type: source", "tasks: [{connector: nested, task: 0}]",
		"config:"}, nested...)...)
	c := p.Start("run", "--plugins", e2e.Plugins(t), "--data", p.Data, "--config", folder)
	names := []string{"flat", "inside", "nested", "plain", "request"}
	answers := map[string][]byte{}
	for _, name := range names {
		c.Eventually(name+" with its task", func() bool {
			r, err := http.Get("http://" + rest + "/connectors/" + name)
			if err != nil {
				return false
			}
			defer r.Body.Close()
			answers[name], _ = io.ReadAll(r.Body)
			return strings.Contains(string(answers[name]), `"task":0`)
		})
	}
	c.MustStop()
	p.MustOnce("--config", folder)
	for _, name := range names {
		if n := len(p.Records(name)); n != 10 {
			t.Errorf("%s: expected 10 records, found %d", name, n)
		}
	}
	// What REST answers is a connector file, as it stands there.
	again := p.File("again.json", string(answers["request"]))
	if r := p.Run("validate", "--plugins", e2e.Plugins(t), again); r.Code != 0 || r.Stdout != "" {
		t.Errorf("the answer of GET /connectors/request: exit %d\n%s%s\n%s", r.Code, r.Stdout, r.Stderr,
			answers["request"])
	}
	p.MustOnce(again)
}

// A folder in which half of the files are bad: the others run, and everybody who asks learns which file is bad, and
// why.
func TestBadFilesOfAFolderStopTheirOwnConnector(t *testing.T) {
	t.Parallel()
	p := e2e.NewPlace(t)
	s, address := e2e.Demo(t, service.Options{Rows: 10})
	folder := p.Subfolder("half")
	rest := porttest.Address(t)
	p.File("half/worker.properties", "bootstrap.servers=embedded", "listeners=http://"+rest)
	p.File("half/good.properties", e2e.Source("good", address, "Orders")...)
	p.File("half/misspelt.properties", append(e2e.Source("misspelt", address, "Products"), "sap.odata.host.adress=x")...)
	p.File("half/broken.json", `{"name": "broken", "config": {`)
	p.File("half/without.yaml", `name: without`)
	p.File("half/empty.properties")
	p.File("half/empty.json", "")
	p.File("half/state.json", e2e.AsJSON(t, map[string]any{"name": "state", "initial_state": "AWAY",
		"config": settingsOf(e2e.Source("state", address, "Products"))}))
	p.File("half/one.properties", e2e.Source("twin", address, "Categories")...)
	p.File("half/two.properties", e2e.Source("twin", address, "Customers")...)
	p.File("half/secret.properties", append(e2e.Source("secret", address, "Products"), "sap.odata.user.name=me",
		"sap.odata.user.pwd=${file:/nowhere/at/all:pwd}")...)
	p.Subfolder("half/mounted.properties") // Docker makes a folder where a file to mount is not there
	p.File("half/utf16.properties", "\xff\xfen\x00a\x00m\x00e\x00=\x00u\x00t\x00f\x001\x006\x00")
	e2e.NoError(t, os.Symlink("nowhere", filepath.Join(folder, "dangling.properties")))
	e2e.NoError(t, os.Symlink("/dev/zero", filepath.Join(folder, "endless.properties")))
	e2e.NoError(t, syscall.Mkfifo(filepath.Join(folder, "pipe.json"), 0o600))
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
	c := p.Start("run", "--plugins", e2e.Plugins(t), "--data", p.Data, "--config", "half")
	c.Eventually("the good one's rows", func() bool {
		var status struct{ Tasks []struct{ State string } }
		return e2e.Get(t, "http://"+rest+"/connectors/good/status", &status) == 200 && len(status.Tasks) == 1 &&
			status.Tasks[0].State == "RUNNING"
	})
	var names []string
	e2e.Get(t, "http://"+rest+"/connectors", &names)
	want := []string{"good"}
	for name, says := range bad {
		want = append(want, name)
		var status struct {
			Connector struct{ State, Trace string }
		}
		if e2e.Get(t, "http://"+rest+"/connectors/"+name+"/status", &status) != 200 || status.Connector.State != "FAILED" {
			t.Errorf("%s: expected it to be FAILED, found %+v", name, status)
		}
		for _, text := range says {
			if !strings.Contains(status.Connector.Trace, text) {
				t.Errorf("%s: expected %q in its trace, found\n%s", name, text, status.Connector.Trace)
			}
			if !strings.Contains(c.Stderr.String(), text) {
				t.Errorf("%s: expected %q in the log, found\n%s", name, text, c.Stderr.String())
			}
		}
	}
	slices.Sort(want)
	if !slices.Equal(names, want) {
		t.Errorf("expected the connectors %q, found %q", want, names)
	}
	c.Signal(syscall.SIGTERM)
	if r := c.Wait(); r.Code != 0 {
		t.Errorf("stopped by a signal: expected exit 0, found %d\n%s", r.Code, r.Stderr)
	}
	once := p.Once("--config", "half")
	if once.Code != 2 || !strings.Contains(once.Stderr, "connector misspelt: FAILED: half/misspelt.properties:10: ") {
		t.Errorf("--once: expected exit 2 and the bad files, found %d\n%s", once.Code, once.Stderr)
	}
	if n := len(p.Records("Orders")); n != 10 {
		t.Errorf("expected the 10 records of the good connector, found %d", n)
	}
	for _, set := range []string{"Products", "Categories", "Customers"} {
		for _, r := range s.Ledger().Requests {
			if strings.Contains(r.Path, "/"+set) {
				t.Errorf("a bad file's entity set was asked for: %s", r.Path)
			}
		}
	}
	check := p.Run("validate", "--plugins", e2e.Plugins(t), "half")
	for name, says := range bad {
		for _, text := range says {
			if !strings.Contains(check.Stdout, text) {
				t.Errorf("validate, %s: expected %q in\n%s%s", name, text, check.Stdout, check.Stderr)
			}
		}
	}
	if check.Code != 1 {
		t.Errorf("validate: expected exit 1, found %d", check.Code)
	}
	// Files that are named are all run or none, as by Kafka's standalone worker.
	named := p.Once("half/good.properties", "half/misspelt.properties")
	if named.Code != 2 || !strings.Contains(named.Stderr, "half/misspelt.properties:10: ") {
		t.Errorf("named files: expected exit 2 and the bad file, found %d\n%s", named.Code, named.Stderr)
	}
	// Where no file is good there is nothing to run.
	p.File("bad/misspelt.properties", append(e2e.Source("misspelt", address, "Products"), "sap.odata.host.adress=x")...)
	none := p.Run("run", "--plugins", e2e.Plugins(t), "--data", p.Data, "--set", "listeners=", "--config", "bad")
	if none.Code != 2 || !strings.Contains(none.Stderr, "bad/misspelt.properties:10: ") {
		t.Errorf("no good file: expected exit 2 and the bad file, found %d\n%s", none.Code, none.Stderr)
	}
}
