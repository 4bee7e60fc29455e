package operate

import (
	"context"
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/e2etest"
)

func TestTunnel(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	double, lines := behind(t, p)
	c := p.Start("tunnel", "-p", p.File("worker.properties", lines...), "--listen", "127.0.0.1:0")
	c.Eventually("a listener for the broker", func() bool { return strings.Count(c.Stdout.String(), "\n") == 2 })
	announced := regexp.MustCompile(
		`^(127\.0\.0\.1:\d+) bootstrap 127\.0\.0\.1:\d+\n(127\.0\.0\.1:\d+) broker 0 127\.0\.0\.1:\d+\n$`).FindStringSubmatch(c.Stdout.String())
	if announced == nil {
		t.Fatalf("stdout:\n%s", c.Stdout.String())
	}
	ctx, cancel := context.WithTimeout(context.Background(), e2etest.ComesAbout)
	defer cancel()
	client := e2etest.Client(t, announced[1], kgo.DefaultProduceTopic("rows"),
		kgo.ConsumeTopics("rows"),
		kgo.ConsumerGroup("g"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.Dialer(func(ctx context.Context, network, address string) (net.Conn, error) {
			if address != announced[1] && address != announced[2] {
				t.Errorf("the client was sent to %s", address)
			}
			return (&net.Dialer{}).DialContext(ctx, network, address)
		}))
	const count = 1000
	for i := range count {
		client.Produce(ctx, kgo.StringRecord(fmt.Sprint(i)), nil)
	}
	e2etest.NoError(t, client.Flush(ctx))
	seen := map[string]bool{}
	for len(seen) < count {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("read %d of %d\n%s", len(seen), count, c.Stderr.String())
		}
		fetches.EachRecord(func(r *kgo.Record) { seen[string(r.Value)] = true })
	}
	if double.Tunnels() == 0 {
		t.Error("nothing went through the proxy")
	}
	c.MustStop()
}
