package examples

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/internal/porttest"
)

// readme is a page whose commands are run unchanged.
type readme struct {
	path string
	// from is the heading above the commands, "" for the whole page.
	from string
	// copied are the files of the repository that contain one of the ports.
	copied []string
	// ports are the ports on the page besides 8090.
	ports []string
	// ready has shell conditions for background programs, by a word of their line. Without a condition a program is
	// ready when its port is open.
	ready map[string]string
}

// The page of the first plugin works: the plugin is built, copied to a folder, and used.
func TestReadmeOfPlugin(t *testing.T) {
	out := readme{path: "examples/plugin-transform/README.md",
		copied: []string{"examples/plugin-transform/customers.properties"}}.run(t)
	masked := 0
	for _, r := range records(t, out) {
		name := []rune(r.Value["ContactName"].(string))
		assert.True(t, len(name) >= 3 && strings.Trim(string(name[:len(name)-2]), "*") == "" &&
			!strings.Contains(r.Value["CompanyName"].(string), "**"), "expected masked names only, found %v", r)
		masked++
	}
	assert.True(t, masked >= 91 && strings.Contains(out, "accepted: example-transform 1.0.0"),
		"expected at least 91 records and an accepted plugin, found %d in\n%.2000s", masked, out)
}

// The page of the source that reads something other than OData works.
func TestReadmeOfSource(t *testing.T) {
	folder := "examples/plugin-source/"
	out := readme{path: folder + "README.md", copied: []string{folder + "tickets.properties"},
		ports: []string{"8091"}}.run(t)
	tickets := records(t, out)
	seen := map[float64]bool{}
	for _, r := range tickets {
		seen[r.Value["id"].(float64)] = true
	}
	assert.True(t, len(tickets) == 250 && len(seen) == 250 && strings.Contains(out, "accepted: example-source 1.0.0"),
		"expected 250 records of 250 tickets, found %d of %d\n%.2000s", len(tickets), len(seen), out)
}

// The README's five-minute tour works.
func TestReadmeTour(t *testing.T) {
	out := readme{path: "README.md", from: "## Five minutes", copied: []string{"examples/tour/orders.properties",
		"examples/tour/copies.properties"}}.run(t)
	assert.Contains(t, out, "entitySets       13", "entityTypes",
		"{\n  \"OrderID\": 10248,\n  \"CustomerID\": \"AAAAA\",")
}

// The page of the simulated SAP Connectivity works.
func TestReadmeOfConnectivity(t *testing.T) {
	folder := "examples/connectivity/"
	out := readme{path: folder + "README.md", copied: []string{folder + "worker.properties"},
		ports: []string{"9092", "19092"},
		ready: map[string]string{"./examples/connectivity": "[ -e connectivity-keys/vcap.json ]"}}.run(t)
	last := records(t, out)
	assert.True(t, len(last) == 2 && last[0].Topic == "Orders" && last[0].Offset == 829 && last[1].Topic == "Products",
		"expected the last of 830 orders and of the products, found %v", last)
	assert.Contains(t, out, "ok  ", "13 entity sets", "kafka.proxy.address.map: ", "kafka.proxy.location.id: ",
		"exit code 1", " bootstrap kafka.virtual:", ": REP 00, ", ": REP 02", " at DE-Berlin: REP 03",
		"/destinations/S4: 200")
}

// run runs the page's commands in a copy of the repository, on another port, and returns their standard output.
func (r readme) run(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", r.path))
	require.NoError(t, err)
	words := []string{"bin/culvert", "culvert"}
	var ports []string
	for _, port := range append([]string{"8090"}, r.ports...) {
		ports = append(ports, freePort(t))
		words = append(words, ":"+port, ":"+ports[len(ports)-1], "port="+port, "port="+ports[len(ports)-1])
	}
	replace := strings.NewReplacer(words...)
	_, page, hasHeading := strings.Cut(string(text), r.from)
	if r.from != "" {
		page, _, _ = strings.Cut(page, "\n## ")
	}
	script := "set -euo pipefail\nset -m\n"
	for _, block := range strings.Split(page, "```sh\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		for line := range strings.Lines(replace.Replace(block)) {
			if line == "make\n" || strings.HasPrefix(line, "go test") {
				continue // a command that this test replaces
			}
			script += line
			if strings.HasSuffix(line, "&\n") {
				// a reader takes longer than a script to type the next line
				script += "until " + r.condition(line, ports) + "; do sleep 0.05; done\n"
			}
		}
	}
	require.True(t, hasHeading && strings.Count(script, "\n") >= 8,
		"%s: expected the heading %q and at least 5 commands, found\n%s", r.path, r.from, script)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, "bash", "-c", script)
	root, err := filepath.Abs("..")
	require.NoError(t, err)
	c.Dir = cloneOf(t, root, replace, r.copied)
	for _, data := range []string{"tour-data", "my-data", "culvert-data"} {
		guesttest.ShareCode(t, filepath.Join(c.Dir, data))
	}
	earlier := namesIn(t, c.Dir)
	bin, plugins := culvert(t)
	c.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "CULVERT_PLUGIN_PATH="+plugins)
	c.WaitDelay = time.Minute
	var errs strings.Builder
	c.Stderr = &errs
	out, err := c.Output()
	require.True(t, err == nil, "%v\n%s\n%.2000s\n%s", err, script, out, errs.String())
	// After the page's commands a reader's clone has no changes, so releases and tests work in it.
	for _, name := range namesIn(t, c.Dir) {
		assert.True(t, slices.Contains(earlier, name) || slices.Contains(ignored(t, root), name),
			"%s: expected .gitignore to name %s, which its commands create", r.path, name)
	}
	return string(out)
}

