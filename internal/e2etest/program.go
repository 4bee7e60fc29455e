package e2etest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
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

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
)

// Bench has the paths of the program under test for all packages of end-to-end tests: the binary, a compile cache and
// folders of plugins. It is in bin/e2e and outlives a run, so that unchanged parts are neither linked nor compiled
// again.
var Bench struct{ Root, Dir, Binary, plugins string }

// parallelTests is the number of tests of a package that run at a time, whatever the number of cores: they mostly wait
// for their workers.
const parallelTests = 4

// Main builds the program and runs the tests of a package: each package's TestMain calls it.
func Main(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	flag.Parse()
	isSet := false
	flag.Visit(func(f *flag.Flag) { isSet = isSet || f.Name == "test.parallel" })
	if !isSet {
		if err := flag.Set("test.parallel", strconv.Itoa(parallelTests)); err != nil {
			return 1, err
		}
	}
	if Bench.Root, err = guesttest.Root(); err != nil {
		return 1, err
	}
	Bench.Dir = filepath.Join(Bench.Root, "bin", "e2e")
	Bench.Binary = filepath.Join(Bench.Dir, "culvert")
	Bench.plugins = filepath.Join(Bench.Dir, "plugins")
	if err := os.MkdirAll(Bench.plugins, 0o700); err != nil {
		return 1, err
	}
	if err := Build(Bench.Binary, "", nil); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// Build builds a version of the program in which some files are replaced, with more flags of `go build`, for one
// package of tests at a time. `go build` links it again only if it has changed.
func Build(binary, version string, replace map[string]string, flags ...string) error {
	unlock, err := guesttest.Lock("bench")
	if err != nil {
		return err
	}
	defer unlock()
	overlay, err := writeOverlay(replace)
	if err != nil {
		return err
	}
	arguments := []string{"build", "-ldflags=-s -w -X main.version=" + version, "-overlay", overlay, "-o", binary}
	c := exec.Command("go", slices.Concat(arguments, flags, []string{"./cmd/culvert"})...)
	c.Dir = Bench.Root
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}

// writeOverlay writes an overlay with replaced files, in which the program has no built-in plugins, as in a fresh
// clone: tests name the folder of their plugins, and must not find them twice.
func writeOverlay(replaced map[string]string) (file string, err error) {
	plugins, err := filepath.Glob(filepath.Join(Bench.Root, "cmd", "culvert", "plugins", "*.wasm"))
	if err != nil {
		return "", err
	}
	replace := map[string]string{}
	maps.Copy(replace, replaced)
	for _, name := range plugins {
		replace[name] = ""
	}
	content, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	file = filepath.Join(Bench.Dir, "overlay.json")
	return file, os.WriteFile(file, content, 0o600)
}

// pluginFolders has the folders that [Plugins] has returned, by the names of the plugins.
var pluginFolders sync.Map

// Plugins returns a folder with this repository's plugins: the source, and the named ones. Each is built and compiled
// once, and a folder is complete before it is visible, because workers of other tests watch theirs.
func Plugins(t *testing.T, more ...string) string {
	t.Helper()
	names := slices.Sorted(slices.Values(append(more, "odata-source")))
	joined := strings.Join(names, "+")
	if dir, ok := pluginFolders.Load(joined); ok {
		return dir.(string)
	}
	unlock, err := guesttest.Lock("bench")
	require.NoError(t, err)
	defer unlock()
	hash := sha256.New()
	var modules [][]byte
	for _, name := range names {
		modules = append(modules, guesttest.Bytes(t, filepath.Join(Bench.Root, "plugins", name)))
		hash.Write(modules[len(modules)-1])
	}
	dir := filepath.Join(Bench.plugins, fmt.Sprintf("%s-%.8x", joined, hash.Sum(nil)))
	if _, err := os.Stat(dir); err != nil {
		unfinished, err := os.MkdirTemp(Bench.Dir, "making-")
		require.NoError(t, err)
		for i, name := range names {
			WriteFile(t, unfinished, name+".wasm", modules[i])
		}
		list := exec.Command(Bench.Binary, "plugins", "list", "--plugins", unfinished)
		list.Env = append(os.Environ(), "XDG_CACHE_HOME="+filepath.Join(Bench.Dir, "cache"))
		out, err := list.CombinedOutput()
		require.True(t, err == nil, "%v: %v\n%s", list, err, out)
		require.NoError(t, os.Rename(unfinished, dir))
	}
	pluginFolders.Store(joined, dir)
	return dir
}

// Place is the working folder of a test, with a data folder for the embedded broker.
type Place struct {
	T       *testing.T
	Dir     string
	Data    string
	Binary  string   // the program
	Environ []string // variables of commands in addition to the test's own
	Stdin   string   // standard input of commands
}

// dependOnSources lets the test cache depend on the sources of the program and of plugins, which other commands read:
// `go test` records only the files that are opened during tests.
var dependOnSources = sync.OnceValue(func() error {
	return guesttest.Depend("cmd", "host", "plugins", "sdk", "wit", "examples", "internal", "testdata")
})

// NewPlace returns a folder that is removed after the test.
func NewPlace(t *testing.T) *Place {
	t.Helper()
	require.NoError(t, dependOnSources())
	p := &Place{T: t, Dir: t.TempDir(), Binary: Bench.Binary}
	p.Data = filepath.Join(p.Dir, "data")
	guesttest.ShareCode(t, p.Data)
	// Rejected logons are stored per user: each place has a user of its own.
	guesttest.ShareCode(t, filepath.Join(p.Dir, "cache", "culvert"))
	return p
}

// Refusals returns the stored lines about rejected logons: of the user's file and of all data folders of the place.
func (p *Place) Refusals() (refusals []string) {
	p.T.Helper()
	files, err := filepath.Glob(filepath.Join(p.Dir, "*", "refused-logons"))
	require.NoError(p.T, err)
	for _, path := range append(files, filepath.Join(p.Dir, "cache", "culvert", "refused-logons")) {
		content, _ := os.ReadFile(path)
		for line := range strings.Lines(string(content)) {
			if line != "\n" && !strings.HasPrefix(line, "salt ") {
				refusals = append(refusals, line)
			}
		}
	}
	return refusals
}

// File writes a file, with its folders, and returns its path.
func (p *Place) File(name string, lines ...string) string {
	p.T.Helper()
	p.Subfolder(filepath.Dir(name))
	path := filepath.Join(p.Dir, name)
	require.NoError(p.T, os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600))
	return path
}

