package security

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Every outage is logged once, and its end once, in whatever order late clients report theirs.
func TestOutages(t *testing.T) {
	seed := kgo.BrokerMetadata{NodeID: -1<<31 + 1, Host: "localhost", Port: 9092}
	one, two := kgo.BrokerMetadata{NodeID: 1, Host: "b1", Port: 9092}, kgo.BrokerMetadata{NodeID: 2, Host: "b2",
		Port: 9092}
	refused := errors.New("connection refused")
	type world struct {
		*Outages
		log *slog.Logger
	}
	lost := func(w world, b kgo.BrokerMetadata, elapsed time.Duration) {
		w.recordFailure(w.log, b, elapsed, refused)
	}
	found := func(w world, b kgo.BrokerMetadata) { w.recordResponse(w.log, b) }
	for _, c := range []struct {
		name   string
		events func(world)
		want   string
	}{
		{"many clients, many tries", func(w world) {
			for range 100 {
				lost(w, one, time.Millisecond)
				time.Sleep(100 * time.Millisecond)
			}
			for range 10 {
				found(w, one)
			}
		}, "away b1, back b1"},
		{"first by bootstrap.servers, then by its number", func(w world) {
			lost(w, seed, 0)
			lost(w, one, 0)
			lost(w, seed, 0)
			time.Sleep(time.Minute)
			found(w, one)
			found(w, seed)
		}, "away localhost, back localhost"},
		{"an answer from before the loss that is read after it", func(w world) {
			lost(w, one, 0)
			time.Sleep(time.Second)
			found(w, one)
			lost(w, one, 0)
			time.Sleep(time.Minute)
			found(w, one)
		}, "away b1, back b1"},
		{"a try from before the return that fails after it", func(w world) {
			lost(w, one, 0)
			time.Sleep(10 * time.Second)
			found(w, one)
			lost(w, one, 10*time.Second)
			time.Sleep(4 * time.Second)
			lost(w, one, 5*time.Second)
			found(w, one)
		}, "away b1, back b1"},
		{"twice", func(w world) {
			for range 2 {
				lost(w, one, 0)
				time.Sleep(10 * time.Second)
				found(w, one)
				time.Sleep(10 * time.Second)
			}
		}, "away b1, back b1, away b1, back b1"},
		{"away again at once", func(w world) {
			lost(w, one, 0)
			time.Sleep(10 * time.Second)
			found(w, one)
			for range 10 { // attempts of a client
				time.Sleep(time.Second)
				lost(w, one, time.Millisecond)
			}
		}, "away b1, back b1, away b1"},
		{"two brokers", func(w world) {
			lost(w, one, 0)
			lost(w, two, 0)
			time.Sleep(10 * time.Second)
			found(w, two)
			time.Sleep(10 * time.Second)
			found(w, two)
			found(w, one)
		}, "away b1, away b2, back b2, back b1"},
		{"one of two answers", func(w world) {
			lost(w, one, 0)
			for range 100 {
				time.Sleep(time.Second)
				found(w, two)
				lost(w, one, 0)
			}
			lost(w, two, 0)
		}, "away b1, away b2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var text bytes.Buffer
				c.events(world{&Outages{}, slog.New(slog.NewTextHandler(&text, nil))})
				var said []string
				for line := range strings.Lines(text.String()) {
					what := "away "
					if strings.Contains(line, "a broker is reachable again") {
						what = "back "
					}
					_, address, _ := strings.Cut(line, " broker=")
					host, _, _ := strings.Cut(address, ":")
					said = append(said, what+host)
				}
				if got := strings.Join(said, ", "); got != c.want {
					t.Errorf("expected %q, found %q:\n%s", c.want, got, text.String())
				}
			})
		})
	}
}

// A cluster is unreachable if no broker that was ever reached answers, and again reachable with the first one.
func TestUnreachableCluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, refused := slog.New(slog.DiscardHandler), errors.New("connection refused")
		one, two := kgo.BrokerMetadata{NodeID: 1}, kgo.BrokerMetadata{NodeID: 2}
		var o Outages
		o.recordConnect(kgo.BrokerMetadata{NodeID: -1}) // a seed, with which each client begins
		o.recordConnect(one)
		o.recordConnect(two)
		time.Sleep(time.Minute)
		o.recordFailure(log, one, 0, refused)
		if since := o.Unreachable(); !since.IsZero() {
			t.Errorf("expected that the other broker counts, found unreachable since %v", since)
		}
		time.Sleep(time.Second)
		o.recordFailure(log, two, 0, refused)
		if since := o.Unreachable(); !since.Equal(time.Now()) {
			t.Errorf("expected unreachable since the outage of the last broker, found %v", since)
		}
		time.Sleep(time.Minute)
		o.recordResponse(log, one)
		if since := o.Unreachable(); !since.IsZero() {
			t.Errorf("expected reachable, found unreachable since %v", since)
		}
		var fewer Outages // two was removed from the cluster
		for _, isRemoved := range []bool{false, true} {
			fewer.recordConnect(one)
			fewer.recordConnect(two)
			time.Sleep(time.Minute)
			fewer.recordFailure(log, one, 0, refused)
			began := time.Now()
			if since := fewer.Unreachable(); !since.IsZero() {
				t.Errorf("expected that the other broker counts at first, found unreachable since %v", since)
			}
			time.Sleep(time.Second)
			if !isRemoved {
				fewer.recordResponse(log, two)
			}
			time.Sleep(time.Minute)
			if since := fewer.Unreachable(); since.Equal(began) != isRemoved || since.IsZero() == isRemoved {
				t.Errorf("removed %v: found unreachable since %v", isRemoved, since)
			}
			fewer.recordResponse(log, one)
		}
		var unknown Outages
		unknown.recordFailure(log, kgo.BrokerMetadata{NodeID: -5}, 0, refused)
		if unknown.Unreachable().IsZero() {
			t.Error("expected that bootstrap.servers without an answer are unreachable")
		}
	})
}
