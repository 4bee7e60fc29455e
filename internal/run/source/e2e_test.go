package source

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http/httptest"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/convert"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/kafka/embedded"
	northwind "github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/run/notify"
	"github.com/culvert-project/culvert/internal/run/offset"
	"github.com/culvert-project/culvert/internal/run/runtest"
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/wit"
)

// stack consists of the real components around a task: guest, HTTP, converters, broker, offsets.
type stack struct {
	service *northwind.Service
	kafka   kafka.Config
	place   workplace
}

// workplace contains the addresses and settings for a task.
type workplace struct {
	// Plugins and Cache are folders; Broker and Service are addresses.
	Plugins  string
	Cache    string
	Broker   string
	Service  string
	Settings []string
	// idle is how long an unused instance is kept. Zero means the worker's default.
	idle time.Duration
	// listen replaces a worker's listener, and the task runs until ctx ends. If nil, there is no listener, and the task
	// ends when all is read.
	listen func(feed string, handle notify.Handler) (string, func(), error)
}

func newStack(t *testing.T, o northwind.Options, settings ...string) *stack {
	t.Helper()
	x := &stack{service: northwind.New(o)}
	server := httptest.NewServer(x.service)
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

// runTask runs a task to its end as a worker would, and returns it.
func (w workplace) runTask(ctx context.Context) (*Task, error) {
	registry := record.NewRegistry()
	log := slog.New(slog.DiscardHandler)
	manager, err := plugin.New(ctx, plugin.Options{Folders: []string{w.Plugins}, Registry: registry, CacheDir: w.Cache,
		Logger: log, Idle: w.idle})
	if err != nil {
		return nil, err
	}
	defer manager.Close()
	binding, err := manager.Bind("c", wit.ComponentSource, class, "")
	if err != nil {
		return nil, err
	}
	defer binding.Close()
	k := kafka.Defaults()
	k.Bootstrap = []string{w.Broker}
	config := offset.DefaultConfig()
	config.FlushInterval = 5 * time.Millisecond
	offsets, err := offset.Open(ctx, k, config, nil, nil)
	if err != nil {
		return nil, err
	}
	defer offsets.Close()
	writer := offsets.NewWriter("c", nil)
	defer writer.Close(ctx)
	admin, err := kafka.NewAdmin(k)
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	client, settings, err := w.client()
	if err != nil {
		return nil, err
	}
	defer client.Close()
	task := NewTask(Options{Connector: "c", Component: binding.Component().Name, Settings: settings,
		Versions: VersionsOf(binding), Client: client, Registry: registry, Once: w.listen == nil,
		Telemetry: Telemetry{Logger: log}, Offsets: Offsets{StoredOffset: StoredIn(offsets, "c")},
		Stages: Stages{Listen: w.listen, NewConverters: func() (key, value convert.Converter, err error) {
			if key, err = convert.New(convert.ClassJSON, map[string]string{"schemas.enable": "false"},
				convert.Options{IsKey: true, Schemas: registry}); err == nil {
				value, err = convert.New(convert.ClassJSON, map[string]string{"schemas.enable": "false"},
					convert.Options{Schemas: registry})
			}
			return key, value, err
		}, NewOutput: func(string) (Output, error) {
			p, err := kafka.NewProducer(k, "")
			if err != nil {
				return nil, err
			}
			return kafka.NewOutput(p, writer), nil
		}, EnsureTopic: func(ctx context.Context, topic string) error {
			_, err := admin.EnsureTopics(ctx, kafka.Topic{Name: topic})
			return err
		}}})
	return task, task.Run(ctx)
}

// client returns a client of the service, and the settings of the plugin.
func (w workplace) client() (*transport.Client, []wit.Setting, error) {
	host, port, _ := net.SplitHostPort(w.Service)
	number, _ := strconv.Atoi(port)
	settings := []wit.Setting{
		{Name: "sap.odata.host.protocol", Value: "http"},
		{Name: "sap.odata.host.address", Value: host},
		{Name: "sap.odata.host.port", Value: port},
	}
	for _, s := range w.Settings {
		name, value, _ := strings.Cut(s, "=")
		if !strings.HasPrefix(name, "sap.odata.") {
			name = "sap.odata#00." + name
		}
		settings = append(settings, wit.Setting{Name: name, Value: value})
	}
	times := 20
	client, err := transport.New(transport.Config{
		Service: transport.Service{Scheme: "http", Address: host, Port: number},
		Retry:   transport.Retry{Max: &times, MinBackoff: time.Millisecond, MaxBackoff: time.Millisecond},
	})
	return client, settings, err
}

// class is the short name of the source's class.
const class = "ODataSource"

func (st *stack) run(t *testing.T) *Task {
	t.Helper()
	task, err := st.place.runTask(t.Context())
	require.NoError(t, err)
	return task
}

// keys counts the records of a topic by key.
func (st *stack) keys(t *testing.T, topic string) map[string]int {
	t.Helper()
	reader, err := kafka.NewReader(st.kafka)
	require.NoError(t, err)
	defer reader.Close()
	keys := map[string]int{}
	_, err = reader.Read(t.Context(), topic, kafka.ReadOptions{}, func(r *kgo.Record) error {
		assert.True(t, json.Valid(r.Value), "expected a JSON document, found %.80s", r.Value)
		keys[string(r.Key)]++
		return nil
	})
	require.NoError(t, err)
	return keys
}

// entitySetSettings returns the settings for reading an entity set into the topic t, and more settings.
func entitySetSettings(set string, more ...string) []string {
	return append([]string{"service=" + strings.TrimSuffix(northwind.NorthwindPath, "/"), "entityset=" + set,
		"topic=t"}, more...)
}

// An entity that is missing without a delete notification is read twice, also if the plugin's instance that read it
// first was closed in between.
func TestDeletedEntitiesAreReadTwice(t *testing.T) {
	x := newStack(t, northwind.Options{Rows: 30, Subscriptions: true},
		append(entitySetSettings("Products", "exec-period=-1", "subscription.enable=1",
			"sap.odata.subscription.dest=CULVERT", "sap.odata.subscription.ports=8301",
			"sap.odata.notification.confirm.seconds=1"), "service="+northwind.SAPPath)...)
	x.place.idle = 20 * time.Millisecond
	handlers := make(chan notify.Handler, 1)
	x.place.listen = func(_ string, handle notify.Handler) (string, func(), error) {
		handlers <- handle
		return "/c/Products", func() {}, nil
	}
	ctx, stop := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() {
		_, err := x.place.runTask(ctx)
		result <- err
	}()
	var handle notify.Handler
	select {
	case handle = <-handlers:
	case err := <-result:
		t.Fatal(err)
	}
	countReads := func(id int) (n int) {
		for _, q := range x.service.Ledger().Requests {
			if strings.Contains(q.Path, fmt.Sprintf("/Products(%d)", id)) {
				n++
			}
		}
		return n
	}
	notify := func(id int) {
		t.Helper()
		err := handle(ctx, wit.Notification{Method: "POST", Target: "/c/Products", Body: fmt.Appendf(nil,
			`{"d":{"ID":"%d","collection":"Products","changeType":"updated","__metadata":{"type":"X.Notification",`+
				`"links":{}},"via":{"__deferred":{"uri":"Products(%[1]d)"}}}}`, id)})
		require.NoError(t, err)
		for deadline := time.Now().Add(2 * time.Minute); countReads(id) < 2; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("expected 2 reads of the entity %d, found %d", id, countReads(id))
			}
		}
	}
	notify(1001)
	notify(1002) // a third read of 1001 would precede the second read of 1002
	assert.Equal(t, 2, countReads(1001), "reads of the entity 1001")
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(10 * time.Millisecond) {
		keys := x.keys(t, "t")
		first := keys[`{"ProductID":1001}`]
		second := keys[`{"ProductID":1002}`]
		if second < 2 && time.Now().Before(deadline) {
			continue // the record may still be on its way
		}
		assert.Equal(t, 2, first, "records of 1001")
		assert.Equal(t, 2, second, "records of 1002")
		break
	}
	stop()
	require.NoError(t, <-result)
}

