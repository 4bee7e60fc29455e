package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/examples/demo-service/service"
	"github.com/culvert-project/culvert/host/plugin/guesttest"
	"github.com/culvert-project/culvert/host/porttest"
)

// committed goes through the records of a topic of one partition that a consumer sees with read_committed.
func (e *exactly) committed(topic string, each func(*kgo.Record)) {
	e.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(e.servers), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}),
		kgo.KeepControlRecords())
	if err != nil {
		e.t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), comesAbout)
	defer cancel()
	ends, err := kadm.NewClient(client).ListCommittedOffsets(ctx, topic)
	if err != nil {
		e.t.Fatal(err)
	}
	end, _ := ends.Lookup(topic, 0)
	for next := int64(0); next < end.Offset; {
		fetched := client.PollFetches(ctx)
		if err := fetched.Err0(); err != nil {
			e.t.Fatal(err)
		}
		fetched.EachRecord(func(r *kgo.Record) {
			next = r.Offset + 1
			if !r.Attrs.IsControl() {
				each(r)
			}
		})
	}
}

// generation asks the coordinator which generation of a group its only member is in, by heartbeats in its name.
func (e *exactly) generation(group string) (found int32, ok bool) {
	e.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(e.servers))
	if err != nil {
		e.t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), comesAbout)
	defer cancel()
	groups, err := kadm.NewClient(client).DescribeGroups(ctx, group)
	if err != nil || len(groups[group].Members) != 1 {
		return 0, false
	}
	for generation := int32(1); generation < 1000; generation++ {
		beat := kmsg.NewHeartbeatRequest()
		beat.Group, beat.Generation, beat.MemberID = group, generation, groups[group].Members[0].MemberID
		if answer, err := beat.RequestWith(ctx, client); err == nil && answer.ErrorCode == 0 {
			return generation, true
		}
	}
	return 0, false
}

// swappedRows are so many orders that their details, at swappedRate rows a second, last for a hundred swaps. That is
// the most that the service hands out; how many came is told at the end and not judged, since it is the machine's.
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
		sources[i] = guesttest.Bytes(t, "../../plugins/odata-source")
		if i > 0 {
			sources[i] = guesttest.Bytes(t, "../../plugins/odata-source", "main.version="+version)
		}
		odds[i] = guesttest.Bytes(t, "./testdata/guests/odd", "main.version="+[]string{"1.0.0", "1.1.0"}[i])
	}
	p := newPlace(t)
	e := newExactly(t, p.broker(), p, "swaps", 1)
	e.s = service.New(service.Options{Rows: swappedRows, PageSize: wholeRows})
	e.held.inner = &paced{inner: e.s, set: "/Order_Details", every: wholeRows * time.Second / swappedRate}
	clear(e.rows)
	e.s.Each("Order_Details", func(_ string, fields map[string]string) {
		e.rows[fields["OrderID"]+"/"+fields["ProductID"]] = len(e.rows)
	})
	e.folder = folder(t, "smt", "odata-sink")
	put(t, e.folder, "odd.wasm", odds[0])
	rest := porttest.Address(t)
	e.more = []string{"--set", "listeners=http://" + rest}
	note := []string{"transforms=by,note", "transforms.by.type=org.apache.kafka.connect.transforms.InsertField$Value",
		"transforms.by.static.field=By", "transforms.by.static.value=nobody",
		"transforms.note.type=example.NoteVersion", "transforms.note.field=By"}
	e.lines = append(note, "sap.odata.headers.enable=1")
	whole := e.files()[0]
	// The sink reads and transforms everything, and writes nothing.
	sink := p.file("back.properties", instead(append(sinkOf("back", e.address, e.name, "OrderCopies"), note...),
		"transforms=by,note,drop", "transforms.drop.type=org.apache.kafka.connect.transforms.Filter")...)
	w := e.start(false, whole, sink)
	swapped := func(connector, plugin string) int {
		return strings.Count(w.stderr.String(),
			fmt.Sprintf(`msg="plugin swapped" connector=%s plugin=%s `, connector, plugin))
	}
	loaded := func(what string, n int) func() bool {
		text := `msg="plugin loaded" plugin=` + what + " "
		return func() bool { return strings.Count(w.stderr.String(), text) == n }
	}
	w.eventually("a page", func() bool { return e.s.Ledger().Pages > 0 })
	var before int32
	began, read := time.Now(), e.s.Ledger().Rows
	for n := 1; n <= times; n++ {
		if n == times/2 {
			replace(t, e.folder, "odata-source.wasm", sources[1][:100_000])
			w.says("odata-source.wasm: the file is cut off")
		}
		replace(t, e.folder, "odata-source.wasm", sources[n%2])
		replace(t, e.folder, "odd.wasm", odds[n%2])
		w.eventually("a new source", loaded("odata-source", n+1))
		w.eventually("a new transform", loaded("odd", n+1))
		w.eventually("swaps of the source", func() bool {
			return swapped(e.name, "odata-source") == n && swapped(e.name, "odd") == n && swapped("back", "odd") == n
		})
		if n == 1 {
			w.eventually("a generation", func() (ok bool) {
				before, ok = e.generation("connect-back")
				return ok
			})
		}
	}
	// Offsets of the newer version are there: the one before goes on from them.
	q, err := http.NewRequestWithContext(t.Context(), http.MethodPut,
		"http://"+rest+"/culvert/plugins/odata-source/rollback", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(q)
	if err != nil || answer.StatusCode != http.StatusNoContent {
		t.Fatalf("%v %v", answer, err)
	}
	answer.Body.Close()
	w.eventually("a rollback", func() bool { return swapped(e.name, "odata-source") == times+1 })
	took := time.Since(began)
	read = e.s.Ledger().Rows - read
	w.eventually("all pages", func() bool { return e.s.Ledger().Pages >= len(e.rows)/wholeRows })
	w.eventually("all rows", func() bool {
		n := 0
		e.committed(e.name, func(*kgo.Record) { n++ })
		return n >= len(e.rows)
	})
	after, ok := e.generation("connect-back")
	if !ok || after != before {
		t.Errorf("expected the sink's group to stay in generation %d, found %d %t", before, after, ok)
	}
	w.signal(syscall.SIGTERM)
	if r := w.wait(); r.code != 0 {
		t.Fatalf("exit %d\n%s", r.code, r.stderr)
	}

	var found []string
	byPage, byVersion, producers := map[int]string{}, map[string]int{}, map[int64]bool{}
	var first int16
	e.committed(e.name, func(r *kgo.Record) {
		if found == nil {
			first = r.ProducerEpoch
		}
		row := e.row(string(r.Key))
		found = append(found, row)
		page, version := e.rows[row]/wholeRows, ""
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
	counted := e.count(e.rows, found)
	if counted.missing > 0 || counted.repeated > 0 {
		t.Errorf("%v, the first one that is missing is row %d", counted, counted.first)
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
