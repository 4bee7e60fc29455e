package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/culvert-project/culvert/examples/demo-service/service"
	"github.com/culvert-project/culvert/host/plugin/guesttest"
)

// bench is where the program under test is: the binary, built once, and a compile cache that all tests share.
var bench struct {
	dir, binary, cache, plugins string
	mu                          sync.Mutex // held while a folder of plugins is made
}

func TestMain(m *testing.M) {
	code, err := prepare(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.RemoveAll(bench.dir)
	os.Exit(code)
}

// besides is how many tests run side by side, whatever the number of cores: they wait for their workers most of the
// time.
const besides = 4

func prepare(m *testing.M) (code int, err error) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		if err := flag.Set("test.parallel", strconv.Itoa(besides)); err != nil {
			return 1, err
		}
	}
	if bench.dir, err = os.MkdirTemp("", "culvert-e2e-"); err != nil {
		return 1, err
	}
	bench.binary, bench.cache = filepath.Join(bench.dir, "culvert"), filepath.Join(bench.dir, "cache", "culvert",
		"plugins.cache")
	bench.plugins = filepath.Join(bench.dir, "plugins")
	for _, dir := range []string{bench.cache, bench.plugins} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return 1, err
		}
	}
	overlay, err := withoutPlugins()
	if err != nil {
		return 1, err
	}
	if out, err := exec.Command("go", "build", "-overlay", overlay, "-o", bench.binary,
		".").CombinedOutput(); err != nil {
		return 1, fmt.Errorf("go build: %w\n%s", err, out)
	}
	return m.Run(), nil
}

// withoutPlugins is an overlay in which the folder of built-in plugins is as in a clone that was never built: tests
// name the folder of their plugins, and what `make` left behind must not be a second one.
func withoutPlugins() (file string, err error) {
	left, err := filepath.Glob("plugins/*.wasm")
	if err != nil {
		return "", err
	}
	replace := map[string]string{}
	for _, name := range left {
		if name, err = filepath.Abs(name); err != nil {
			return "", err
		}
		replace[name] = ""
	}
	content, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	file = filepath.Join(bench.dir, "overlay.json")
	return file, os.WriteFile(file, content, 0o600)
}

// plugins is a folder with our guests: the source, and those that are named. Each guest is built and compiled once, and
// each folder is whole before anybody sees it, since workers of other tests look for what is new in theirs.
func plugins(t *testing.T, more ...string) string {
	t.Helper()
	bench.mu.Lock()
	defer bench.mu.Unlock()
	names := slices.Sorted(slices.Values(append(more, "odata-source")))
	dir := filepath.Join(bench.plugins, strings.Join(names, "+"))
	if _, err := os.Stat(dir); err == nil {
		return dir
	}
	making, err := os.MkdirTemp(bench.dir, "making-")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		put(t, making, name+".wasm", guesttest.Bytes(t, "../../plugins/"+name))
	}
	list := exec.Command(bench.binary, "plugins", "list", "--plugins", making)
	list.Env = append(os.Environ(), "XDG_CACHE_HOME="+filepath.Join(bench.dir, "cache"))
	if out, err := list.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", list, err, out)
	}
	if err := os.Rename(making, dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// place is a folder that a test works in, with a data folder for the embedded broker.
type place struct {
	t       *testing.T
	dir     string
	data    string
	environ []string // of commands, beside the test's own
}

func newPlace(t *testing.T) *place {
	p := &place{t: t, dir: t.TempDir()}
	p.data = filepath.Join(p.dir, "data")
	if err := os.Mkdir(p.data, 0o700); err != nil {
		t.Fatal(err)
	}
	// Logons that are refused are a user's: each place has one of its own, with the compile cache of all.
	if err := os.MkdirAll(filepath.Join(p.dir, "cache", "culvert"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{p.data, filepath.Join(p.dir, "cache", "culvert")} {
		if err := os.Symlink(bench.cache, filepath.Join(dir, "plugins.cache")); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// refusals are the files that say which logons were refused, of all commands of the place.
func (p *place) refusals() []string {
	p.t.Helper()
	files, err := filepath.Glob(filepath.Join(p.dir, "cache", "culvert", "logons", "*.refused"))
	if err != nil {
		p.t.Fatal(err)
	}
	return files
}

// file writes a file and returns its path.
func (p *place) file(name string, lines ...string) string {
	p.t.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		p.t.Fatal(err)
	}
	return path
}

// result is how a command ended.
type result struct {
	code           int
	stdout, stderr string
}

// lastLine of stderr.
func (r result) lastLine() string {
	lines := strings.Split(strings.TrimSpace(r.stderr), "\n")
	return lines[len(lines)-1]
}

// limit bounds every command of the tests, comesAbout what is waited for in it: machines that do other things are slow.
const (
	limit      = 10 * time.Minute
	comesAbout = 5 * time.Minute
)

// run runs the program to its end.
func (p *place) run(args ...string) result {
	p.t.Helper()
	c := p.start(args...)
	return c.wait()
}

// command is the program at work.
type command struct {
	t              *testing.T
	process        *exec.Cmd
	stdout, stderr buffer
	cancel         context.CancelFunc
}

func (p *place) start(args ...string) *command {
	p.t.Helper()
	return p.startFor(limit, args...)
}

// startFor is start for a program that outlives the limit.
func (p *place) startFor(limit time.Duration, args ...string) *command {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	if args[0] == "run" {
		args = append([]string{"run"}, append(patient(), args[1:]...)...)
	}
	c := &command{t: p.t, cancel: cancel, process: exec.CommandContext(ctx, bench.binary, args...)}
	c.process.Dir = p.dir
	c.process.Env = append(os.Environ(), "XDG_CACHE_HOME="+filepath.Join(p.dir, "cache"))
	c.process.Env = append(c.process.Env, p.environ...)
	c.process.Stdout, c.process.Stderr = &c.stdout, &c.stderr
	if err := c.process.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		c.process.Process.Kill()
		cancel()
	})
	return c
}

// patient are options that give each call of our plugins more time than it has by default, which counts where nothing
// is ready to use the processor for a second; a test's own options come behind.
func patient() (options []string) {
	for _, name := range []string{"odata-source", "odata-sink", "smt"} {
		options = append(options, "--set", "plugin."+name+".limits.call.ms=60000")
	}
	return options
}

func (c *command) wait() result {
	c.process.Wait()
	c.cancel()
	return result{c.process.ProcessState.ExitCode(), c.stdout.String(), c.stderr.String()}
}

// signal sends the process a signal. After SIGSTOP it waits until each thread has stopped: the kernel returns earlier.
func (c *command) signal(s syscall.Signal) {
	c.t.Helper()
	if err := c.process.Process.Signal(s); err != nil {
		c.t.Fatal(err)
	}
	if s != syscall.SIGSTOP {
		return
	}
	c.eventually("a process all of whose threads have stopped", func() bool {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", c.process.Process.Pid))
		return err == nil && len(threads) > 0 && !slices.ContainsFunc(threads, func(thread string) bool {
			text, err := os.ReadFile(thread)
			return err != nil || !strings.Contains(string(text), ") T ")
		})
	})
}

// eventually polls until done answers true, or fails with what the command has said.
func (c *command) eventually(what string, done func() bool) {
	c.t.Helper()
	deadline := time.NewTimer(comesAbout)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-deadline.C:
			c.t.Fatalf("%s did not come about; stderr:\n%s", what, c.stderr.String())
		case <-tick.C:
		}
	}
}

