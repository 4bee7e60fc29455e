package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// The sink writes orders of ten fields from a topic to a service, a new one for each run, through a proxy that delays
// some responses.
const (
	copiesTopic = "copies"
	slowCity    = "Slowtown"
	refusedCity = "Nowhere"
	// slowEvery is the number of requests of which one has an order that the proxy delays. A case with fewer requests
	// has one such order.
	slowEvery = 1000
	slowDelay = 2 * time.Second
	// slowSuffix is the end of the names of cases with delayed orders.
	slowSuffix = ", a slow key in 1,000"
)

type sinkCase struct {
	name           string
	rows           int
	batch          int  // rows of a request
	hasSlow        bool // some orders are delayed
	withoutJournal bool // inserts may be repeated, so that nothing is stored before them
	refusedEvery   int  // the service refuses one of so many orders; zero means none
	refusesBatches bool // a refused order refuses its whole batch
	isUpsert       bool // orders are upserted, and all of them are new
}

func (b *bench) fillTopic(ctx context.Context, broker string, c sinkCase) error {
	return produceAll(ctx, broker, topicName(c), c.rows, func(n int) string {
		city := "Köln"
		every := min(slowEvery*c.batch, c.rows)
		switch {
		case c.hasSlow && n%every == every/2:
			city = slowCity
		case c.refusedEvery > 0 && n%c.refusedEvery == c.refusedEvery/2:
			city = refusedCity
		}
		return fmt.Sprintf(`{"OrderID":%d,"CustomerID":"ALFKI","EmployeeID":%d,"ShipVia":%d,"Freight":"%d.25","ShipName":"Vins et alcools Chevalier","ShipCity":%q,"ShipPostalCode":"%05d","ShipCountry":"Germany","OrderDate":"2024-01-02T03:04:05"}`,
			n+1, n%9+1, n%3+1, n%1000, city, n%100_000)
	})
}

func topicName(c sinkCase) string {
	if c.hasSlow {
		return fmt.Sprintf("%s-%d-slow-%d", copiesTopic, c.rows, c.batch)
	}
	if c.refusedEvery > 0 {
		return fmt.Sprintf("%s-%d-refused-%d", copiesTopic, c.rows, c.refusedEvery)
	}
	return fmt.Sprintf("%s-%d", copiesTopic, c.rows)
}

// startDelayingProxy starts a proxy that forwards requests to a service, and delays requests with a slow order. It
// counts the operations of batches. The caller closes the server.
func startDelayingProxy(service string, operations *atomic.Int64) (server *http.Server, address string, err error) {
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: service})
	proxy.Transport = &http.Transport{MaxIdleConnsPerHost: 64}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		operations.Add(int64(bytes.Count(body, []byte("application/http"))))
		if bytes.Contains(body, []byte(slowCity)) {
			time.Sleep(slowDelay)
		}
		proxy.ServeHTTP(w, r)
	})}
	go func() { _ = server.Serve(listener) }()
	return server, listener.Addr().String(), nil
}

func (b *bench) runSinkCase(ctx context.Context, side candidate, name, broker string, c sinkCase) (u usage, err error) {
	service, err := b.startDemo(ctx, "--rows", "1", "--switch", "refuse="+refusedCity, "--switch",
		"refuse-batch="+strconv.FormatBool(c.refusesBatches))
	if err != nil {
		return u, err
	}
	defer service.stop()
	var operations atomic.Int64
	server, address, err := startDelayingProxy(service.address, &operations)
	if err != nil {
		return u, err
	}
	defer server.Close()
	_, port, _ := net.SplitHostPort(address)
	worker, err := b.writeFile(name+"-worker", "bootstrap.servers="+broker+"\noffset.storage.topic=offsets-"+name+
		"\nkey.converter.schemas.enable=false\nvalue.converter.schemas.enable=false\n")
	if err != nil {
		return u, err
	}
	uncertain := "fail"
	if c.withoutJournal {
		uncertain = "retry"
	}
	mode := "insert"
	if c.isUpsert {
		mode = "upsert"
	}
	connector, err := b.writeFile(name, `name=`+name+`
connector.class=ODataSink
errors.tolerance=all
sap.odata.operation.mode=`+mode+`
sap.odata.upsert.method=put
topics=`+topicName(c)+`
sap.odata.host.address=127.0.0.1
sap.odata.host.port=`+port+`
sap.odata.host.protocol=http
sap.odata.user.name=demo
sap.odata.user.pwd=secret
sap.odata.max.in.flight=8
sap.odata.max.concurrent.requests=8
sap.odata.insert.uncertain=`+uncertain+`
sap.odata.max.batch.size=`+strconv.Itoa(c.batch)+`
sap.odata.flush.trigger.size=`+strconv.Itoa(max(500, 8*c.batch))+`
sap.odata#00.service=/sap/opu/odata/sap/NORTHWIND_SRV
sap.odata#00.entityset=OrderCopies
sap.odata#00.topic=`+topicName(c)+`
`)
	if err != nil {
		return u, err
	}
	u, log, err := b.runWorker(ctx, side, worker, connector)
	if err == nil {
		u.operations = float64(operations.Load())
		u.stages, err = parseStages(log, sinkStages)
	}
	return u, err
}

// sinkStages are the stages in the last log line of a sink task.
var sinkStages = []string{"convert", "transform", "encode", "send", "settle"}

