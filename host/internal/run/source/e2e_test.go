package source

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/convert"
	"github.com/culvert-project/culvert/host/internal/base/assert"
	"github.com/culvert-project/culvert/host/internal/base/require"
	"github.com/culvert-project/culvert/host/internal/run/notify"
	"github.com/culvert-project/culvert/host/internal/run/offset"
	"github.com/culvert-project/culvert/host/internal/run/runtest"
	"github.com/culvert-project/culvert/host/kafka"
	"github.com/culvert-project/culvert/host/kafka/embedded"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/host/plugin/guesttest"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/host/transport"
	northwind "github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/wit"
)

// stack is the real thing but for the worker around it: guest, HTTP, converters, broker, offsets.
type stack struct {
	service *northwind.Service
	kafka   kafka.Config
	place   workplace
	// hold has each request of the service wait, nil: none.
	hold atomic.Pointer[func()]
}

// workplace is what a worker needs to know: it can be handed to another process.
type workplace struct {
	// Plugins and Cache are folders; Broker and Service are addresses.
	Plugins, Cache, Broker, Service string
	Settings                        []string
	// Hosts are other names of the service.
	Hosts string
	// idle is how long an instance is kept that nobody uses, 0: as long as in a worker.
	idle time.Duration
	// listen takes the place of a worker's listener, and the task runs until ctx ends; nil: there is none, and it ends
	// when all is read.
	listen func(feed string, take notify.Handler) (string, func(), error)
	// bound is called with the binding of the plugin.
	bound func(*plugin.Binding)
}

func TestMain(m *testing.M) {
	if place := os.Getenv(childEnv); place != "" {
		child(place)
		return
	}
	os.Exit(m.Run())
}