// Pages break off in every way, and the response is different the next time: no row is missing.
func TestPagesThatBreakOffInTransit(t *testing.T) {
	for end, differences := range map[string][]string{
		"reset":    {"", "reorder", "all"},
		"length":   {"reorder"},
		"truncate": {"reorder"},
	} {
		for _, differ := range differences {
			t.Run(end+" "+differ, func(t *testing.T) {
				x := newStack(t, northwind.Options{Rows: 3000, Switches: northwind.Switches{
					PageSize:   1500,
					Differ:     differ,
					Match:      "/Orders",
					Break:      end,
					BreakAfter: 400_000,
					BreakCount: 3,
				}}, entitySetSettings("Orders")...)
				task := x.run(t)
				keys := x.keys(t, "t")
				addedRows := x.service.Ledger().Born
				require.True(t, differ == "all" || len(keys) == 3000, "expected 3000 keys, found %d", len(keys))
				x.service.Each("Orders", func(key string, _ map[string]string) {
					assert.True(t, keys[`{"OrderID":`+strings.Trim(key, "()")+`}`] != 0 ||
						slices.Contains(addedRows, "Orders"+key), "expected a record of %s, found none", key)
				})
				if p := task.Progress(); p.Errors == 0 {
					t.Errorf("expected interrupted pages, found %+v", p)
				} else {
					t.Logf("%+v", p)
				}
			})
		}
	}
}