// namesIn returns the entries of a folder.
func namesIn(t *testing.T, folder string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// ignored returns the entries of the repository's root that .gitignore names.
func ignored(t *testing.T, root string) (names []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, ".gitignore"))
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "/"); ok {
			names = append(names, strings.TrimSuffix(name, "/"))
		}
	}
	return names
}

// condition returns a shell condition that is true when the program of a line is ready.
func (r readme) condition(line string, ports []string) string {
	for word, condition := range r.ready {
		if strings.Contains(line, word) {
			return condition
		}
	}
	for _, port := range ports {
		if strings.Contains(line, ":"+port) {
			return "(: </dev/tcp/127.0.0.1/" + port + ") 2>/dev/null"
		}
	}
	return "true"
}

// record is a line of `culvert consume`. An envelope with a schema is removed from the value.
type record struct {
	Topic  string
	Offset int64
	Value  map[string]any
}

// records returns the records in the output of `culvert consume`.
func records(t *testing.T, out string) (list []record) {
	t.Helper()
	for line := range strings.Lines(out) {
		if !strings.HasPrefix(line, `{"topic"`) {
			continue
		}
		var r record
		err := json.Unmarshal([]byte(line), &r)
		require.True(t, err == nil, "%v: %s", err, line)
		if payload, ok := r.Value["payload"].(map[string]any); ok {
			r.Value = payload
		}
		list = append(list, r)
	}
	return list
}

// cloneOf returns a copy of the repository as a reader has it: links to its files, and copies of files that contain the
// port. Files that .gitignore names are left out, since they may be data of commands that ran here.
func cloneOf(t *testing.T, root string, replace *strings.Replacer, copied []string) string {
	t.Helper()
	clone := t.TempDir()
	linkInto(t, root, clone, "", copied, replace)
	for _, name := range ignored(t, root) {
		err := os.Remove(filepath.Join(clone, name))
		require.True(t, err == nil || errors.Is(err, os.ErrNotExist), "%v", err)
	}
	return clone
}

// linkInto links the content of a folder, except copied files and the folders on the way to them, which are created.
func linkInto(t *testing.T, root, clone, folder string, copied []string, replace *strings.Replacer) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(root, folder))
	require.NoError(t, err)
	for _, e := range entries {
		path := filepath.Join(folder, e.Name())
		from := filepath.Join(root, path)
		to := filepath.Join(clone, path)
		containsCopied := slices.ContainsFunc(copied, func(c string) bool { return strings.HasPrefix(c, path+"/") })
		switch {
		case strings.HasPrefix(e.Name(), "."): // no part of a clone
		case containsCopied:
			err = os.Mkdir(to, 0o755)
			linkInto(t, root, clone, path, copied, replace)
		case slices.Contains(copied, path):
			var text []byte
			if text, err = os.ReadFile(from); err == nil {
				err = os.WriteFile(to, []byte(replace.Replace(string(text))), 0o644)
			}
		default:
			err = os.Symlink(from, to)
		}
		require.NoError(t, err)
	}
}

// culvert builds the program, which is linked only if it has changed, and its plugins, and returns the folders of both.
func culvert(t *testing.T) (bin, plugins string) {
	t.Helper()
	bin, err := filepath.Abs("../bin/e2e/readme")
	require.NoError(t, err)
	program := filepath.Join(bin, "culvert")
	out, err := exec.Command("go", "build", "-ldflags=-s -w", "-o", program, "../cmd/culvert").CombinedOutput()
	require.True(t, err == nil, "%v\n%s", err, out)
	return bin, guesttest.Folder(t, "odata-source", "odata-sink", "smt")
}

// freePort returns a port that no program listens on.
func freePort(t *testing.T) string {
	t.Helper()
	_, port, _ := net.SplitHostPort(porttest.Address(t))
	return port
}