func newStack(t *testing.T, o northwind.Options, settings ...string) *stack {
	t.Helper()
	x := &stack{service: northwind.New(o)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if hold := x.hold.Load(); hold != nil {
			(*hold)()
		}
		x.service.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	broker, err := embedded.Open(embedded.Options{Dir: t.TempDir(), Listen: "127.0.0.1:0"})
	require.NoError(t, err)
	t.Cleanup(func() { broker.Close() })
	x.kafka = kafka.Defaults()
	x.kafka.Bootstrap = []string{broker.Addr()}
	x.place = workplace{Plugins: guesttest.Folder(t, "odata-source"), Cache: guesttest.Code(t), Broker: broker.Addr(),
		Service: strings.TrimPrefix(server.URL, "http://"), Settings: settings}
	return x
}

// worker runs a task to its end as a worker would.
func (p workplace) worker(ctx context.Context) (*Task, error) {
	registry := record.NewRegistry()
	quiet := slog.New(slog.DiscardHandler)
	manager, err := plugin.New(ctx, plugin.Options{Folders: []string{p.Plugins}, Registry: registry, CacheDir: p.Cache,
		Logger: quiet,
		Watch:  p.bound != nil, Debounce: 20 * time.Millisecond, Idle: p.idle})
	if err != nil {
		return nil, err
	}
	defer manager.Close()
	binding, err := manager.Bind("c", wit.ComponentSource, class, "")
	if err != nil {
		return nil, err
	}
	defer binding.Close()
	if p.bound != nil {
		p.bound(binding)
	}
	k := kafka.Defaults()
	k.Bootstrap = []string{p.Broker}
	config := offset.Defaults()
	config.FlushInterval = 5 * time.Millisecond
	offsets, err := offset.Open(ctx, k, config, nil, nil)
	if err != nil {
		return nil, err
	}
	defer offsets.Close()
	writer := offsets.Writer("c", nil)
	defer writer.Close(ctx)
	admin, err := kafka.NewAdmin(k)
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	client, settings, err := p.client()
	if err != nil {
		return nil, err
	}
	defer client.Close()
	task := NewTask(Options{Connector: "c", Component: binding.Component().Name, Settings: settings,
		Versions: VersionsOf(binding), Client: client,
		Registry: registry, Once: p.listen == nil, Listen: p.listen, Logger: quiet, Stored: StoredIn(offsets, "c"),
		NewConverters: func() (key, value convert.Converter, err error) {
			if key, err = convert.New(convert.ClassJSON, map[string]string{"schemas.enable": "false"},
				convert.Use{Key: true, Schemas: registry}); err == nil {
				value, err = convert.New(convert.ClassJSON, map[string]string{"schemas.enable": "false"},
					convert.Use{Schemas: registry})
			}
			return key, value, err
		},
		NewOutput: func(string) (Output, error) {
			p, err := kafka.NewProducer(k, "")
			if err != nil {
				return nil, err
			}
			return kafka.NewOutput(p, writer), nil
		},
		EnsureTopic: func(ctx context.Context, topic string) error {
			_, err := admin.EnsureTopics(ctx, kafka.Topic{Name: topic})
			return err
		}})
	return task, task.Run(ctx)
}

func (p workplace) client() (*transport.Client, []wit.Setting, error) {
	host, port, _ := net.SplitHostPort(p.Service)
	number, _ := strconv.Atoi(port)
	list := []wit.Setting{{Name: "sap.odata.host.protocol", Value: "http"}, {Name: "sap.odata.host.address",
		Value: host}, {Name: "sap.odata.host.port", Value: port}}
	for _, s := range p.Settings {
		name, value, _ := strings.Cut(s, "=")
		if !strings.HasPrefix(name, "sap.odata.") {
			name = "sap.odata#00." + name
		}
		list = append(list, wit.Setting{Name: name, Value: value})
	}
	if p.Hosts != "" {
		list = append(list, wit.Setting{Name: "sap.odata.link.hosts", Value: p.Hosts})
	}
	times := 20
	client, err := transport.New(transport.Config{Scheme: "http", Address: host, Port: number,
		Retry: transport.Retry{Max: &times, MinBackoff: time.Millisecond, MaxBackoff: time.Millisecond}})
	return client, list, err
}

// ODataSource is the class under its short name.
const class = "ODataSource"

func (x *stack) run(t *testing.T) *Task {
	t.Helper()
	task, err := x.place.worker(t.Context())
	require.NoError(t, err)
	return task
}

// keys counts the records of a topic by key.
func (x *stack) keys(t *testing.T, topic string) map[string]int {
	t.Helper()
	reader, err := kafka.NewReader(x.kafka)
	require.NoError(t, err)
	defer reader.Close()
	keys := map[string]int{}
	_, err = reader.Read(t.Context(), topic, kafka.ReadOptions{}, func(r *kgo.Record) error {
		if !json.Valid(r.Value) {
			t.Errorf("no document: %.80s", r.Value)
		}
		keys[string(r.Key)]++
		return nil
	})
	require.NoError(t, err)
	return keys
}

func sets(set string, more ...string) []string {
	return append([]string{"service=" + strings.TrimSuffix(northwind.NorthwindPath, "/"), "entityset=" + set,
		"topic=t"}, more...)
}

func TestEverythingArrives(t *testing.T) {
	for _, format := range []string{"json", "atom"} {
		t.Run(format, func(t *testing.T) {
			x := newStack(t, northwind.Options{Rows: 1000, Switches: northwind.Switches{PageSize: 300}},
				sets("Orders", "format="+format)...)
			task := x.run(t)
			if keys := x.keys(t, "t"); len(keys) != 1000 {
				t.Fatalf("%d keys", len(keys))
			}
			if p := task.Progress(); p.Written != 1000 || p.Pages != 4 {
				t.Errorf("%+v", p)
			}
			x.run(t)
			for key, n := range x.keys(t, "t") {
				if n != 1 {
					t.Fatalf("%s came %d times", key, n)
				}
			}
		})
	}
}

// An entity that no notification calls deleted and that is gone is read twice, also where the plugin's instance that
// read it first was closed meanwhile.
func TestGoneEntitiesAreReadTwice(t *testing.T) {
	x := newStack(t, northwind.Options{Rows: 30, Subscriptions: true}, append(sets("Products", "exec-period=-1",
		"subscription.enable=1", "sap.odata.subscription.dest=CULVERT", "sap.odata.subscription.ports=8301",
		"sap.odata.notification.confirm.seconds=1"), "service="+northwind.SAPPath)...)
	x.place.idle = 20 * time.Millisecond
	taken := make(chan notify.Handler, 1)
	x.place.listen = func(_ string, take notify.Handler) (string, func(), error) {
		taken <- take
		return "/c/Products", func() {}, nil
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := x.place.worker(ctx)
		ended <- err
	}()
	var take notify.Handler
	select {
	case take = <-taken:
	case err := <-ended:
		t.Fatal(err)
	}
	reads := func(id int) (n int) {
		for _, q := range x.service.Ledger().Requests {
			if strings.Contains(q.Path, fmt.Sprintf("/Products(%d)", id)) {
				n++
			}
		}
		return n
	}
	tell := func(id int) {
		t.Helper()
		err := take(ctx, wit.Notification{Method: "POST", Target: "/c/Products", Body: fmt.Appendf(nil,
			`{"d":{"ID":"%d","collection":"Products","changeType":"updated","__metadata":{"type":"X.Notification",`+
				`"links":{}},"via":{"__deferred":{"uri":"Products(%[1]d)"}}}}`, id)})
		require.NoError(t, err)
		for deadline := time.Now().Add(2 * time.Minute); reads(id) < 2; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("the entity %d was read %d times, expected 2", id, reads(id))
			}
		}
	}
	tell(1001)
	tell(1002) // whose second read comes after what would be the third one of the first
	assert.Equal(t, 2, reads(1001), "reads of the entity 1001")
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(10 * time.Millisecond) {
		keys := x.keys(t, "t")
		first, second := keys[`{"ProductID":1001}`], keys[`{"ProductID":1002}`]
		if second < 2 && time.Now().Before(deadline) {
			continue // it is being written
		}
		if first != 2 || second != 2 {
			t.Errorf("expected that each read writes a delete, found %d and %d", first, second)
		}
		break
	}
	stop()
	require.NoError(t, <-ended)
}