// A page is never in memory as a whole: the heap, with the records of the test's broker, remains smaller than the page.
func TestOneLongPage(t *testing.T) {
	const rows = 240_000
	// Memory in use is close to the memory needed.
	defer debug.SetGCPercent(debug.SetGCPercent(20))
	// The first run compiles the guest, which needs memory of its own.
	newStack(t, northwind.Options{Rows: 1}, entitySetSettings("Orders")...).run(t)
	x := newStack(t, northwind.Options{Rows: rows}, entitySetSettings("Orders", "page.size=1000000")...)
	var maxBytes atomic.Uint64
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
				maxBytes.Store(max(maxBytes.Load(), m.HeapInuse))
			}
		}
	})
	start := time.Now()
	task := x.run(t)
	elapsed := time.Since(start)
	close(done)
	sampler.Wait()
	p := task.Progress()
	if p.Written != rows || p.Pages != 3 { // two requests for keys show that the page has all rows
		t.Fatalf("expected %d rows in 3 pages, found %+v", rows, p)
	}
	t.Logf("%d bytes, %v, %.0f rows/s, heap at most %d MiB (service and broker included), stages %+v", p.Bytes, elapsed,
		rows/elapsed.Seconds(), maxBytes.Load()>>20, p.Flow.Stages)
	if limit := uint64(128 << 20); maxBytes.Load() > limit || uint64(p.Bytes) <= limit {
		t.Errorf("expected less than %d MiB of heap for a larger page of %d MiB, found %d MiB", limit>>20, p.Bytes>>20,
			maxBytes.Load()>>20)
	}
}

// If a service responds with something other than rows, the task fails with a message that contains the response and
// its URL; no row counts as read.
func TestResponsesWithoutRows(t *testing.T) {
	x := newStack(t, northwind.Options{Rows: 10}, entitySetSettings("Orders")...)
	for _, c := range []struct {
		switches string
		want     []string
	}{
		{switches: "status=401 status-body=html", want: []string{"401"}},
		{
			switches: "status=403 status-body=xml status-code=SY/530 status-message=no_authority",
			want:     []string{"403", "no authority", "SY/530"},
		},
		{switches: "status=404 status-body=empty", want: []string{"404"}},
		{switches: "status=500 status-body=json status-message=short_dump", want: []string{"500", "short dump"}},
		{switches: "logon-page=1000", want: []string{"HTML", "logon"}},
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
			_, err := x.place.runTask(t.Context())
			runtest.Fails(t, err, append(c.want, "feed Orders: ", "GET ")...)
			assert.True(t, len(err.Error()) <= 1500,
				"expected an error of at most 1500 bytes, found %d", len(err.Error()))
		})
	}
	// After a 500 with a document the plugin repeats the request without options. It may have stored that in an offset,
	// but none that covers rows.
	rows, isMidPage := x.coveredRows(t)
	assert.True(t, rows == 0 && !isMidPage, "expected no offset that covers rows, found one of %d rows", rows)
	x.run(t) // without faults, everything arrives
	assert.Equal(t, 10, len(x.keys(t, "t")), "keys")
}

// A next link to another host fails, and the error names the setting that allows it.
func TestNextLinkToAnotherHost(t *testing.T) {
	x := newStack(t, northwind.Options{Rows: 10, Switches: northwind.Switches{PageSize: 4,
		SelfHost: "http://elsewhere.example:8000"}}, entitySetSettings("Orders")...)
	_, err := x.place.runTask(t.Context())
	runtest.Fails(t, err, "elsewhere.example", "sap.odata.link.hosts")
}

func (st *stack) store(t *testing.T) *offset.Store {
	t.Helper()
	s, err := offset.Open(t.Context(), st.kafka, offset.DefaultConfig(), nil, nil)
	require.NoError(t, err)
	return s
}

// coveredRows returns the number of rows before the stored offset, and whether the offset is inside a page.
func (st *stack) coveredRows(t *testing.T) (rows int, isMidPage bool) {
	t.Helper()
	s := st.store(t)
	defer s.Close()
	entries, err := s.All(t.Context(), "c")
	require.NoError(t, err)
	if len(entries) == 0 {
		return 0, false
	}
	p, _, _, err := parsePosition(entries[0].Offset)
	require.NoError(t, err)
	pageStart, _ := wit.Lookup(p.fields, "seen")
	if !p.midPage {
		return int(*pageStart.Integer), false
	}
	return int(*pageStart.Integer) + int(p.row) + 1, true
}

// VersionsOf returns the versions of a binding for a task.
func VersionsOf(b *plugin.Binding) Versions { return BoundVersions(b, nil) }

// StoredIn returns a connector's offsets in a worker's store.
func StoredIn(s *offset.Store, connector string) func(context.Context, []wit.OffsetEntry) ([]wit.OffsetEntry, error) {
	return func(ctx context.Context, partition []wit.OffsetEntry) ([]wit.OffsetEntry, error) {
		fields, _, err := s.Get(ctx, connector, partition)
		return fields, err
	}
}
