package main

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/host/plugin/guesttest"
)

// The commands of README.md are run as they stand there, but for the port, in a folder whose only difference to a clone is that
// nothing is written into the clone itself.
func TestReadmeCommands(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	replace := strings.NewReplacer("8090", port)
	script := "set -euo pipefail\nset -m\n"
	for _, block := range strings.Split(string(text), "```sh\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		if strings.HasPrefix(block, "go test") {
			continue // this test is part of it
		}
		script += replace.Replace(block)
	}
	if strings.Count(script, "\n") < 10 {
		t.Fatalf("README.md has fewer commands than expected:\n%s", script)
	}
	// the service is on its way when the next command starts: a reader takes longer than a script
	script = strings.Replace(script, "culvert validate", "until (: </dev/tcp/127.0.0.1/"+port+") 2>/dev/null; do :; done\nculvert validate", 1)

	clone := cloneOf(t, replace)
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, "bash", "-c", script)
	c.Dir = clone
	bin, plugins := culvert(t)
	c.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "CULVERT_PLUGIN_PATH="+plugins)
	c.WaitDelay = 5 * time.Second
	var errs strings.Builder
	c.Stderr = &errs
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, errs.String())
	}
	checkRecords(t, string(out), errs.String())
}

// checkRecords looks at what `culvert consume` printed: every customer, with a masked name.
func checkRecords(t *testing.T, out, errs string) {
	t.Helper()
	records := 0
	for _, line := range strings.Split(out, "\n") {
		if !strings.HasPrefix(line, "{") {
			continue
		}
		var r struct {
			Value struct{ CustomerID, CompanyName, ContactName string }
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		records++
		name := []rune(r.Value.ContactName)
		if len(name) < 3 || strings.Trim(string(name[:len(name)-2]), "*") != "" || strings.Contains(r.Value.CompanyName, "**") {
			t.Errorf("a name that is not masked, or too much: %s", line)
		}
	}
	if records < 91 || !strings.Contains(out, "accepted: example-transform 1.0.0") {
		t.Errorf("%d records\n%s\n%s", records, out, errs)
	}
}

// cloneOf is the repository as a reader has it: links to all that is there, with this folder's files copied and their port replaced.
func cloneOf(t *testing.T, replace *strings.Replacer) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	clone := t.TempDir()
	link := func(from, to string, except ...string) {
		entries, err := os.ReadDir(from)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if !strings.HasPrefix(e.Name(), ".") && !strings.Contains(strings.Join(except, " "), e.Name()) {
				if err := os.Symlink(filepath.Join(from, e.Name()), filepath.Join(to, e.Name())); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	here := filepath.Join(clone, "examples", "plugin-transform")
	if err := os.MkdirAll(here, 0o755); err != nil {
		t.Fatal(err)
	}
	link(root, clone, "examples")
	link(filepath.Join(root, "examples"), filepath.Join(clone, "examples"), "plugin-transform")
	for _, name := range []string{"main.go", "customers.properties"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(here, name), []byte(replace.Replace(string(text))), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return clone
}

// culvert builds the program, and its guests into a folder beside it; it returns both.
func culvert(t *testing.T) (bin, plugins string) {
	t.Helper()
	bin = t.TempDir()
	if out, err := exec.Command("go", "build", "-o", filepath.Join(bin, "culvert"), "../../cmd/culvert").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	plugins = filepath.Join(bin, "built-in")
	if err := os.Mkdir(plugins, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, guest := range []string{"odata-source", "smt"} {
		if err := os.WriteFile(filepath.Join(plugins, guest+".wasm"), guesttest.Bytes(t, "../../plugins/"+guest), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return bin, plugins
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}
