package source

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	northwind "github.com/culvert-project/culvert/examples/demo-service/service"
	"github.com/culvert-project/culvert/host/convert"
	"github.com/culvert-project/culvert/host/kafka"
	"github.com/culvert-project/culvert/host/offset"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/host/plugin/guesttest"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/host/transport"
	"github.com/culvert-project/culvert/wit"
)

// stack is the real thing but for the worker around it: guest, HTTP, converters, broker, offsets.
type stack struct {
	service *northwind.Service
	server  *httptest.Server
	kafka   kafka.Config
	offsets *offset.Store
	manager *plugin.Manager
	client  *transport.Client
	options Options
}

// cacheDir is shared by the tests of a process: the guest is compiled once.
var cacheDir = sync.OnceValue(func() string {
	dir, err := os.MkdirTemp("", "culvert-source-test")
	if err != nil {
		panic(err)
	}
	return dir
})

func TestMain(m *testing.M) {
	code := m.Run()
	_ = os.RemoveAll(cacheDir())
	os.Exit(code)
}

func newStack(t *testing.T, o northwind.Options, settings ...string) *stack {
	t.Helper()
	x := &stack{service: northwind.New(o)}
	x.server = httptest.NewServer(x.service)
	t.Cleanup(x.server.Close)
	registry := record.NewRegistry()
	var err error
	path := guesttest.Build(t, "../../plugins/odata-source")
	x.manager, err = plugin.New(t.Context(), plugin.Options{Folders: []string{filepath.Dir(path)}, Registry: registry, CacheDir: cacheDir(),
		Logger: slog.New(slog.DiscardHandler)})
	ok(t, err)
	t.Cleanup(func() { x.manager.Close() })
	broker, err := kafka.OpenBroker(kafka.BrokerOptions{Dir: t.TempDir(), Listen: "127.0.0.1:0"})
	ok(t, err)
	t.Cleanup(func() { broker.Close() })
	x.kafka = kafka.Defaults()
	x.kafka.Bootstrap = []string{broker.Addr()}
	config := offset.Defaults()
	config.FlushInterval = 20 * time.Millisecond
	x.offsets, err = offset.Open(t.Context(), x.kafka, config, nil)
	ok(t, err)
	t.Cleanup(x.offsets.Close)
	host, port, _ := net.SplitHostPort(strings.TrimPrefix(x.server.URL, "http://"))
	number, _ := strconv.Atoi(port)
	times := 20
	x.client, err = transport.New(transport.Config{Scheme: "http", Address: host, Port: number,
		Retry: transport.Retry{Max: &times, MinBackoff: time.Millisecond, MaxBackoff: time.Millisecond}})
	ok(t, err)
	t.Cleanup(x.client.Close)
	list := []wit.Setting{{Name: "sap.odata.host.protocol", Value: "http"}, {Name: "sap.odata.host.address", Value: host}, {Name: "sap.odata.host.port", Value: port}}
	for _, s := range settings {
		name, value, _ := strings.Cut(s, "=")
		list = append(list, wit.Setting{Name: "sap.odata#00." + name, Value: value})
	}
	x.options = Options{Connector: "c", Settings: list, Client: x.client, Registry: registry, Once: true, Logger: slog.New(slog.DiscardHandler),
		NewConverters: func() (key, value convert.Converter, err error) {
			if key, err = convert.New(convert.ClassJSON, map[string]string{"schemas.enable": "false"}, true, registry); err == nil {
				value, err = convert.New(convert.ClassJSON, map[string]string{"schemas.enable": "false"}, false, registry)
			}
			return key, value, err
		},
		NewProducer: func(string) (Producer, error) {
			p, err := kafka.NewProducer(x.kafka, "")
			if err != nil {
				return nil, err
			}
			return ProducerOf(p), nil
		}}
	admin, err := kafka.NewAdmin(x.kafka)
	ok(t, err)
	t.Cleanup(admin.Close)
	x.options.EnsureTopic = func(ctx context.Context, topic string) error {
		_, err := admin.EnsureTopics(ctx, kafka.Topic{Name: topic})
		return err
	}
	return x
}

// ODataSource is the class under its short name.
const class = "ODataSource"

func (x *stack) run(t *testing.T) *Task {
	t.Helper()
	binding, err := x.manager.Bind("c", wit.ComponentSource, class, "")
	ok(t, err)
	defer binding.Close()
	writer := x.offsets.Writer("c")
	o := x.options
	o.Component, o.Versions, o.Offsets = binding.Component().Name, VersionsOf(binding), OffsetsOf(x.offsets, "c", writer)
	task := NewTask(o)
	ok(t, task.Run(t.Context()))
	ok(t, writer.Close(t.Context()))
	return task
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// keys counts the records of a topic by key.
func (x *stack) keys(t *testing.T, topic string) map[string]int {
	t.Helper()
	reader, err := kafka.NewReader(x.kafka)
	ok(t, err)
	defer reader.Close()
	keys := map[string]int{}
	_, err = reader.Read(t.Context(), topic, kafka.ReadOptions{}, func(r *kgo.Record) error {
		if !json.Valid(r.Value) {
			t.Errorf("no document: %.80s", r.Value)
		}
		keys[string(r.Key)]++
		return nil
	})
	ok(t, err)
	return keys
}

func sets(set string, more ...string) []string {
	return append([]string{"service=" + strings.TrimSuffix(northwind.NorthwindPath, "/"), "entityset=" + set, "topic=t"}, more...)
}

func TestEverythingArrives(t *testing.T) {
	for _, format := range []string{"json", "atom"} {
		t.Run(format, func(t *testing.T) {
			x := newStack(t, northwind.Options{Rows: 1000, Switches: northwind.Switches{PageSize: 300}}, sets("Orders", "format="+format)...)
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

// Pages that break off in every way, and answer otherwise the next time: nothing is missing.
func TestPagesThatBreakOffOnTheWire(t *testing.T) {
	for _, how := range []string{"reset", "length", "truncate"} {
		for _, differ := range []string{"", "reorder"} {
			t.Run(how+" "+differ, func(t *testing.T) {
				x := newStack(t, northwind.Options{Rows: 3000, Switches: northwind.Switches{PageSize: 1500, Differ: differ,
					Match: "/Orders", Break: how, BreakAfter: 400_000, BreakCount: 3}}, sets("Orders")...)
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
	if p.Written != rows || p.Pages != 1 {
		t.Fatalf("%+v", p)
	}
	t.Logf("%d bytes, %v, %.0f rows/s, heap at most %d MiB (service and broker included)", p.Bytes, took, rows/took.Seconds(), most.Load()>>20)
	if limit := uint64(100 << 20); most.Load() > limit {
		t.Errorf("expected less than %d MiB of heap for a page of %d MiB, found %d", limit>>20, p.Bytes>>20, most.Load()>>20)
	}
}