// Result is the result of a command. Its checks form a chain; each failed check is reported.
type Result struct {
	Code   int
	Stdout string
	Stderr string

	t       *testing.T
	command string
}

// WantCode checks the exit code.
func (r Result) WantCode(code int) Result {
	r.t.Helper()
	assert.True(r.t, r.Code == code,
		"culvert %s: expected exit %d, found %d\n%s%s", r.command, code, r.Code, r.Stdout, r.Stderr)
	return r
}

// WantStdout checks that stdout contains texts.
func (r Result) WantStdout(texts ...string) Result {
	r.t.Helper()
	return r.contains(r.Stdout, "stdout", texts)
}

// WantStderr checks that stderr contains texts.
func (r Result) WantStderr(texts ...string) Result {
	r.t.Helper()
	return r.contains(r.Stderr, "stderr", texts)
}

// WantOutput checks that stdout or stderr contains texts.
func (r Result) WantOutput(texts ...string) Result {
	r.t.Helper()
	return r.contains(r.Stdout+r.Stderr, "the output", texts)
}

// WantNo checks that neither stdout nor stderr contains texts.
func (r Result) WantNo(texts ...string) Result {
	r.t.Helper()
	MustNotContain(r.t, "culvert "+r.command, r.Stdout+r.Stderr, texts...)
	return r
}

// WantNoStdout checks that stdout is empty.
func (r Result) WantNoStdout() Result {
	r.t.Helper()
	assert.Equal(r.t, "", r.Stdout, "culvert", r.command, "on stdout")
	return r
}

// WantStderrTimes checks how often stderr contains a text.
func (r Result) WantStderrTimes(n int, text string) Result {
	r.t.Helper()
	if count := strings.Count(r.Stderr, text); count != n {
		r.t.Errorf("culvert %s: expected %q %d times, found it %d times\n%s", r.command, text, n, count, r.Stderr)
	}
	return r
}

// WantLastLinePrefix checks the start of the last line of stderr.
func (r Result) WantLastLinePrefix(prefix string) Result {
	r.t.Helper()
	assert.True(r.t, strings.HasPrefix(r.LastLine(), prefix),
		"culvert %s: expected a last line with %q, found\n%s", r.command, prefix, r.Stderr)
	return r
}

// WantLastLine checks that the last line of stderr contains texts.
func (r Result) WantLastLine(texts ...string) Result {
	r.t.Helper()
	return r.contains(r.LastLine(), "the last line", texts)
}

