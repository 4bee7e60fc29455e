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

// Outages logs once when a broker of a cluster becomes unreachable and once when it is back, for all clients. It is
// safe for concurrent use.
type Outages struct {
	ongoing    atomic.Bool // byBroker is not empty; read with every response
	mu         sync.Mutex
	byBroker   map[int32]*outage   // unreachable brokers by node ID
	lastSeen   map[int32]time.Time // when a broker was connected, or responded during an outage, by node ID
	lastEnd    time.Time           // of lastOutage
	lastOutage outage
}

type outage struct {
	address string
	since   time.Time
}

// settleTime is how long a state is kept: failures and responses of slow clients may be older.
const settleTime = 2 * time.Second

// silentTime is how long a broker counts as reachable that has not responded since the outage of another one: clients
// then ask other brokers for metadata, unless these were removed from the cluster.
const silentTime = 30 * time.Second

// anyBroker stands for bootstrap.servers, used while the client knows no brokers.
const anyBroker = -1

func addressOf(b kgo.BrokerMetadata) string {
	return net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))
}

// recordFailure records that a broker cannot be reached; the try took elapsed.
func (o *Outages) recordFailure(log *slog.Logger, b kgo.BrokerMetadata, elapsed time.Duration, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	number := max(b.NodeID, anyBroker)
	if began := time.Now().Add(-elapsed); began.Before(o.lastEnd.Add(settleTime)) {
		return // if it is unreachable again, a later try shows it
	}
	if o.byBroker[number] != nil || (number == anyBroker && len(o.byBroker) > 0) {
		return
	}
	if o.byBroker == nil {
		o.byBroker = map[int32]*outage{}
	}
	o.ongoing.Store(true)
	// The outage of bootstrap.servers was logged; now its broker is known.
	if bootstrap := o.byBroker[anyBroker]; bootstrap != nil {
		delete(o.byBroker, anyBroker)
		o.byBroker[number] = bootstrap
		return
	}
	o.byBroker[number] = &outage{addressOf(b), time.Now()}
	log.Warn("kafka: a broker is unreachable; reconnecting until it is back", "broker", addressOf(b), "error", err)
}

func (o *Outages) recordResponse(log *slog.Logger, b kgo.BrokerMetadata) {
	if !o.hasOutage() {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	o.setSeen(b)
	for _, number := range []int32{b.NodeID, anyBroker} { // one reachable broker ends the outage of bootstrap.servers
		ended := o.byBroker[number]
		if ended == nil || now.Sub(ended.since) < settleTime {
			continue
		}
		delete(o.byBroker, number)
		o.lastEnd = now
		o.lastOutage = *ended
		log.Info("kafka: a broker is reachable again", "broker", ended.address,
			"after", now.Sub(ended.since).Round(time.Millisecond))
	}
	o.ongoing.Store(len(o.byBroker) > 0)
}

func (o *Outages) recordConnect(b kgo.BrokerMetadata) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.setSeen(b)
}

// setSeen is called while mu is held. An address of bootstrap.servers is one of the brokers.
func (o *Outages) setSeen(b kgo.BrokerMetadata) {
	if o.lastSeen == nil {
		o.lastSeen = map[int32]time.Time{}
	}
	if b.NodeID > anyBroker {
		o.lastSeen[b.NodeID] = time.Now()
	}
}

// Unreachable returns since when no broker of the cluster can be reached, zero if one can, as far as known.
func (o *Outages) Unreachable() (since time.Time) {
	if !o.hasOutage() {
		return since
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if bootstrap := o.byBroker[anyBroker]; bootstrap != nil {
		return bootstrap.since
	}
	for _, broker := range o.byBroker {
		if broker.since.After(since) {
			since = broker.since
		}
	}
	for number, seen := range o.lastSeen {
		if o.byBroker[number] == nil && (seen.After(since) || time.Since(since) < silentTime) {
			return time.Time{}
		}
	}
	return since
}

func (o *Outages) hasOutage() bool { return o.ongoing.Load() }

// Recent reports whether a broker is, or was within a minute, unreachable.
func (o *Outages) Recent() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.byBroker) > 0 || time.Since(o.lastEnd) < time.Minute
}

// Since returns the broker with the longest outage since begin and its duration, "" for none.
func (o *Outages) Since(begin time.Time) (address string, lasted time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	within := func(a outage, until time.Time) {
		if a.since.Before(begin) {
			a.since = begin
		}
		if elapsed := until.Sub(a.since); elapsed > lasted {
			address = a.address
			lasted = elapsed
		}
	}
	if o.lastEnd.After(begin) {
		within(o.lastOutage, o.lastEnd)
	}
	for _, a := range o.byBroker {
		within(*a, time.Now())
	}
	return address, lasted
}
