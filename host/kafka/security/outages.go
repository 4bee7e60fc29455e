package security

import (
	"log/slog"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Outages says of one cluster which brokers are away: a line when one cannot be reached, another when it answers again,
// however many clients there are and however often they try. Safe for use by several goroutines.
type Outages struct {
	anyAway    atomic.Bool // any is away: every answer asks
	mu         sync.Mutex
	away       map[int32]*outage // by the broker's number
	last       time.Time         // when one was back
	lastOutage outage            // of the one that was back then
}

// outage is of one broker.
type outage struct {
	address string
	since   time.Time
}

// settleTime is how long what is said of a broker stands: a try that began before the broker was back may fail after
// it, and an answer that was sent before the broker was lost may be read after it, by a client that runs late.
const settleTime = 2 * time.Second

// anyBroker is the number under which the brokers of bootstrap.servers are away, which the client asks while it knows
// no others.
const anyBroker = -1

func addressOf(b kgo.BrokerMetadata) string {
	return net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))
}

// lost notes that a broker cannot be reached, or ends connections while they begin; took is how long the try took.
func (o *Outages) lost(log *slog.Logger, b kgo.BrokerMetadata, elapsed time.Duration, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	number := max(b.NodeID, anyBroker)
	if began := time.Now().Add(-elapsed); began.Before(o.last.Add(settleTime)) {
		return // a later try says so of one that is away again
	}
	if o.away[number] != nil || number == anyBroker && len(o.away) > 0 {
		return
	}
	if o.away == nil {
		o.away = map[int32]*outage{}
	}
	o.anyAway.Store(true)
	// no broker has answered since: that is said, and now has a number
	if anonymous := o.away[anyBroker]; anonymous != nil {
		delete(o.away, anyBroker)
		o.away[number] = anonymous
		return
	}
	o.away[number] = &outage{addressOf(b), time.Now()}
	log.Warn("kafka: a broker is away, and is asked again until it is back", "broker", addressOf(b), "error", err)
}

// found notes that a broker has answered.
func (o *Outages) found(log *slog.Logger, b kgo.BrokerMetadata) {
	if !o.any() {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	for _, number := range []int32{b.NodeID, anyBroker} { // one that answers is enough to start from
		was := o.away[number]
		if was == nil || now.Sub(was.since) < settleTime {
			continue
		}
		delete(o.away, number)
		o.last, o.lastOutage = now, *was
		log.Info("kafka: a broker is back", "broker", was.address, "after", now.Sub(was.since).Round(time.Millisecond))
	}
	o.anyAway.Store(len(o.away) > 0)
}

// any tells whether a broker is away.
func (o *Outages) any() bool { return o.anyAway.Load() }

// Lately tells whether a broker is away, or was a moment ago: what clients have to say of it comes late.
func (o *Outages) Lately() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.away) > 0 || time.Since(o.last) < time.Minute
}

// Since returns the address of a broker that is away, or was at some time since begin, and for how long; "": none was.
func (o *Outages) Since(begin time.Time) (address string, lasted time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	within := func(a outage, until time.Time) {
		if a.since.Before(begin) {
			a.since = begin
		}
		if elapsed := until.Sub(a.since); elapsed > lasted {
			address, lasted = a.address, elapsed
		}
	}
	if o.last.After(begin) {
		within(o.lastOutage, o.last)
	}
	for _, a := range o.away {
		within(*a, time.Now())
	}
	return address, lasted
}