// WantFailure checks that the exit code is not 0.
func (r Result) WantFailure() Result {
	r.t.Helper()
	assert.True(r.t, r.Code != 0, "culvert %s: expected it to fail\n%s%s", r.command, r.Stdout, r.Stderr)
	return r
}

func (r Result) contains(text, name string, wants []string) Result {
	r.t.Helper()
	if !assert.Contains(r.t, text, wants...) {
		r.t.Logf("culvert %s: %s", r.command, name)
	}
	return r
}

// MustNotContain checks that a text contains none of the substrings. name is the name of the text in messages.
func MustNotContain(t *testing.T, name, text string, substrings ...string) {
	t.Helper()
	for _, substring := range substrings {
		assert.NotContains(t, text, substring, name)
	}
}

// LastLine returns the last line of stderr.
func (r Result) LastLine() string {
	lines := strings.Split(strings.TrimSpace(r.Stderr), "\n")
	return lines[len(lines)-1]
}

// Limit bounds every command of the tests, WaitLimit each wait for a condition. Both allow for slow machines.
const (
	Limit     = 10 * time.Minute
	WaitLimit = 5 * time.Minute
)

// Run runs the program until it ends.
func (p *Place) Run(args ...string) Result {
	p.T.Helper()
	c := p.Start(args...)
	return c.Wait()
}

// MustRun is [Place.Run] for a program that must exit with 0.
func (p *Place) MustRun(args ...string) Result {
	p.T.Helper()
	return p.Start(args...).MustEnd()
}

// RunOnce runs connectors once with the built-in source and more arguments.
func (p *Place) RunOnce(args ...string) Result {
	p.T.Helper()
	return p.RunOnceWith(Plugins(p.T), args...)
}

// MustRunOnce is [Place.RunOnce] for a run that must exit with 0.
func (p *Place) MustRunOnce(args ...string) Result {
	p.T.Helper()
	return p.MustRunOnceWith(Plugins(p.T), args...)
}

// RunOnceWith is [Place.RunOnce] with a folder of plugins.
func (p *Place) RunOnceWith(plugins string, args ...string) Result {
	p.T.Helper()
	return p.StartOnce(plugins, args...).Wait()
}

// MustRunOnceWith is [Place.RunOnceWith] for a run that must exit with 0.
func (p *Place) MustRunOnceWith(plugins string, args ...string) Result {
	p.T.Helper()
	return p.StartOnce(plugins, args...).MustEnd()
}

// StartOnce is [Place.RunOnceWith], but does not wait for the end.
func (p *Place) StartOnce(plugins string, args ...string) *Command {
	p.T.Helper()
	return p.Start(append([]string{"run", "--once", "--plugins", plugins, "--data", p.Data}, args...)...)
}

// Command is the running program.
type Command struct {
	t       *testing.T
	Process *exec.Cmd
	Stdout  Buffer
	Stderr  Buffer
	cancel  context.CancelFunc
}

// Start starts the program, which is killed after [Limit] or at the end of the test.
func (p *Place) Start(args ...string) *Command {
	p.T.Helper()
	return p.StartFor(Limit, args...)
}

// StartFor is [Place.Start] with another limit.
func (p *Place) StartFor(limit time.Duration, args ...string) *Command {
	p.T.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	if args[0] == "run" {
		args = append([]string{"run"}, append(longCallLimits(), args[1:]...)...)
	}
	p.shareCode(args)
	c := &Command{t: p.T, cancel: cancel, Process: exec.CommandContext(ctx, p.Binary, args...)}
	c.Process.Dir = p.Dir
	c.Process.Env = append(os.Environ(), "XDG_CACHE_HOME="+filepath.Join(p.Dir, "cache"))
	c.Process.Env = append(c.Process.Env, p.Environ...)
	c.Process.Stdin = strings.NewReader(p.Stdin)
	c.Process.Stdout = &c.Stdout
	c.Process.Stderr = &c.Stderr
	require.NoError(p.T, c.Process.Start())
	p.T.Cleanup(func() {
		c.Process.Process.Kill()
		cancel()
		stderr := c.Stderr.String()
		if p.T.Failed() {
			p.T.Logf("culvert %s ended with:\n%s", strings.Join(args, " "), stderr[max(0, len(stderr)-16<<10):])
		}
	})
	return c
}

