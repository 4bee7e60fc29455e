package operate

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/internal/porttest"
)

// A data folder belongs to one worker. Commands that only read it work at the same time, and a killed worker does not
// block the next one.
func TestSecondWorkerOnADataFolder(t *testing.T) {
	t.Parallel()
	p, s, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 10})
	broker := e2etest.StartEmbeddedBroker(t).Addr()
	worker := p.File("worker.properties", "bootstrap.servers="+broker, "listeners=")
	first := p.File("first.properties", e2etest.Source("first", address, "Orders")...)
	second := p.File("second.properties", e2etest.Source("second", address, "Products")...)
	c := p.Start("run", "--plugins", e2etest.Plugins(t), "--data", p.Data, worker, first)
	c.AwaitStderr("connector started")
	sent := s.Ledger().Total
	p.RunOnce(worker, second).WantCode(2).WantNo("connector started").WantLastLine(
		fmt.Sprintf("data folder %s: expected no other worker, found another worker at work in it", p.Data),
		fmt.Sprintf("(process %d)", c.Process.Process.Pid))
	assert.True(t, s.Ledger().Total >= sent, "expected nothing to be started")
	for _, args := range [][]string{
		{"validate", "--plugins", e2etest.Plugins(t), "--data", p.Data, worker, second},
		{"ping", "-p", second, "-s", odatatest.NorthwindPath, "--plugins", e2etest.Plugins(t), "--data", p.Data},
		{"consume", "connect-offsets", "--data", p.Data, "-p", worker},
	} {
		p.Run(args...).WantCode(0)
	}
	c.Kill()
	p.RunOnce(worker, second).WantCode(0)
}

// If half of a folder's files are invalid, the other connectors run, and log, REST and commands report the invalid
// files and the reasons.
func TestBadFilesOfAFolderStopTheirOwnConnector(t *testing.T) {
	t.Parallel()
	p, s, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 10})
	listen := porttest.Address(t)
	p.File("half/worker.properties", "bootstrap.servers=embedded", "listeners=http://"+listen)
	p.File("half/good.properties", e2etest.Source("good", address, "Orders")...)
	writeBadFiles(p, address)
	c := p.Start("run", "--plugins", e2etest.Plugins(t), "--data", p.Data, "--config", "half")
	c.Eventually("the good one's rows", func() bool {
		var status struct{ Tasks []struct{ State string } }
		return e2etest.Get(t, "http://"+listen+"/connectors/good/status", &status) == 200 && len(status.Tasks) == 1 &&
			status.Tasks[0].State == "RUNNING"
	})
	checkBadFilesAreReported(t, c, listen)
	c.Stop().WantCode(0)
	p.RunOnce("--config", "half").WantCode(2).WantStderr("connector misspelt: failed: half/misspelt.properties:10: ")
	p.CheckRecordCount("Orders", 10)
	for _, set := range []string{"Products", "Categories", "Customers"} {
		for _, r := range s.Ledger().Requests {
			assert.NotContains(t, r.Path, "/"+set, "request for a bad file's entity set")
		}
	}
	check := p.Run("validate", "--plugins", e2etest.Plugins(t), "half").WantCode(1)
	for _, problems := range problemsOfBadFiles {
		check.WantStdout(problems...)
	}
	// Like in Kafka's standalone worker, files that are named on the command line all run or none does.
	p.RunOnce("half/good.properties", "half/misspelt.properties").WantCode(2).
		WantStderr("half/misspelt.properties:10: ")
	// Without a valid file there is nothing to run.
	p.File("bad/misspelt.properties", append(e2etest.Source("misspelt", address, "Products"),
		"sap.odata.host.adress=x")...)
	p.Run("run", "--plugins", e2etest.Plugins(t), "--data", p.Data, "--set", "listeners=", "--config", "bad").
		WantCode(2).WantStderr("bad/misspelt.properties:10: ")
}

