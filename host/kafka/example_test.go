package kafka_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/kafka"
	"github.com/culvert-project/culvert/host/kafka/embedded"
)

// A batch of records is acknowledged as a whole; a reader ends where the topic ended when it began. The broker is one
// in this process.
func Example() {
	folder, err := os.MkdirTemp("", "broker")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	broker, err := embedded.Open(embedded.Options{Dir: folder, Listen: "127.0.0.1:0"})
	if err != nil {
		log.Fatal(err)
	}
	defer broker.Close()
	config := kafka.Defaults()
	config.Bootstrap = []string{broker.Addr()}
	ctx := context.Background()

	admin, err := kafka.NewAdmin(config)
	if err != nil {
		log.Fatal(err)
	}
	defer admin.Close()
	if _, err := admin.EnsureTopics(ctx, kafka.Topic{Name: "orders"}); err != nil {
		log.Fatal(err)
	}
	producer, err := kafka.NewProducer(config, "example")
	if err != nil {
		log.Fatal(err)
	}
	batch := producer.NewBatch()
	for _, value := range []string{"one", "two"} {
		record := batch.Add()
		record.Topic, record.Value = "orders", []byte(value)
	}
	acknowledged := make(chan error, 1)
	producer.Produce(ctx, batch, func(_ int, err error) { acknowledged <- err })
	if err := <-acknowledged; err != nil {
		log.Fatal(err)
	}
	if err := producer.Close(ctx); err != nil {
		log.Fatal(err)
	}

	reader, err := kafka.NewReader(config)
	if err != nil {
		log.Fatal(err)
	}
	defer reader.Close()
	after, err := reader.Read(ctx, "orders", kafka.ReadOptions{}, func(r *kgo.Record) error {
		fmt.Println(r.Offset, string(r.Value))
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("next:", after[0])
	// Output:
	// 0 one
	// 1 two
	// next: 2
}

// Properties of Kafka's Java clients are taken as they are; what has no effect here is warned of, what is wrong is
// refused as Kafka words it.
func ExampleParse() {
	config, warnings, err := kafka.Parse(context.Background(), map[string]string{
		"bootstrap.servers": "kafka.example:9092", "producer.acks": "all", "producer.send.buffer.bytes": "1000"})
	fmt.Println(config.Bootstrap, err)
	for _, w := range warnings {
		fmt.Println(w)
	}
	_, _, err = kafka.Parse(context.Background(), map[string]string{
		"bootstrap.servers": "kafka.example:9092", "producer.acks": "most"})
	fmt.Println(err)
	// Output:
	// [kafka.example:9092] <nil>
	// producer.send.buffer.bytes: warning: has no effect here
	// producer.acks: Invalid value most for configuration producer.acks: String must be one of: all, -1, 0, 1
}