// shareCode links the data folder of a command with plugins to the compiled plugins that all tests share.
func (p *Place) shareCode(args []string) {
	p.T.Helper()
	pos := slices.Index(args, "--data") + 1
	if pos == 0 || !slices.Contains(args, "--plugins") {
		return
	}
	data := args[pos]
	if !filepath.IsAbs(data) {
		data = filepath.Join(p.Dir, data)
	}
	guesttest.ShareCode(p.T, data)
}

// longCallLimits returns options that allow each call of the repository's plugins more time than by default, for
// machines that do not schedule a process for a second. A test's own options follow them.
func longCallLimits() (options []string) {
	for _, name := range []string{"odata-source", "odata-sink", "smt"} {
		options = append(options, "--set", "plugin."+name+".limits.call.ms=60000")
	}
	return options
}

// Wait waits for the end of the program and returns its output. Call it once.
func (c *Command) Wait() Result {
	c.Process.Wait()
	c.cancel()
	return Result{Code: c.Process.ProcessState.ExitCode(), Stdout: c.Stdout.String(), Stderr: c.Stderr.String(), t: c.t,
		command: strings.Join(c.Process.Args[1:], " ")}
}

// MustEnd waits for the end and checks that the exit code is 0.
func (c *Command) MustEnd() Result {
	c.t.Helper()
	r := c.Wait()
	if r.Code != 0 {
		c.t.Fatalf("culvert %s: exit %d\n%s%s", strings.Join(c.Process.Args[1:], " "), r.Code, r.Stdout, r.Stderr)
	}
	return r
}

// Stop sends SIGTERM to the program and waits for its end.
func (c *Command) Stop() Result {
	c.t.Helper()
	c.Signal(syscall.SIGTERM)
	return c.Wait()
}

// MustStop is Stop for a program that must exit with 0.
func (c *Command) MustStop() Result {
	c.t.Helper()
	c.Signal(syscall.SIGTERM)
	return c.MustEnd()
}

// Kill ends the program without warning, like a machine that loses power.
func (c *Command) Kill() {
	c.t.Helper()
	c.Signal(syscall.SIGKILL)
	c.Wait()
}

// Signal sends the process a signal. After SIGSTOP it waits until each thread has stopped: the kernel returns earlier.
func (c *Command) Signal(s syscall.Signal) {
	c.t.Helper()
	require.NoError(c.t, c.Process.Process.Signal(s))
	if s != syscall.SIGSTOP {
		return
	}
	c.Eventually("a process all of whose threads have stopped", func() bool {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", c.Process.Process.Pid))
		return err == nil && len(threads) > 0 && !slices.ContainsFunc(threads, func(thread string) bool {
			stat, err := os.ReadFile(thread)
			require.NotContains(c.t, string(stat), ") Z ", "the process ended before it was stopped")
			return err != nil || !strings.Contains(string(stat), ") T ")
		})
	})
}

// Eventually polls until done returns true, or fails with the output of the command.
func (c *Command) Eventually(what string, done func() bool) {
	c.t.Helper()
	c.await(func() string { return what }, done)
}

// await is [Command.Eventually] with a description that says how far it came.
func (c *Command) await(describe func() string, done func() bool) {
	c.t.Helper()
	deadline := time.NewTimer(WaitLimit)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-deadline.C:
			c.t.Fatalf("%s did not come about; stderr:\n%s", describe(), c.Stderr.String())
		case <-tick.C:
		}
	}
}

// AwaitStderr waits until stderr contains a text, and returns the part of its line after the text.
func (c *Command) AwaitStderr(text string) string {
	c.t.Helper()
	c.Eventually("stderr with "+text, func() bool { return strings.Contains(c.Stderr.String(), text) })
	_, after, _ := strings.Cut(c.Stderr.String(), text)
	line, _, _ := strings.Cut(after, "\n")
	return line
}

// AwaitRecords waits until a topic has at least so many records: the service returns rows before they arrive.
func (c *Command) AwaitRecords(p *Place, topic string, rows int) {
	c.t.Helper()
	count := 0
	c.await(func() string { return fmt.Sprintf("%d records in %s, of which %d are there,", rows, topic, count) },
		func() bool {
			r := p.Run("consume", topic, "--data", p.Data) // fails before there is a topic
			count = strings.Count(r.Stdout, "\n")
			return r.Code == 0 && count >= rows
		})
}

// NoReadTimeout is a setting that accepts a silent service for as long as a test delays its responses.
const NoReadTimeout = "sap.odata.connection.read.timeout.ms=3600000"