// Pages that break off in every way, and answer otherwise the next time: nothing is missing.
func TestPagesThatBreakOffOnTheWire(t *testing.T) {
	for _, how := range []string{"reset", "length", "truncate"} {
		for _, differ := range []string{"", "reorder"} {
			t.Run(how+" "+differ, func(t *testing.T) {
				x := newStack(t, northwind.Options{Rows: 3000, Switches: northwind.Switches{PageSize: 1500,
					Differ: differ,
					Match:  "/Orders", Break: how, BreakAfter: 400_000, BreakCount: 3}}, sets("Orders")...)
				task := x.run(t)
				if keys := x.keys(t, "t"); len(keys) != 3000 {
					t.Fatalf("%d keys", len(keys))
				}
				if p := task.Progress(); p.Faults == 0 {
					t.Errorf("nothing broke: %+v", p)
				} else {
					t.Logf("%+v", p)
				}
			})
		}
	}
}

// One page of any size streams through in constant memory.
func TestOneLongPage(t *testing.T) {
	const rows = 60_000
	// so that what is in use is near to what is needed
	defer debug.SetGCPercent(debug.SetGCPercent(20))
	// compiles the guest, which takes memory of its own
	newStack(t, northwind.Options{Rows: 1}, sets("Orders")...).run(t)
	x := newStack(t, northwind.Options{Rows: rows}, sets("Orders", "page.size=1000000")...)
	var most atomic.Uint64
	done := make(chan struct{})
	var sampler sync.WaitGroup
	sampler.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				most.Store(max(most.Load(), m.HeapInuse))
			}
		}
	})
	start := time.Now()
	task := x.run(t)
	took := time.Since(start)
	close(done)
	sampler.Wait()
	p := task.Progress()
	if p.Written != rows || p.Pages != 2 { // the second one is the question whether the page's count is the set's
		t.Fatalf("%+v", p)
	}
	t.Logf("%d bytes, %v, %.0f rows/s, heap at most %d MiB (service and broker included), stages %+v", p.Bytes, took,
		rows/took.Seconds(), most.Load()>>20, p.Flow.Stages)
	if limit := uint64(64 << 20); most.Load() > limit {
		t.Errorf("expected less than %d MiB of heap for a page of %d MiB, found %d", limit>>20, p.Bytes>>20,
			most.Load()>>20)
	}
}

