package sink

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/culvert-project/culvert/host/convert"
	"github.com/culvert-project/culvert/host/internal/base/require"
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

// stack is the real thing but for the worker around it: broker, converters, guest, HTTP, service.
type stack struct {
	service *northwind.Service
	kafka   kafka.Config
	options Options
	manager *plugin.Manager
	admin   *kafka.Admin
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
	x.admin, err = kafka.NewAdmin(x.kafka)
	require.NoError(t, err)
	t.Cleanup(x.admin.Close)
	_, err = x.admin.EnsureTopics(t.Context(), kafka.Topic{Name: "orders", Partitions: 4})
	require.NoError(t, err)
	registry := record.NewRegistry()
	quiet := slog.New(slog.DiscardHandler)
	x.manager, err = plugin.New(t.Context(),
		plugin.Options{Folders: []string{filepath.Dir(guesttest.Build(t, "../../../../plugins/odata-sink"))},
			Registry: registry, CacheDir: guesttest.Code(t), Logger: quiet})
	require.NoError(t, err)
	t.Cleanup(func() { x.manager.Close() })
	host, port, _ := net.SplitHostPort(strings.TrimPrefix(server.URL, "http://"))
	number, _ := strconv.Atoi(port)
	times := 3
	client, err := transport.New(transport.Config{Scheme: "http", Address: host, Port: number,
		Retry: transport.Retry{Max: &times, MinBackoff: time.Millisecond, MaxBackoff: time.Millisecond}})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	list := []wit.Setting{{Name: "sap.odata.host.protocol", Value: "http"}, {Name: "sap.odata.host.address",
		Value: host}, {Name: "sap.odata.host.port", Value: port},
		{Name: "sap.odata#00.service", Value: strings.TrimSuffix(northwind.SAPPath, "/")},
		{Name: "sap.odata#00.entityset", Value: "OrderCopies"},
		{Name: "sap.odata#00.topic", Value: "orders"}, {Name: "topics", Value: "orders"},
		{Name: "sap.odata.enable.batch", Value: "0"}}
	for _, s := range settings {
		name, value, _ := strings.Cut(s, "=")
		list = append(list, wit.Setting{Name: name, Value: value})
	}
	x.options = Options{Connector: "c", Settings: list, Client: client, Registry: registry, Once: true,
		Every: 50 * time.Millisecond, InFlight: 8, Logger: quiet,
		NewConverters: func() (key, value convert.Converter, err error) {
			if key, err = convert.New(convert.ClassJSON, nil, convert.Use{Key: true, Schemas: registry}); err == nil {
				value, err = convert.New(convert.ClassJSON, nil, convert.Use{Schemas: registry})
			}
			return key, value, err
		},
		NewConsumer: func(topics []string, r kafka.Rebalances) (Consumer, error) {
			return kafka.NewConsumer(x.kafka, kafka.ConsumerOptions{Group: "connect-c", Topics: topics,
				Rebalances: r})
		},
		CaughtUp: x.caughtUp}
	return x
}

func (x *stack) caughtUp(ctx context.Context) (bool, error) {
	ends, err := x.admin.EndOffsets(ctx, false, "orders")
	if err != nil {
		return false, err
	}
	committed, err := x.admin.Committed(ctx, "connect-c")
	for partition, end := range ends["orders"] {
		if committed["orders"][partition] < end {
			return false, err
		}
	}
	return true, err
}

func (x *stack) committed(ctx context.Context) int64 {
	committed, err := x.admin.Committed(ctx, "connect-c")
	if err != nil {
		return -1
	}
	return committed["orders"][0]
}

// put writes orders with these numbers to the topic's first partitions; a negative one is a tombstone.
func (x *stack) put(t *testing.T, partitions int, numbers ...int) {
	t.Helper()
	p, err := kafka.NewProducer(x.kafka, "")
	require.NoError(t, err)
	b := p.NewBatch()
	const id = `{"type":"struct","optional":false,"fields":[{"field":"OrderID","type":"int32","optional":false}`
	for _, n := range numbers {
		r := b.Add()
		r.Topic, r.Partition = "orders", int32(max(n, -n)%partitions)
		r.Key = fmt.Appendf(nil, `{"schema":%s]},"payload":{"OrderID":%d}}`, id, max(n, -n))
		if n > 0 {
			r.Value = fmt.Appendf(nil,
				`{"schema":%s,{"field":"ShipCity","type":"string","optional":true}]},"payload":{"OrderID":%d,"ShipCity":"Köln"}}`, id, n)
		}
	}
	p.Produce(t.Context(), b, nil)
	require.NoError(t, p.Close(t.Context()))
}

func (x *stack) run(t *testing.T) (*Task, error) {
	t.Helper()
	binding, err := x.manager.Bind("c", wit.ComponentSink, "ODataSink", "")
	require.NoError(t, err)
	defer binding.Close()
	o := x.options
	o.Component, o.Versions = binding.Component().Name, VersionsOf(binding)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	task := NewTask(o)
	err = task.Run(ctx)
	if ctx.Err() != nil {
		t.Fatalf("not caught up: %+v, %d committed", task.Progress(), x.committed(t.Context()))
	}
	return task, err
}