// StartDemo starts the demo service until the test ends, and returns it with its address as host:port.
func StartDemo(t *testing.T, o odatatest.Options) (s *odatatest.Service, address string) {
	t.Helper()
	s = odatatest.New(o)
	server, err := s.Start("127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { server.Close() })
	return s, strings.TrimPrefix(server.URL, "http://")
}

// NewPlaceWithDemo returns a place, and the demo service with its address as host:port.
func NewPlaceWithDemo(t *testing.T, o odatatest.Options) (p *Place, s *odatatest.Service, address string) {
	t.Helper()
	p = NewPlace(t)
	s, address = StartDemo(t, o)
	return p, s, address
}

// Serve starts a server until the test ends, and returns its address as host:port.
func Serve(t *testing.T, handler http.Handler) (address string) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// WithLogon adds settings that let a connector log on as user me with [Password], and more settings.
func WithLogon(lines []string, settings ...string) []string {
	return WithSettings(WithSettings(lines, "sap.odata.user.name=me", "sap.odata.user.pwd="+Password), settings...)
}

// LockUser sends a wrong password of the user of [WithLogon], which a service with LockAfter 1 locks.
func LockUser(t *testing.T, address string) {
	t.Helper()
	request, err := http.NewRequest("GET", "http://"+address+odatatest.SAPPath, nil)
	require.NoError(t, err)
	request.SetBasicAuth("me", "a wrong password")
	r, err := http.DefaultClient.Do(request)
	require.True(t, err == nil && r.StatusCode == 401, "expected 401, found %v, %v", r, err)
	r.Body.Close()
}

// RefuseWrites lets a service answer 400 to the next n writes.
func RefuseWrites(t *testing.T, s *odatatest.Service, n int) {
	t.Helper()
	// The count comes last, so that requests in flight are not rejected.
	for _, change := range [][2]string{{"match", "POST"}, {"status", "400"}, {"status-count", strconv.Itoa(n)}} {
		assert.NoError(t, s.Set(change[0], change[1]))
	}
}

// Source returns the settings of a connector that reads sets of the demo service into topics of the same name.
func Source(name, address string, sets ...string) []string {
	host, port, _ := net.SplitHostPort(address)
	lines := []string{"name=" + name, "connector.class=ODataSource", "sap.odata.host.protocol=http",
		"sap.odata.host.address=" + host, "sap.odata.host.port=" + port, "sap.odata.max.retries=0"}
	for i, set := range sets {
		prefix := fmt.Sprintf("sap.odata#%02d.", i)
		lines = append(lines, prefix+"service="+odatatest.NorthwindPath, prefix+"entityset="+set, prefix+"topic="+set)
	}
	return lines
}

// Get sends a request to REST, decodes the response into a value and returns the status, 0 if there is no response.
func Get(t *testing.T, url string, into any) int {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		return 0
	}
	defer r.Body.Close()
	data, _ := io.ReadAll(r.Body)
	err = json.Unmarshal(data, into)
	require.True(t, err == nil, "GET %s: %v in %s", url, err, data)
	return r.StatusCode
}

// Records reads a topic with `culvert consume`.
func (p *Place) Records(topic string) []map[string]any {
	p.T.Helper()
	return p.consume((*json.Decoder).Decode, topic, "--data", p.Data)
}

// Documents is [Place.Records] with numbers as they are written, from the broker that arguments of culvert consume
// name.
func (p *Place) Documents(topic string, args ...string) []map[string]any {
	p.T.Helper()
	return p.consume(func(d *json.Decoder, v any) error {
		d.UseNumber()
		return d.Decode(v)
	}, append([]string{topic}, args...)...)
}

func (p *Place) consume(decode func(*json.Decoder, any) error, args ...string) (records []map[string]any) {
	p.T.Helper()
	r := p.MustRun(append([]string{"consume"}, args...)...)
	for d := json.NewDecoder(strings.NewReader(r.Stdout)); d.More(); {
		var record map[string]any
		require.NoError(p.T, decode(d, &record))
		records = append(records, record)
	}
	return records
}

// CheckRecordCount checks the number of records in a topic.
func (p *Place) CheckRecordCount(topic string, rows int) {
	p.T.Helper()
	assert.Equal(p.T, rows, len(p.Records(topic)), "records in", topic)
}

// Buffer is a bytes.Buffer for concurrent reads and writes.
type Buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write appends p.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
