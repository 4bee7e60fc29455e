package e2etest

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// Gate is a handler whose requests for an entity set each consume a turn, and wait for a turn if no turn is left.
type Gate struct {
	Inner   http.Handler
	Set     string
	Turns   chan struct{} // has an element for each request that may pass
	Waiting atomic.Int32  // requests that wait
}

// StartGated starts a demo service behind a gate, and returns both and the address. turns is the largest number of
// turns; there are no turns at the start.
func StartGated(t *testing.T, o odatatest.Options, set string, turns int) (*Gate, *odatatest.Service, string) {
	t.Helper()
	s := odatatest.New(o)
	g := &Gate{Inner: s, Set: set, Turns: make(chan struct{}, turns)}
	return g, s, Serve(t, g)
}

// IsHolding reports whether a request waits and no turn is left.
func (g *Gate) IsHolding() bool { return g.Waiting.Load() == 1 && len(g.Turns) == 0 }

func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.Contains(r.URL.Path, g.Set) {
		g.Waiting.Add(1)
		select {
		case <-g.Turns:
		case <-r.Context().Done():
		}
		g.Waiting.Add(-1)
	}
	g.Inner.ServeHTTP(w, r)
}

// Allow allows n more requests. It blocks if the channel of turns is full.
func (g *Gate) Allow(n int) {
	for range n {
		g.Turns <- struct{}{}
	}
}

// ReplaceFile replaces a file by a rename, as careful operators do.
func ReplaceFile(t *testing.T, dir, name string, data []byte) {
	t.Helper()
	require.NoError(t, os.Rename(WriteFile(t, dir, name+".new", data), filepath.Join(dir, name)))
}

// CheckOrders checks that a topic has the demo service's orders, each once and in order, except for the missing ones.
func (p *Place) CheckOrders(rows int, isMissing func(id int) bool) {
	p.T.Helper()
	want := 10248
	for _, r := range p.Records("Orders") {
		for isMissing(want) {
			want++
		}
		value := r["value"].(map[string]any)["payload"].(map[string]any)
		id := int(value["OrderID"].(float64))
		require.True(p.T, id == want, "expected order %d, found %d", want, id)
		want++
	}
	for isMissing(want) {
		want++
	}
	assert.True(p.T, want == 10248+rows, "expected orders up to %d, found them up to %d", 10248+rows-1, want-1)
}

// Scrape reads a worker's metrics like Prometheus: values by series with labels.
func Scrape(t *testing.T, address string) map[string]float64 {
	t.Helper()
	r, err := http.Get("http://" + address + "/metrics")
	require.NoError(t, err)
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	kind := r.Header.Get("Content-Type")
	require.True(t, err == nil && r.StatusCode == http.StatusOK && strings.HasPrefix(kind, "text/plain; version=0.0.4"),
		"expected Prometheus' text, found %d %s %v: %.300s", r.StatusCode, kind, err, body)
	values := map[string]float64{}
	for line := range strings.Lines(string(body)) {
		pos := strings.LastIndexByte(line, ' ')
		if line[0] != '#' {
			values[line[:pos]], err = strconv.ParseFloat(strings.TrimSpace(line[pos+1:]), 64)
			require.NoError(t, err, line)
		}
	}
	return values
}

// stopLimit is the time that a worker may need to end after SIGTERM whatever its plugins do: 5 s, ten times as long on
// slow machines. Waits in the tests last an hour.
const stopLimit = 50 * time.Second

// maxMemory is the maximum memory of a worker next to hostile plugins.
const maxMemory = 1 << 30

// PeakMemory returns the maximum memory of the program so far; zero if the system does not report it.
func (c *Command) PeakMemory() int64 { return c.memory("VmHWM") }

// AnonymousMemory returns the memory of the program without pages of files, which the system can drop; zero if the
// system does not report it.
func (c *Command) AnonymousMemory() int64 { return c.memory("RssAnon") }

func (c *Command) memory(field string) int64 {
	status, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(c.Process.Process.Pid), "status"))
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == field+":" {
			kb, _ := strconv.ParseInt(fields[1], 10, 64)
			return kb << 10
		}
	}
	return 0
}

// CheckPeakMemory checks that the program never had more resident memory than a number of bytes, and logs its peak.
// Only Linux reports it.
func (c *Command) CheckPeakMemory(limit int64) {
	c.t.Helper()
	peak := c.PeakMemory()
	require.True(c.t, peak != 0, "expected VmHWM in the status of the process")
	c.t.Logf("peak: %d MiB", peak>>20)
	assert.True(c.t, peak <= limit, "expected a peak of at most %d MiB, found %d", limit>>20, peak>>20)
}

// slowdown returns the factor by which a busy machine may be slower: twice the load of each processor, at least 1.
func slowdown() float64 {
	content, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(content), " ")
	load, _ := strconv.ParseFloat(first, 64)
	return max(1, 2*load/float64(runtime.NumCPU()))
}

// StopInTime stops a worker, and checks the time until it ended and its maximum memory.
func (c *Command) StopInTime() Result {
	c.t.Helper()
	memory := c.PeakMemory()
	start := time.Now()
	limit := time.Duration(float64(stopLimit) * slowdown())
	c.Signal(syscall.SIGTERM)
	r := c.Wait()
	elapsed := time.Since(start)
	assert.True(c.t, elapsed <= limit, "expected an end within %v of SIGTERM, found %v", limit, elapsed)
	assert.True(c.t, memory <= maxMemory, "expected at most %d MB of memory, found %d", maxMemory>>20, memory>>20)
	c.t.Logf("at most %d MB of memory", memory>>20)
	return r
}
