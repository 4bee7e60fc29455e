package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// refusal is a way in which every record becomes a dead letter.
type refusal struct {
	name string
	// key and value are those of record n of a sink; nil: rows of a source.
	value func(n int) string
	lines string // of the connector
}

var refusals = []refusal{
	{"sink, value converter", func(n int) string { return fmt.Sprintf("no JSON %d", n) }, ""},
	{"sink, plugin", func(n int) string { return fmt.Sprintf(`{"OrderID":"x%d","ShipCity":"Köln"}`, n) }, ""},
	{"source, transform", nil, "transforms=c\ntransforms.c.type=org.apache.kafka.connect.transforms.Cast$Value\n" +
		"transforms.c.spec=ShipName:int16\n"},
}

// letters is how fast dead letters go, without a start and a stop with one record.
func letters(ctx context.Context, b *bench) error {
	rows := max(b.rows/4, 1)
	fmt.Println("letters/s a core is of the worker's CPU beyond that of one record; every record is refused; medians " +
		"of the rounds")
	fmt.Println("refused by               letters    s CPU    s elapsed   letters/s   letters/s a core")
	for i, r := range refusals {
		cpu, wall := [2][]float64{}, [2][]float64{}
		for round := -1; round < b.rounds; round++ {
			for n, count := range []int{1, rows} {
				u, err := b.refused(ctx, fmt.Sprintf("l%d-%d-%d", i, round+1, count), r, count)
				if err != nil {
					return fmt.Errorf("%s: %w", r.name, err)
				}
				if round >= 0 { // the first one fills the compile caches
					cpu[n], wall[n] = append(cpu[n], u.cpu.Seconds()), append(wall[n], u.wall.Seconds())
				}
			}
		}
		beyond := func(of [2][]float64) float64 { return max(median(of[1])-median(of[0]), 0.001) }
		fmt.Printf("%-23s  %7d  %7.2f  %11.2f  %10.0f  %17.0f\n", r.name, rows, median(cpu[1]), median(wall[1]),
			float64(rows)/beyond(wall), float64(rows)/beyond(cpu))
	}
	return nil
}

// refused runs a worker until so many letters are written.
func (b *bench) refused(ctx context.Context, name string, r refusal, rows int) (u used, err error) {
	broker, err := b.broker(ctx, "broker-"+name)
	if err != nil {
		return u, err
	}
	defer broker.stop()
	service, err := b.demo(ctx, "--rows", fmt.Sprint(rows))
	if err != nil {
		return u, err
	}
	defer service.stop()
	worker, connector, err := b.configuration(name, broker.address, service.port(), set{"Orders", "json", 0})
	if err != nil {
		return u, err
	}
	text, err := os.ReadFile(connector)
	if err != nil {
		return u, err
	}
	lines := string(text) + r.lines + "errors.tolerance=all\nerrors.deadletterqueue.topic.name=refused-" + name +
		"\nerrors.deadletterqueue.context.headers.enable=true\n"
	if r.value != nil {
		lines = strings.NewReplacer("source.OData2SourceConnector", "sink.OData2SinkConnector",
			"sap.odata#00.format=json\n", "", "sap.odata.page.size=2000000\n", "", "entityset=Orders",
			"entityset=OrderCopies", "/V2/Northwind/Northwind.svc", "/sap/opu/odata/sap/NORTHWIND_SRV").Replace(lines) +
			"topics=" + name + "\n"
		if err := produceAll(ctx, broker.address, name, rows, r.value); err != nil {
			return u, err
		}
	}
	if err := os.WriteFile(connector, []byte(lines), 0o644); err != nil {
		return u, err
	}
	u, _, err = b.worker(ctx, b.culvert, "letters", worker, connector)
	return u, err
}

// produceAll writes so many records to a topic.
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