// A new version of the plugin, dropped into the folder while records flow, takes over between two pages: nothing is
// lost or repeated.
func TestSwapWhileRecordsFlow(t *testing.T) {
	const rows = 6000
	x := newStack(t, northwind.Options{Rows: rows, Switches: northwind.Switches{PageSize: 100}}, sets("Orders")...)
	file := filepath.Join(x.place.Plugins, "odata-source.wasm")
	old, err := os.ReadFile(file)
	require.NoError(t, err)
	// the same code with a section more: another module to the host
	fresh := append(old[:len(old):len(old)], 0, 6, 4, 'n', 'e', 'x', 't', 1)
	warm := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(warm, "x.wasm"), fresh, 0o644))
	m, err := plugin.New(t.Context(), plugin.Options{Folders: []string{warm}, Registry: record.NewRegistry(),
		CacheDir: x.place.Cache, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	m.Close()
	// The load does not end before the new version is there.
	arrived := make(chan struct{})
	hold := func() {
		if len(x.service.Ledger().Requests) > 20 {
			<-arrived
		}
	}
	x.hold.Store(&hold)
	var swapped atomic.Int64
	var watcher sync.WaitGroup
	done := make(chan struct{})
	x.place.bound = func(b *plugin.Binding) {
		first := b.Status().Hash
		watcher.Go(func() {
			tick := time.NewTicker(5 * time.Millisecond)
			defer tick.Stop()
			dropped, told := false, false
			for {
				select {
				case <-done:
					return
				case <-tick.C:
				}
				feeds := int64(len(x.service.Ledger().Requests))
				if !dropped && feeds > 8 {
					dropped = true
					if os.WriteFile(file+".part", fresh, 0o644) != nil || os.Rename(file+".part", file) != nil {
						t.Error("the file cannot be replaced")
					}
				}
				if !told && (b.Candidate() != nil || b.Status().Hash != first) {
					told = true
					close(arrived)
				}
				if b.Status().Hash != first {
					swapped.CompareAndSwap(0, feeds)
				}
			}
		})
	}
	task := x.run(t)
	close(done)
	watcher.Wait()
	if at, all := swapped.Load(), int64(len(x.service.Ledger().Requests)); at == 0 || at == all {
		t.Errorf("expected the swap in the middle, found it at request %d of %d", at, all)
	}
	keys := x.keys(t, "t")
	for key, n := range keys {
		if n != 1 {
			t.Fatalf("%s came %d times", key, n)
		}
	}
	if p := task.Progress(); len(keys) != rows || p.Pages != rows/100 || p.Repeated+p.Faults+p.Resumed != 0 {
		t.Errorf("%d keys, %+v", len(keys), p)
	}
}

// What a service answers instead of rows fails the task with a text that says what came from where; no row counts as
// read.
func TestAnswersThatAreNoFeed(t *testing.T) {
	x := newStack(t, northwind.Options{Rows: 10}, sets("Orders")...)
	for _, c := range []struct {
		switches string
		want     []string
	}{
		{"status=401 status-body=json", []string{"401"}},
		{"status=401 status-body=html", []string{"401"}},
		{"status=403 status-body=xml status-code=SY/530 status-message=no_authority", []string{"403", "no authority",
			"SY/530"}},
		{"status=403 status-body=json status-code=SY/530 status-message=no_authority", []string{"403", "no authority",
			"SY/530"}},
		{"status=404 status-body=empty", []string{"404"}},
		{"status=404 status-body=html", []string{"404"}},
		{"status=500 status-body=html", []string{"500"}},
		{"status=500 status-body=empty", []string{"500"}},
		{"status=500 status-body=json status-message=short_dump", []string{"500", "short dump"}},
		{"logon-page=1000", []string{"HTML", "logon"}},
	} {
		t.Run(c.switches, func(t *testing.T) {
			set := func(name, value string) { require.NoError(t, x.service.Set(name, value)) }
			set("match", "/Orders")
			for _, s := range strings.Fields(c.switches) {
				name, value, _ := strings.Cut(s, "=")
				set(name, strings.ReplaceAll(value, "_", " "))
			}
			if strings.HasPrefix(c.switches, "status") {
				set("status-count", "1000")
			}
			defer func() {
				for _, name := range []string{"status-count", "logon-page", "status"} {
					set(name, "0")
				}
				set("status-body", "auto")
				set("status-code", "")
				set("status-message", "")
			}()
			_, err := x.place.worker(t.Context())
			runtest.Fails(t, err, append(c.want, "feed Orders: ", "GET ")...)
			if len(err.Error()) > 1500 {
				t.Errorf("a fault of %d bytes", len(err.Error()))
			}
		})
	}
	// A 500 with a document made the plugin ask without options: it may have stored that, and nothing else.
	if rows, inside := x.covered(t); rows != 0 || inside {
		t.Errorf("an offset that covers %d rows was stored", rows)
	}
	x.run(t) // and afterwards everything arrives
	assert.Equal(t, 10, len(x.keys(t, "t")), "keys")
}

func TestNextLinkToAnotherHost(t *testing.T) {
	x := newStack(t, northwind.Options{Rows: 10, Switches: northwind.Switches{PageSize: 4,
		SelfHost: "http://elsewhere.example:8000"}}, sets("Orders")...)
	_, err := x.place.worker(t.Context())
	runtest.Fails(t, err, "elsewhere.example", "sap.odata.link.hosts")
}

// Services in motion and services that end too early (T15, P3, P4): every row that existed throughout arrives.
func TestServicesThatMakeItHard(t *testing.T) {
	for name, s := range map[string]northwind.Switches{
		"rows come and go between pages": {PageSize: 150, Churn: 3},
		"and links count rows":           {PageSize: 150, Churn: 3, SkipToken: "offset"},
		"feeds end early":                {EndEarly: 400},
		"without $orderby":               {PageSize: 400, RefuseOrderBy: true},
		"without $inlinecount":           {PageSize: 400, RefuseCount: true},
		"old format without paging":      {V1: true},
		"nulls left out":                 {PageSize: 400, OmitNull: true},
		"under another name":             {PageSize: 400, SelfHost: "http://internal.example:8000"},
	} {
		t.Run(name, func(t *testing.T) {
			x := newStack(t, northwind.Options{Rows: 2000, Switches: s}, sets("Orders", "page.size=500")...)
			if s.SelfHost != "" {
				x.place.Hosts = "internal.example"
			}
			before := map[string]bool{}
			x.service.Each("Orders", func(key string, _ map[string]string) { before[key] = true })
			x.run(t)
			throughout := 0
			got := x.keys(t, "t")
			x.service.Each("Orders", func(key string, _ map[string]string) {
				if before[key] {
					throughout++
					if got[`{"OrderID":`+strings.Trim(key, "()")+`}`] == 0 {
						t.Errorf("%s is missing", key)
					}
				}
			})
			if throughout < 1500 {
				t.Errorf("only %d rows were there throughout", throughout)
			}
		})
	}
}
