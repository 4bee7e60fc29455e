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

	"github.com/culvert-project/culvert/internal/base/assert"
)

var (
	seedBroker = kgo.BrokerMetadata{NodeID: -1<<31 + 1, Host: "localhost", Port: 9092}
	brokerOne  = kgo.BrokerMetadata{NodeID: 1, Host: "b1", Port: 9092}
	brokerTwo  = kgo.BrokerMetadata{NodeID: 2, Host: "b2", Port: 9092}
)

// outageWorld records failures and responses of brokers.
type outageWorld struct {
	*Outages
	log *slog.Logger
}

// lose records a request that failed after elapsed.
func (w outageWorld) lose(b kgo.BrokerMetadata, elapsed time.Duration) {
	w.recordFailure(w.log, b, elapsed, errors.New("connection refused"))
}

// reach records a response of the broker.
func (w outageWorld) reach(b kgo.BrokerMetadata) { w.recordResponse(w.log, b) }

// outageCase is a sequence of failures and responses.
type outageCase struct {
	name   string
	events func(outageWorld)
	want   string // expected in the log, see loggedOutages
}

// An outage is logged once, and its end once, in whatever order late clients report theirs.
func TestOutageIsLoggedOnce(t *testing.T) {
	checkOutages(t, []outageCase{
		{name: "many clients, many tries", events: func(w outageWorld) {
			for range 100 {
				w.lose(brokerOne, time.Millisecond)
				time.Sleep(100 * time.Millisecond)
			}
			for range 10 {
				w.reach(brokerOne)
			}
		}, want: "away b1, back b1"},
		{name: "first by bootstrap.servers, then by its number", events: func(w outageWorld) {
			w.lose(seedBroker, 0)
			w.lose(brokerOne, 0)
			w.lose(seedBroker, 0)
			time.Sleep(time.Minute)
			w.reach(brokerOne)
			w.reach(seedBroker)
		}, want: "away localhost, back localhost"},
		{name: "an answer from before the loss that is read after it", events: func(w outageWorld) {
			w.lose(brokerOne, 0)
			time.Sleep(time.Second)
			w.reach(brokerOne)
			w.lose(brokerOne, 0)
			time.Sleep(time.Minute)
			w.reach(brokerOne)
		}, want: "away b1, back b1"},
		{name: "a try from before the return that fails after it", events: func(w outageWorld) {
			w.lose(brokerOne, 0)
			time.Sleep(10 * time.Second)
			w.reach(brokerOne)
			w.lose(brokerOne, 10*time.Second)
			time.Sleep(4 * time.Second)
			w.lose(brokerOne, 5*time.Second)
			w.reach(brokerOne)
		}, want: "away b1, back b1"},
	})
}

// Each outage of each broker is logged.
func TestEachOutageIsLogged(t *testing.T) {
	checkOutages(t, []outageCase{
		{name: "twice", events: func(w outageWorld) {
			for range 2 {
				w.lose(brokerOne, 0)
				time.Sleep(10 * time.Second)
				w.reach(brokerOne)
				time.Sleep(10 * time.Second)
			}
		}, want: "away b1, back b1, away b1, back b1"},
		{name: "away again at once", events: func(w outageWorld) {
			w.lose(brokerOne, 0)
			time.Sleep(10 * time.Second)
			w.reach(brokerOne)
			for range 10 { // attempts of a client
				time.Sleep(time.Second)
				w.lose(brokerOne, time.Millisecond)
			}
		}, want: "away b1, back b1, away b1"},
		{name: "two brokers", events: func(w outageWorld) {
			w.lose(brokerOne, 0)
			w.lose(brokerTwo, 0)
			time.Sleep(10 * time.Second)
			w.reach(brokerTwo)
			time.Sleep(10 * time.Second)
			w.reach(brokerTwo)
			w.reach(brokerOne)
		}, want: "away b1, away b2, back b2, back b1"},
		{name: "one of two answers", events: func(w outageWorld) {
			w.lose(brokerOne, 0)
			for range 100 {
				time.Sleep(time.Second)
				w.reach(brokerTwo)
				w.lose(brokerOne, 0)
			}
			w.lose(brokerTwo, 0)
		}, want: "away b1, away b2"},
	})
}

func checkOutages(t *testing.T, cases []outageCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var text bytes.Buffer
				c.events(outageWorld{&Outages{}, slog.New(slog.NewTextHandler(&text, nil))})
				got := loggedOutages(text.String())
				assert.True(t, got == c.want, "expected %q, found %q:\n%s", c.want, got, text.String())
			})
		})
	}
}

// loggedOutages returns what each line of a log reports, and of which host.
func loggedOutages(log string) string {
	var reports []string
	for line := range strings.Lines(log) {
		report := "away "
		if strings.Contains(line, "a broker is reachable again") {
			report = "back "
		}
		_, address, _ := strings.Cut(line, " broker=")
		host, _, _ := strings.Cut(address, ":")
		reports = append(reports, report+host)
	}
	return strings.Join(reports, ", ")
}

// A cluster is unreachable if no broker that was ever reached answers, and again reachable with the first one.
func TestUnreachableCluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := slog.New(slog.DiscardHandler)
		errRefused := errors.New("connection refused")
		firstBroker := kgo.BrokerMetadata{NodeID: 1}
		secondBroker := kgo.BrokerMetadata{NodeID: 2}
		var o Outages
		o.recordConnect(kgo.BrokerMetadata{NodeID: -1}) // a seed, with which each client begins
		o.recordConnect(firstBroker)
		o.recordConnect(secondBroker)
		time.Sleep(time.Minute)
		o.recordFailure(log, firstBroker, 0, errRefused)
		since := o.Unreachable()
		assert.True(t, since.IsZero(), "expected that the other broker counts, found unreachable since %v", since)
		time.Sleep(time.Second)
		o.recordFailure(log, secondBroker, 0, errRefused)
		if since := o.Unreachable(); !since.Equal(time.Now()) {
			t.Errorf("expected unreachable since the outage of the last broker, found %v", since)
		}
		time.Sleep(time.Minute)
		o.recordResponse(log, firstBroker)
		since = o.Unreachable()
		assert.True(t, since.IsZero(), "expected reachable, found unreachable since %v", since)
		var shrinking Outages // of a cluster from which the second broker is removed
		for _, isRemoved := range []bool{false, true} {
			shrinking.recordConnect(firstBroker)
			shrinking.recordConnect(secondBroker)
			time.Sleep(time.Minute)
			shrinking.recordFailure(log, firstBroker, 0, errRefused)
			began := time.Now()
			if since := shrinking.Unreachable(); !since.IsZero() {
				t.Errorf("expected that the other broker counts at first, found unreachable since %v", since)
			}
			time.Sleep(time.Second)
			if !isRemoved {
				shrinking.recordResponse(log, secondBroker)
			}
			time.Sleep(time.Minute)
			if since := shrinking.Unreachable(); since.Equal(began) != isRemoved || since.IsZero() == isRemoved {
				t.Errorf("second broker removed: %v, expected unreachable: %v, found unreachable since %v", isRemoved,
					isRemoved, since)
			}
			shrinking.recordResponse(log, firstBroker)
		}
		var unknown Outages
		unknown.recordFailure(log, kgo.BrokerMetadata{NodeID: -5}, 0, errRefused)
		assert.True(t, !unknown.Unreachable().IsZero(),
			"expected that bootstrap.servers without an answer are unreachable")
	})
}