// writeBadFiles writes files into folder half of which none is a connector's.
func writeBadFiles(p *e2etest.Place, address string) {
	p.T.Helper()
	p.File("half/misspelt.properties", append(e2etest.Source("misspelt", address, "Products"),
		"sap.odata.host.adress=x")...)
	p.File("half/broken.json", `{"name": "broken", "config": {`)
	p.File("half/without.yaml", `name: without`)
	p.File("half/empty.properties")
	p.File("half/empty.json", "")
	p.File("half/state.json", e2etest.AsJSON(p.T, map[string]any{"name": "state", "initial_state": "AWAY",
		"config": e2etest.SettingsOf(e2etest.Source("state", address, "Products"))}))
	p.File("half/one.properties", e2etest.Source("twin", address, "Categories")...)
	p.File("half/two.properties", e2etest.Source("twin", address, "Customers")...)
	p.File("half/secret.properties", append(e2etest.Source("secret", address, "Products"), "sap.odata.user.name=me",
		"sap.odata.user.pwd=${file:/nowhere/at/all:pwd}")...)
	p.Subfolder("half/mounted.properties") // Docker creates a folder in place of a missing file to mount
	p.File("half/utf16.properties", "\xff\xfen\x00a\x00m\x00e\x00=\x00u\x00t\x00f\x001\x006\x00")
	require.NoError(p.T, os.Symlink("nowhere", filepath.Join(p.Dir, "half", "dangling.properties")))
	require.NoError(p.T, os.Symlink("/dev/zero", filepath.Join(p.Dir, "half", "endless.properties")))
	require.NoError(p.T, syscall.Mkfifo(filepath.Join(p.Dir, "half", "pipe.json"), 0o600))
}

// problemsOfBadFiles has parts of the expected traces by the names of connectors. A file without a name gives its own.
var problemsOfBadFiles = map[string][]string{
	"misspelt":            {"half/misspelt.properties:10: sap.odata.host.adress: unknown setting"},
	"broken":              {"half/broken.json:1: invalid JSON"},
	"without":             {"half/without.yaml:1: connector.class: Missing required configuration"},
	"empty.properties":    {"half/empty.properties: the file is empty"},
	"empty.json":          {"half/empty.json: the file is empty"},
	"state":               {"half/state.json:", "initial_state: ", "expected RUNNING, PAUSED or STOPPED, found AWAY"},
	"twin":                {"half/one.properties:1: name: ", "half/two.properties:1: name: ", "none of them runs"},
	"secret":              {"half/secret.properties:11: sap.odata.user.pwd: ", "no such file"},
	"mounted.properties":  {"half/mounted.properties: expected a file, found a folder"},
	"utf16.properties":    {"half/utf16.properties: ", "UTF-16"},
	"dangling.properties": {"half/dangling.properties: ", "no such file"},
	"endless.properties":  {"half/endless.properties: expected a file, found a device"},
	"pipe.json":           {"half/pipe.json: expected a file, found a pipe"},
}

// checkBadFilesAreReported checks that REST and the log of a worker with the connector good have the bad files.
func checkBadFilesAreReported(t *testing.T, c *e2etest.Command, listen string) {
	t.Helper()
	var names []string
	e2etest.Get(t, "http://"+listen+"/connectors", &names)
	want := []string{"good"}
	for name, problems := range problemsOfBadFiles {
		want = append(want, name)
		var status struct{ Connector struct{ State, Trace string } }
		if e2etest.Get(t, "http://"+listen+"/connectors/"+name+"/status", &status) != 200 ||
			status.Connector.State != "FAILED" {
			t.Errorf("%s: expected it to be FAILED, found %+v", name, status)
		}
		for _, problem := range problems {
			assert.True(t, strings.Contains(status.Connector.Trace, problem),
				"%s: expected %q in its trace, found\n%s", name, problem, status.Connector.Trace)
			assert.True(t, strings.Contains(c.Stderr.String(), problem),
				"%s: expected %q in the log, found\n%s", name, problem, c.Stderr.String())
		}
	}
	slices.Sort(want)
	assert.True(t, slices.Equal(names, want), "expected the connectors %q, found %q", want, names)
}

