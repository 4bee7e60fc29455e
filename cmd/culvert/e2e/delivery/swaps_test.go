package delivery

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/plugin/guesttest"
	"github.com/culvert-project/culvert/host/porttest"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// swappedRows are so many orders that their details, at swappedRate rows a second, last for a hundred swaps. That is
// the most that the service hands out; how many came is logged at the end and not judged, since it is the machine's.
const swappedRows, swappedRate = 1_600_000, 20_000

// paced hands out the pages of a set at a rate.
type paced struct {
	inner http.Handler
	set   string
	every time.Duration

	mu   sync.Mutex
	next time.Time
}

func (p *paced) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.Contains(r.URL.Path, p.set) {
		p.mu.Lock()
		now := time.Now()
		if p.next.Before(now) {
			p.next = now
		}
		wait := p.next.Sub(now)
		p.next = p.next.Add(p.every)
		p.mu.Unlock()
		time.Sleep(wait)
	}
	p.inner.ServeHTTP(w, r)
}

// Newer and older versions of a source and of a transform take over in the middle of a load, again and again, with a
// broken file in between and a rollback at the end: each row comes once, by one version of the source for each page,
// from the producer that there was; and the sink that reads it stays in its generation.
// TestPluginsAreSwappedInMidLoad is the short form.
func TestSoakSwaps(t *testing.T) {
	if os.Getenv("CULVERT_SOAK") == "" {
		t.Skip("takes minutes: make soak")
	}
	t.Parallel()
	const times = 100
	versions := []string{"0.1.0", "0.2.0"}
	var sources, odds [2][]byte
	for i, version := range versions {
		sources[i] = guesttest.Bytes(t, "../../../../plugins/odata-source")
		if i > 0 {
			sources[i] = guesttest.Bytes(t, "../../../../plugins/odata-source", "main.version="+version)
		}
		odds[i] = guesttest.Bytes(t, "../../testdata/guests/odd", "main.version="+[]string{"1.0.0", "1.1.0"}[i])
	}
	p := e2etest.NewPlace(t)
	e := NewExactly(t, p.Broker(), p, "swaps", 1)
	e.S = odatatest.New(odatatest.Options{Rows: swappedRows, PageSize: WholeRows})
	e.Held.Inner = &paced{inner: e.S, set: "/Order_Details", every: WholeRows * time.Second / swappedRate}
	clear(e.Rows)
	e.S.Each("Order_Details", func(_ string, fields map[string]string) {
		e.Rows[fields["OrderID"]+"/"+fields["ProductID"]] = len(e.Rows)
	})
	e.Folder = e2etest.Folder(t, "smt", "odata-sink")
	e2etest.Put(t, e.Folder, "odd.wasm", odds[0])
	rest := porttest.Address(t)
	e.More = []string{"--set", "listeners=http://" + rest}
	note := []string{"transforms=by,note", "transforms.by.type=org.apache.kafka.connect.transforms.InsertField$Value",
		"transforms.by.static.field=By", "transforms.by.static.value=nobody",
		"transforms.note.type=example.NoteVersion", "transforms.note.field=By"}
	e.Lines = append(note, "sap.odata.headers.enable=1")
	whole := e.Files()[0]
	// The sink reads and transforms everything, and writes nothing.
	sink := p.File("back.properties", e2etest.Instead(append(e2etest.SinkOf("back", e.Address, e.Name, "OrderCopies"), note...),
		"transforms=by,note,drop", "transforms.drop.type=org.apache.kafka.connect.transforms.Filter")...)
	w := e.Start(false, whole, sink)
	swapped := func(connector, plugin string) int {
		return strings.Count(w.Stderr.String(),
			fmt.Sprintf(`msg="plugin swapped" connector=%s plugin=%s `, connector, plugin))
	}
	loaded := func(what string, n int) func() bool {
		text := `msg="plugin loaded" plugin=` + what + " "
		return func() bool { return strings.Count(w.Stderr.String(), text) == n }
	}
	w.Eventually("a page", func() bool { return e.S.Ledger().Pages > 0 })
	var before int32
	began, read := time.Now(), e.S.Ledger().Rows
	for n := 1; n <= times; n++ {
		if n == times/2 {
			e2etest.Replace(t, e.Folder, "odata-source.wasm", sources[1][:100_000])
			w.Awaits("odata-source.wasm: the file is cut off")
		}
		e2etest.Replace(t, e.Folder, "odata-source.wasm", sources[n%2])
		e2etest.Replace(t, e.Folder, "odd.wasm", odds[n%2])
		w.Eventually("a new source", loaded("odata-source", n+1))
		w.Eventually("a new transform", loaded("odd", n+1))
		w.Eventually("swaps of the source", func() bool {
			return swapped(e.Name, "odata-source") == n && swapped(e.Name, "odd") == n && swapped("back", "odd") == n
		})
		if n == 1 {
			w.Eventually("a generation", func() (ok bool) {
				before, ok = e.Generation("connect-back")
				return ok
			})
		}
	}
	// Offsets of the newer version are there: the one before goes on from them.
	q, err := http.NewRequestWithContext(t.Context(), http.MethodPut,
		"http://"+rest+"/culvert/plugins/odata-source/rollback", nil)
	e2etest.NoError(t, err)
	answer, err := http.DefaultClient.Do(q)
	if err != nil || answer.StatusCode != http.StatusNoContent {
		t.Fatalf("%v %v", answer, err)
	}
	answer.Body.Close()
	w.Eventually("a rollback", func() bool { return swapped(e.Name, "odata-source") == times+1 })
	took := time.Since(began)
	read = e.S.Ledger().Rows - read
	w.Eventually("all pages", func() bool { return e.S.Ledger().Pages >= len(e.Rows)/WholeRows })
	w.Eventually("all rows", func() bool {
		n := 0
		e.Committed(e.Name, func(*kgo.Record) { n++ })
		return n >= len(e.Rows)
	})
	after, ok := e.Generation("connect-back")
	if !ok || after != before {
		t.Errorf("expected the sink's group to stay in generation %d, found %d %t", before, after, ok)
	}
	w.MustStop()

	var found []string
	byPage, byVersion, producers := map[int]string{}, map[string]int{}, map[int64]bool{}
	var first int16
	e.Committed(e.Name, func(r *kgo.Record) {
		if found == nil {
			first = r.ProducerEpoch
		}
		row := e.Row(string(r.Key))
		found = append(found, row)
		page, version := e.Rows[row]/WholeRows, ""
		for _, h := range r.Headers {
			if h.Key == "culvert.plugin.version" {
				version = string(h.Value)
			}
		}
		if before, ok := byPage[page]; ok && before != version {
			t.Fatalf("page %d has rows of %s and %s", page, before, version)
		}
		// The broker raises the epoch with each transaction (KIP-890), which is a page; a swap does not.
		if want := first + int16(page); r.ProducerEpoch != want {
			t.Fatalf("page %d: expected epoch %d of its producer, found %d", page, want, r.ProducerEpoch)
		}
		byPage[page] = version
		byVersion[version]++
		producers[r.ProducerID] = true
	})
	counted := e.Count(e.Rows, found)
	if counted.Missing > 0 || counted.Repeated > 0 {
		t.Errorf("%v, the first one that is missing is row %d", counted, counted.First)
	}
	if len(byVersion) != 2 || byVersion[""] > 0 {
		t.Errorf("expected rows of two versions, found %v", byVersion)
	}
	if len(producers) != 1 {
		t.Errorf("expected one producer, found %v", producers)
	}
	t.Logf("| %d swaps and a rollback in %v, at %.0f rows/s | whole: %v | by version: %v |", times,
		took.Round(time.Second),
		float64(read)/took.Seconds(), counted, byVersion)
}