// says waits until stderr holds a text, and returns what follows it in its line.
func (c *command) says(text string) string {
	c.t.Helper()
	c.eventually("stderr with "+text, func() bool { return strings.Contains(c.stderr.String(), text) })
	_, after, _ := strings.Cut(c.stderr.String(), text)
	line, _, _ := strings.Cut(after, "\n")
	return line
}

// arrives waits until a topic holds as many records: the service has handed out rows before they are there.
func (c *command) arrives(p *place, topic string, rows int) {
	c.t.Helper()
	c.eventually(fmt.Sprintf("%d records in %s", rows, topic), func() bool { return len(p.records(topic)) >= rows })
}

// silent is a setting that has a service be silent for as long as a test holds its answers back.
const silent = "sap.odata.connection.read.timeout.ms=3600000"

// demo starts the demo service.
func demo(t *testing.T, o service.Options) (*service.Service, string) {
	t.Helper()
	s := service.New(o)
	server, err := s.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return s, strings.TrimPrefix(server.URL, "http://")
}

// source is the settings of a connector that reads sets of the demo service into topics of the same name.
func source(name, address string, sets ...string) []string {
	host, port, _ := net.SplitHostPort(address)
	lines := []string{"name=" + name, "connector.class=ODataSource", "sap.odata.host.protocol=http",
		"sap.odata.host.address=" + host,
		"sap.odata.host.port=" + port, "sap.odata.max.retries=0"}
	for i, set := range sets {
		prefix := fmt.Sprintf("sap.odata#%02d.", i)
		lines = append(lines, prefix+"service="+service.NorthwindPath, prefix+"entityset="+set, prefix+"topic="+set)
	}
	return lines
}

// get asks REST.
func get(t *testing.T, url string, into any) int {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		return 0
	}
	defer r.Body.Close()
	data, _ := io.ReadAll(r.Body)
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatalf("GET %s: %v in %s", url, err, data)
	}
	return r.StatusCode
}

// records reads a topic by `culvert consume`.
func (p *place) records(topic string) []map[string]any {
	p.t.Helper()
	r := p.run("consume", topic, "--data", p.data)
	if r.code != 0 {
		p.t.Fatalf("consume %s: exit %d\n%s", topic, r.code, r.stderr)
	}
	var all []map[string]any
	for line := range strings.Lines(r.stdout) {
		var one map[string]any
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			p.t.Fatalf("%v in %s", err, line)
		}
		all = append(all, one)
	}
	return all
}

// buffer may be read while it is written to.
type buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