func (x *stack) orders() map[string]string {
	all := map[string]string{}
	x.service.Each("OrderCopies", func(key string, fields map[string]string) { all[key] = fields["ShipCity"] })
	return all
}

func numbers(from, to int) (out []int) {
	for n := from; n <= to; n++ {
		out = append(out, n)
	}
	return out
}

func TestWritesAndDeletes(t *testing.T) {
	x := newStack(t, northwind.Options{Switches: northwind.Switches{CSRF: true, RotateSession: "both"}},
		"sap.odata.enable.delete=1")
	x.put(t, 1, numbers(1, 300)...)
	x.put(t, 1, -7, -8, 7)
	task, err := x.run(t)
	require.NoError(t, err)
	orders := x.orders()
	if _, deleted := orders["(8)"]; len(orders) != 299 || orders["(7)"] != "Köln" || deleted {
		t.Errorf("%d orders", len(orders))
	}
	if p := task.Progress(); p.Written != 303 || x.committed(t.Context()) != 303 {
		t.Errorf("%+v, %d committed", p, x.committed(t.Context()))
	}
	if l := x.service.Ledger(); l.SessionsOpened > 4 || // as many as requests at a time
		l.TokenRefusals > 0 {
		t.Errorf("%d sessions, %d tokens refused", l.SessionsOpened, l.TokenRefusals)
	}
}

// P19: an order whose answer is lost was made once, is named, and is not made again.
func TestLostAnswer(t *testing.T) {
	x := newStack(t, northwind.Options{Switches: northwind.Switches{LoseAnswer: 1}})
	x.options.TolerateAll = true
	x.put(t, 1, 42)
	_, err := x.run(t)
	runtest.Fails(t, err, "topic orders, partition 0, offset 0, key", `OrderID\":42`, "not sent again",
		"may have arrived")
	if w := x.service.Ledger().Writes["OrderCopies(42)"]; w.Created != 1 || x.committed(t.Context()) > 0 {
		t.Errorf("%+v, %d committed", w, x.committed(t.Context()))
	}
}

func TestServiceRefusesARow(t *testing.T) {
	x := newStack(t, northwind.Options{})
	x.put(t, 1, 1, 2, 2, 3)
	_, err := x.run(t)
	runtest.Fails(t, err, "topic orders, partition 0, offset 2, key", `OrderID\":2`)
	x.options.TolerateAll = true
	task, err := x.run(t)
	require.NoError(t, err)
	if p := task.Progress(); p.Skipped == 0 || len(x.orders()) != 3 {
		t.Errorf("%+v, %d orders", p, len(x.orders()))
	}
}

// A second task joins while the first one writes: partitions move, every order is made, and none twice.
func TestPartitionsMove(t *testing.T) {
	const orders = 1200
	x := newStack(t, northwind.Options{Switches: northwind.Switches{SlowFirstByte: 2 * time.Millisecond}})
	x.put(t, 4, numbers(1, orders-200)...)
	x.options.Rows, x.options.Once = 50, false
	binding, err := x.manager.Bind("c", wit.ComponentSink, "ODataSink", "")
	require.NoError(t, err)
	defer binding.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	var tasks [2]*Task
	var faults [2]error
	var running sync.WaitGroup
	joined := make(chan struct{}, 1) // the second task has partitions
	start := func(n int) {
		o := x.options
		o.NewConsumer = func(topics []string, r kafka.Rebalances) (Consumer, error) {
			assigned := r.Assigned
			r.Assigned = func(partitions map[string][]int32) {
				assigned(partitions)
				if n == 1 && len(partitions) > 0 {
					select {
					case joined <- struct{}{}:
					default:
					}
				}
			}
			return x.options.NewConsumer(topics, r)
		}
		o.Task, o.Component, o.Versions = n, binding.Component().Name, VersionsOf(binding)
		tasks[n] = NewTask(o)
		running.Go(func() { faults[n] = tasks[n].Run(ctx) })
	}
	start(0)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for tasks[0].Progress().Written < orders/10 && ctx.Err() == nil {
		<-tick.C
	}
	start(1)
	select {
	case <-joined:
	case <-ctx.Done():
	}
	x.put(t, 4, numbers(orders-199, orders)...)
	for _, task := range tasks {
		task.Finish()
	}
	running.Wait()
	if ctx.Err() != nil || faults[0] != nil || faults[1] != nil {
		t.Fatal(ctx.Err(), faults)
	}
	first, second := tasks[0].Progress().Written, tasks[1].Progress().Written
	if len(x.orders()) != orders || second == 0 {
		t.Errorf("%d orders, %d by the first task, %d by the second", len(x.orders()), first, second)
	}
	for order, w := range x.service.Ledger().Writes {
		if w.Created != 1 {
			t.Errorf("%s was made %d times", order, w.Created)
		}
	}
}