// TestExamplesOfGuides checks that the properties in guides are accepted in a worker's or a connector's file and that
// none is without effect.
func TestExamplesOfGuides(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	guides, err := filepath.Glob("../../guides/*.md")
	require.NoError(t, err)
	workerSetting := regexp.MustCompile(`(?m)^(bootstrap\.servers|config\.providers|tracing\.)`)
	examples := 0
	for _, guide := range guides {
		content, err := os.ReadFile(guide)
		require.NoError(t, err)
		for _, m := range regexp.MustCompile("(?s)```properties\n(.*?)```").FindAllStringSubmatch(string(content), -1) {
			examples++
			lines := strings.Split(strings.TrimSpace(m[1]), "\n")
			name := fmt.Sprintf("%s-%d", strings.TrimSuffix(filepath.Base(guide), ".md"), examples)
			connector := append(e2etest.Source(name, "sap.example.com:443", "Orders"), lines...)
			files := []string{}
			switch {
			case workerSetting.MatchString(m[1]):
				connector = e2etest.Source(name, "sap.example.com:443", "Orders")
				files = append(files, p.File(name+"-worker.properties",
					append([]string{"bootstrap.servers=kafka.example:9092"}, lines...)...))
			case strings.Contains(m[1], "connector.class="):
				connector = lines
			}
			files = append(files, p.File(name+".properties", connector...))
			p.Run(append([]string{"validate", "--without-secrets", "--plugins",
				e2etest.Plugins(t, "odata-sink", "smt")},
				files...)...).WantCode(0).WantNo("no effect")
		}
	}
	assert.AtLeast(t, 8, examples, "the examples of the guides")
}

// Logger levels in the worker's file apply by the longest matching name; text lines have their source position if
// requested.
func TestLogLevelsOfTheWorkersFile(t *testing.T) {
	t.Parallel()
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 5})
	const sources = "org.init.ohja.kafka.connect.odatav2.source"
	run := func(data string, levels ...string) e2etest.Result {
		worker := p.File("worker.properties", append([]string{"bootstrap.servers=embedded", "listeners="},
			levels...)...)
		return p.Run("run", "--once", "--log-format", "text+location", "--plugins", e2etest.Plugins(t), "--data",
			p.Data+data,
			worker, p.File("orders.properties", e2etest.Source("orders", address, "Orders")...))
	}
	r := run("1", "logging.level.root=ERROR", "logging.level.org.init.ohja=WARN", "logging.level."+sources+"=info")
	locatedLine := regexp.MustCompile(`^time=\S+ level=INFO ohja\.location=source\.\S+:\d+ msg="source .*\n$`)
	lines := 0
	for line := range strings.Lines(r.Stderr) {
		lines++
		assert.True(t, locatedLine.MatchString(line),
			"expected only lines of sources, with their place in the program, found %s", line)
	}
	assert.True(t, r.Code == 0 && lines != 0,
		"expected exit 0 and lines of sources, found exit %d and %d lines\n%s", r.Code, lines, r.Stderr)
	run("2", "logging.level.root=OFF").WantCode(0).WantNo("level=")
	run("3", "logging.level.org.apache.kafka.clients=LOUD").
		WantCode(2).WantStderr("worker.properties:3: logging.level.org.apache.kafka.clients: Invalid value LOUD")
}

// filesBelow returns the regular files below folders; it follows links to folders.
func filesBelow(t *testing.T, folders ...string) (files []string) {
	t.Helper()
	for _, folder := range folders {
		err := filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error {
			if err == nil && e.Type().IsRegular() {
				files = append(files, path)
			}
			return err
		})
		require.NoError(t, err)
	}
	return files
}

