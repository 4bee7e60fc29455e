package operate

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/culvert-project/culvert/host/porttest"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// A folder in which half of the files are bad: the others run, and everybody who asks learns which file is bad, and
// why.
func TestBadFilesOfAFolderStopTheirOwnConnector(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	s, address := e2etest.Demo(t, odatatest.Options{Rows: 10})
	folder := p.Subfolder("half")
	rest := porttest.Address(t)
	p.File("half/worker.properties", "bootstrap.servers=embedded", "listeners=http://"+rest)
	p.File("half/good.properties", e2etest.Source("good", address, "Orders")...)
	p.File("half/misspelt.properties", append(e2etest.Source("misspelt", address, "Products"), "sap.odata.host.adress=x")...)
	p.File("half/broken.json", `{"name": "broken", "config": {`)
	p.File("half/without.yaml", `name: without`)
	p.File("half/empty.properties")
	p.File("half/empty.json", "")
	p.File("half/state.json", e2etest.AsJSON(t, map[string]any{"name": "state", "initial_state": "AWAY",
		"config": e2etest.Configuration(e2etest.Source("state", address, "Products"))}))
	p.File("half/one.properties", e2etest.Source("twin", address, "Categories")...)
	p.File("half/two.properties", e2etest.Source("twin", address, "Customers")...)
	p.File("half/secret.properties", append(e2etest.Source("secret", address, "Products"), "sap.odata.user.name=me",
		"sap.odata.user.pwd=${file:/nowhere/at/all:pwd}")...)
	p.Subfolder("half/mounted.properties") // Docker makes a folder where a file to mount is not there
	p.File("half/utf16.properties", "\xff\xfen\x00a\x00m\x00e\x00=\x00u\x00t\x00f\x001\x006\x00")
	e2etest.NoError(t, os.Symlink("nowhere", filepath.Join(folder, "dangling.properties")))
	e2etest.NoError(t, os.Symlink("/dev/zero", filepath.Join(folder, "endless.properties")))
	e2etest.NoError(t, syscall.Mkfifo(filepath.Join(folder, "pipe.json"), 0o600))
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
	c := p.Start("run", "--plugins", e2etest.Plugins(t), "--data", p.Data, "--config", "half")
	c.Eventually("the good one's rows", func() bool {
		var status struct{ Tasks []struct{ State string } }
		return e2etest.Get(t, "http://"+rest+"/connectors/good/status", &status) == 200 && len(status.Tasks) == 1 &&
			status.Tasks[0].State == "RUNNING"
	})
	var names []string
	e2etest.Get(t, "http://"+rest+"/connectors", &names)
	want := []string{"good"}
	for name, says := range bad {
		want = append(want, name)
		var status struct {
			Connector struct{ State, Trace string }
		}
		if e2etest.Get(t, "http://"+rest+"/connectors/"+name+"/status", &status) != 200 || status.Connector.State != "FAILED" {
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
	c.Stop().Exits(0)
	p.Once("--config", "half").Exits(2).Says("connector misspelt: FAILED: half/misspelt.properties:10: ")
	p.Holds("Orders", 10)
	for _, set := range []string{"Products", "Categories", "Customers"} {
		for _, r := range s.Ledger().Requests {
			if strings.Contains(r.Path, "/"+set) {
				t.Errorf("a bad file's entity set was asked for: %s", r.Path)
			}
		}
	}
	check := p.Run("validate", "--plugins", e2etest.Plugins(t), "half").Exits(1)
	for _, says := range bad {
		check.Prints(says...)
	}
	// Files that are named are all run or none, as by Kafka's standalone worker.
	p.Once("half/good.properties", "half/misspelt.properties").Exits(2).Says("half/misspelt.properties:10: ")
	// Where no file is good there is nothing to run.
	p.File("bad/misspelt.properties", append(e2etest.Source("misspelt", address, "Products"), "sap.odata.host.adress=x")...)
	p.Run("run", "--plugins", e2etest.Plugins(t), "--data", p.Data, "--set", "listeners=", "--config", "bad").
		Exits(2).Says("bad/misspelt.properties:10: ")
}
