package operate

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// edited is a connector whose file is edited at random.
type edited struct {
	f        *e2etest.Followed
	name     string
	lines    []string // that are sound
	file     string   // below the place; "" where there is none
	edits    int
	settings map[string]string // those of the file, where it is sound
	rng      *rand.Rand
}

// sound writes a sound file that differs from the last one: in a setting of the client, one for which tasks are made
// again, or a comment.
func (e *edited) sound() {
	e.edits++
	lines := append(slices.Clone(e.lines), pick(e.rng, []string{fmt.Sprintf("sap.odata.max.retries=%d", 1+e.edits)},
		[]string{fmt.Sprintf("tasks.max=%d", 1+e.edits), "sap.odata.max.retries=1"},
		[]string{fmt.Sprintf("# edited %d times", e.edits), "sap.odata.max.retries=1"})...)
	e.write(lines)
	e.settings = e2etest.Configuration(slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, "#") }))
}

// write writes the file: by a rename, over what is there, or in two pieces.
func (e *edited) write(lines []string) {
	if e.file == "" {
		e.file = fmt.Sprintf("conf/%s-%d.properties", e.name, e.edits)
	}
	switch e.rng.IntN(3) {
	case 0:
		e.f.Replaced(e.file, lines...)
	case 1:
		e.f.File(e.file, lines...)
	default:
		e.f.File(e.file, lines[:len(lines)/2]...)
		e.f.File(e.file, lines...)
	}
}

// broken writes a file that is bad, each time in another way.
func (e *edited) broken() {
	e.edits++
	e.settings = nil
	e.write(pick(e.rng, append(slices.Clone(e.lines), "sap.odata.max.retries=often"),
		append(slices.Clone(e.lines), "transforms=x", "transforms.x.type=NotThere"), []string{"", ""},
		[]string{"{", `"name": "` + e.name + `"`}))
}

func (e *edited) deleted() {
	if e.file != "" {
		e.f.Gone(e.file)
		e.file, e.settings = "", nil
	}
}

// moved gives the file another name; the connector's own stays.
func (e *edited) moved() {
	e.edits++
	to := fmt.Sprintf("conf/%s-%d.properties", e.name, e.edits)
	e2etest.NoError(e.f.Place.T, os.Rename(filepath.Join(e.f.Dir, e.file), filepath.Join(e.f.Dir, to)))
	e.file = to
}

// Random edits under load: files come, change, break, go and get other names, while their connectors read. Nothing is
// lost, nothing is repeated, the worker ends in the state of the files, and a connector whose file is left alone
// notices nothing. CULVERT_SOAK=1 has 500 edits in 60 s.
func TestSoakReloadStorm(t *testing.T) {
	edits, apart := 60, 60*time.Millisecond
	if e2etest.Soaking() {
		edits, apart = 500, 120*time.Millisecond
	}
	const connectors, rows, page = 5, 600, 10
	p := e2etest.NewPlace(t)
	// Pages are let through as the storm goes on, so that all read until it ends.
	g, _, address := e2etest.Gated(t, odatatest.Options{Rows: rows, PageSize: page}, "/Orders", 100*connectors*rows)
	seed := uint64(1)
	if e2etest.Soaking() {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	worker := []string{"offset.flush.interval.ms=500"}
	if rng.IntN(2) == 0 {
		t.Log("connectors take turns for memory")
		worker = append(worker, "plugins.memory.bytes=1")
	}
	f := p.Follows("conf", worker...)
	var all []*edited
	for n := range connectors {
		name := fmt.Sprintf("c%d", n)
		e := &edited{f: f, name: name, lines: e2etest.Instead(e2etest.Source(name, address, "Orders"), "sap.odata#00.topic="+name),
			rng: rng}
		e.lines = slices.DeleteFunc(e.lines, func(l string) bool { return strings.HasPrefix(l, "sap.odata.max.retries=") })
		e.sound()
		if n == 0 { // before the others: no page is let through yet, and who takes turns with it would wait for one
			f.Await(e.name, "runs", e2etest.Runs)
		}
		all = append(all, e)
	}
	ticker := time.NewTicker(apart)
	defer ticker.Stop()
	for range edits {
		<-ticker.C
		e := all[1+rng.IntN(connectors-1)]
		switch do := rng.IntN(10); {
		case e.file == "" || do < 4:
			e.sound()
		case do < 6:
			e.broken()
		case do < 8:
			e.deleted()
		default:
			e.moved()
		}
		g.Let(max(1, connectors*rows/page/edits))
	}
	g.Let(connectors * rows)
	// The end: one is deleted, one bad, the others are sound.
	all[1].deleted()
	for _, e := range all[2:] {
		e.sound()
	}
	bad := all[2]
	for _, e := range all[2:] {
		f.Await(e.name, "runs as its file says", func(s connect.Status) bool {
			var info connect.Info
			e2etest.Get(t, f.Url+"/connectors/"+e.name, &info)
			return e2etest.Runs(s) && fmt.Sprint(info.Config) == fmt.Sprint(e.settings) && s.Connector.File == e.file
		})
	}
	bad.write(append(slices.Clone(bad.lines), "sap.odata.max.retries=often"))
	f.Await(bad.name, "runs on beside its bad file", func(s connect.Status) bool {
		return s.Connector.State == connect.Running && strings.Contains(s.Connector.ConfigError, bad.file)
	})
	f.Eventually("the connectors of the files", func() bool {
		return slices.Equal(f.Names(), []string{"c0", "c2", "c3", "c4"})
	})
	if n := f.Started("c0"); n != 1 {
		t.Errorf("expected the connector whose file was left alone to run undisturbed, found it started %d times", n)
	}
	if strings.Contains(f.Stderr.String(), "a mistake in culvert") || strings.Contains(f.Stderr.String(),
		"task FAILED") {
		t.Errorf("found a mistake or a task that failed:\n%s", f.Stderr.String())
	}
	f.MustStop()

	// Whoever was stopped goes on from its offset, and then each row is there once.
	for _, e := range all[1:3] {
		e.sound()
	}
	close(g.Turns)
	once := p.StartFor(10*time.Minute, "run", "--once", "--plugins", e2etest.Plugins(t), "--data", p.Data, "--config",
		"conf").Wait()
	if once.Code != 0 {
		t.Fatalf("exit %d\n%s", once.Code, once.Stderr)
	}
	for _, e := range all {
		seen := map[any]int{}
		records := p.Records(e.name)
		for _, r := range records {
			seen[r["value"].(map[string]any)["payload"].(map[string]any)["OrderID"]]++
		}
		if len(seen) != rows || len(records) != rows {
			t.Errorf("%s: expected each of %d rows once, found %d rows in %d records", e.name, rows, len(seen),
				len(records))
		}
	}
}
