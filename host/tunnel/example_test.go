package tunnel_test

import (
	"context"
	"fmt"
	"log"
	"net"

	"github.com/culvert-project/culvert/host/tunnel"
)

// Kafka behind a proxy for any client of the machine: each broker gets a listener of its own, and answers that name
// brokers name the listeners. Who dials decides by which proxy, and with which TLS, a broker is reached.
func ExampleOpen() {
	ctx, end := context.WithCancel(context.Background())
	t, err := tunnel.Open(ctx, tunnel.Options{
		Bootstrap: []string{"kafka.virtual:9092"},
		Dial: func(ctx context.Context, address string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", address)
		},
		Announce: func(line string) { fmt.Println(line) },
	})
	if err != nil {
		log.Fatal(err)
	}
	end()
	t.Wait()
}