// A pipe without a writer, in place of any file that a worker stores, delays no start: the worker runs without the
// file, or reports the error and exits.
func TestPipesInPlaceOfFiles(t *testing.T) {
	t.Parallel()
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 10, User: "sap", Password: "geheim"})
	for _, dir := range []string{p.Data, filepath.Join(p.Dir, "cache", "culvert")} { // a cache of its own
		require.NoError(t, os.Remove(filepath.Join(dir, "plugins.cache")))
	}
	cache := filepath.Join(p.Data, "plugins.cache")
	err := os.CopyFS(cache, os.DirFS(guesttest.Code(t)))
	for tries := 1; errors.Is(err, fs.ErrNotExist) && tries < 100; tries++ { // workers of other tests write files in it
		require.NoError(t, os.RemoveAll(cache))
		err = os.CopyFS(cache, os.DirFS(guesttest.Code(t)))
	}
	require.NoError(t, err)
	worker := p.File("worker.properties", "bootstrap.servers=embedded", "listeners=")
	connector := p.File("c.properties", append(e2etest.Source("c", address, "Products"), "sap.odata.user.name=sap",
		"sap.odata.user.pwd=geheim")...)
	run := func() e2etest.Result {
		return p.StartFor(2*time.Minute, "run", "--once", "--plugins", e2etest.Plugins(t), "--data", p.Data, worker,
			connector).Wait()
	}
	r := run()
	require.Equal(t, 0, r.Code, "exit", r.Stderr)
	groups := map[string][]string{}
	for _, file := range filesBelow(t, p.Data, filepath.Join(p.Dir, "cache")) {
		group := file
		for _, folder := range []string{"plugins.cache", "broker"} {
			if i := strings.Index(file, "/"+folder+"/"); i >= 0 {
				group = file[:i+len(folder)+1]
			}
		}
		groups[group] = append(groups[group], file)
	}
	for group, files := range groups {
		for _, file := range files {
			require.NoError(t, os.Rename(file, file+".kept"))
			require.NoError(t, syscall.Mkfifo(file, 0o600))
		}
		r := run()
		assert.True(t, r.Code == 0 || r.Code == 1 || r.Code == 2,
			"%s: expected the worker to end, found exit %d\n%s", group, r.Code, r.Stderr)
		assert.True(t, r.Code == 0 || strings.Contains(r.Stderr, "found a pipe"),
			"%s: expected the pipe in the error, found %s", group, r.LastLine())
		for _, file := range files {
			require.NoError(t, os.Rename(file+".kept", file))
		}
	}
}

// Compiling a plugin uses 150 MB and more. After a first start, a worker without connectors soon holds a tenth of that.
func TestMemoryOfCompilingIsReturned(t *testing.T) {
	t.Parallel()
	const limit = 40 << 20
	p := e2etest.NewPlace(t)
	p.Environ = []string{"GOGC="}
	worker := p.File("worker.properties", "bootstrap.servers=embedded", "listeners=http://127.0.0.1:0")
	// With "=", because the data folder of --plugins DIR has the code that other tests have compiled.
	c := p.Start("run", "--plugins="+e2etest.Plugins(t), "--data", filepath.Join(p.Dir, "first"), worker)
	c.AwaitStderr("plugin loaded")
	if c.PeakMemory() < 2*limit {
		if runtime.GOOS != "linux" {
			t.Skip("this system reports no peak memory")
		}
		t.Fatalf("expected compiling to use more than %d MB, found %d", 2*limit>>20, c.PeakMemory()>>20)
	}
	deadline := time.Now().Add(time.Minute) // the garbage collector alone needs minutes
	c.Eventually("memory is returned", func() bool {
		return c.AnonymousMemory() <= limit || time.Now().After(deadline)
	})
	held := c.AnonymousMemory()
	assert.True(t, held <= limit, "expected at most %d MB a minute after a first start, found %d", limit>>20, held>>20)
}

func TestMain(m *testing.M) { e2etest.Main(m) }