// measureSink measures topic → sandbox → service, and the sandbox alone.
func measureSink(ctx context.Context, b *bench) error {
	broker, err := b.startBroker(ctx, "broker-sink")
	if err != nil {
		return err
	}
	defer broker.stop()
	if err := b.runSinkCases(ctx, broker); err != nil {
		return err
	}
	return encodeBenchmark.run(ctx, b)
}

var encodeBenchmark = benchmark{
	folder: "./plugins/odata-sink",
	name:   "BenchmarkBatchInSandbox",
	about: "A batch of 1,000 orders of ten fields, encoded and settled in the sandbox: processor time a row. " +
		"Aim: 10,000 ns.",
	count: 3,
	units: []string{"ns/row", "encode-ns/row", "settle-ns/row"},
}

// interleaveSinkCases fills the topics of the cases and runs them. prefix begins the names of their files.
func (b *bench) interleaveSinkCases(ctx context.Context, broker *process, prefix string,
	cases []sinkCase) ([]measurement, error) {
	isFilled := map[string]bool{} // by topic
	for _, c := range cases {
		if isFilled[topicName(c)] {
			continue
		}
		isFilled[topicName(c)] = true
		if err := b.fillTopic(ctx, broker.address, c); err != nil {
			return nil, err
		}
	}
	return b.interleave(len(cases), func(round, i int, side candidate) (usage, error) {
		name := fmt.Sprintf("%s%d-%d-%s", prefix, i, round+1, side.data)
		return b.runSinkCase(ctx, side, name, broker.address, cases[i])
	})
}

func (b *bench) runSinkCases(ctx context.Context, broker *process) error {
	few := max(b.rows/10, 1) // for single requests
	many := max(b.rows/2, 1)
	cases := []sinkCase{
		{name: "one row", rows: 1, batch: 1}, // for start and stop
		{name: "a POST each", rows: few, batch: 1},
		{name: "a POST each" + slowSuffix, rows: few, batch: 1, hasSlow: true},
		{name: "a POST each, no note of it", rows: few, batch: 1, withoutJournal: true},
		{name: "batches of 100", rows: many, batch: 100},
		{name: "batches of 100" + slowSuffix, rows: many, batch: 100, hasSlow: true},
		{name: "batches of 100, no note of them", rows: many, batch: 100, withoutJournal: true},
		{name: "batches of 1,000", rows: many, batch: 1000},
		{name: "batches of 1,000" + slowSuffix, rows: many, batch: 1000, hasSlow: true},
	}
	measurements, err := b.interleaveSinkCases(ctx, broker, "k", cases)
	if err != nil {
		return err
	}
	fmt.Printf("sink: orders of ten fields, 8 requests at a time; one order makes one request in %d, or of all where "+
		"they are fewer, %v late where it says so; the workers' CPU and time, start and stop in it; medians of %d "+
		"rounds\n", slowEvery, slowDelay, b.rounds)
	if b.against == "" {
		fmt.Println("rows/s a core is of the worker's CPU beyond that of one row; stages by the clock, side by side")
		fmt.Println("orders                                  rows    s CPU    s elapsed   rows/s   rows/s a core")
		for i, c := range cases {
			wall := median(measurements[i].wall[0])
			fmt.Printf("%-36s  %6d  %7.2f  %11.2f  %7.0f", c.name, c.rows, median(measurements[i].cpu[0]), wall,
				float64(c.rows)/wall)
			if above := median(measurements[i].cpu[0]) - median(measurements[0].cpu[0]); i > 0 && above > 0 {
				fmt.Printf("  %14.0f\n ", float64(c.rows)/above)
				for s, name := range sinkStages {
					fmt.Printf("  %s %.2f s", name, median(measurements[i].stages[s]))
				}
			}
			if plain, ok := strings.CutSuffix(c.name, slowSuffix); ok {
				plainIndex := slices.IndexFunc(cases, func(o sinkCase) bool { return o.name == plain })
				if plainIndex >= 0 {
					fmt.Printf("\n  elapsed beside none slow: %s",
						ratioOf([2][]float64{measurements[i].wall[0], measurements[plainIndex].wall[0]}))
				}
			}
			fmt.Println()
		}
		return nil
	}
	fmt.Printf("ratios are %s to %s: median of the pairs' ratios, the lowest and the highest\n", b.culvert, b.against)
	fmt.Println("orders                                  s CPU   against   ratio (lowest–highest)    s elapsed   " +
		"against   ratio (lowest–highest)")
	for i, c := range cases {
		cpu := measurements[i].cpu
		wall := measurements[i].wall
		fmt.Printf("%-36s  %7.2f  %8.2f   %s", c.name, median(cpu[0]), median(cpu[1]), ratioOf(cpu))
		fmt.Printf("  %11.2f  %8.2f   %s\n", median(wall[0]), median(wall[1]), ratioOf(wall))
	}
	return nil
}

func produceAll(ctx context.Context, broker, topic string, rows int, value func(int) string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.AllowAutoTopicCreation(), kgo.UnknownTopicRetries(-1))
	if err != nil {
		return err
	}
	defer client.Close()
	for n := range rows {
		client.Produce(ctx, &kgo.Record{Topic: topic, Key: fmt.Appendf(nil, `{"OrderID":%d}`, n+1),
			Value: []byte(value(n))}, nil)
	}
	return client.Flush(ctx)
}
