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

// Outages logs once when a broker becomes unreachable and once when it is back. Safe for concurrent use.
type Outages struct {
	isOngoing  atomic.Bool // byBroker is not empty; read with every response
	mu         sync.Mutex
	byBroker   map[int32]*outage   // unreachable brokers by node ID
	lastSeen   map[int32]time.Time // when a broker was connected, or responded during an outage, by node ID
	lastEnd    time.Time           // of lastOutage
	lastOutage outage
}

// outage is the start of an outage, and the address of its broker.
type outage struct {
	address string
	since   time.Time
}

// settleTime is how long a state is kept: failures and responses of slow clients may be older.
const settleTime = 2 * time.Second

// silentTime is how long a broker without a response counts as reachable: clients use other brokers until then.
const silentTime = 30 * time.Second

// anyBroker stands for bootstrap.servers, used while the client knows no brokers.
const anyBroker = -1

func addressOf(b kgo.BrokerMetadata) string {
	return net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))
}

// recordFailure records that a broker could not be reached by a try that lasted for elapsed. It logs a new outage.
func (o *Outages) recordFailure(log *slog.Logger, b kgo.BrokerMetadata, elapsed time.Duration, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	node := max(b.NodeID, anyBroker) // kgo gives entries of bootstrap.servers lower numbers
	if began := time.Now().Add(-elapsed); began.Before(o.lastEnd.Add(settleTime)) {
		return // if it is unreachable again, a later try shows it
	}
	if o.byBroker[node] != nil || (node == anyBroker && len(o.byBroker) > 0) {
		return // the outage is known, maybe by the broker's own ID
	}
	if o.byBroker == nil {
		o.byBroker = map[int32]*outage{}
	}
	o.isOngoing.Store(true)
	// The outage of bootstrap.servers was logged; now its broker is known.
	if bootstrap := o.byBroker[anyBroker]; bootstrap != nil {
		delete(o.byBroker, anyBroker)
		o.byBroker[node] = bootstrap
		return
	}
	o.byBroker[node] = &outage{address: addressOf(b), since: time.Now()}
	log.Warn("kafka: a broker is unreachable; reconnecting until it is back", "broker", addressOf(b), "error", err)
}

// recordResponse records that a broker has responded. It logs the end of an outage.
func (o *Outages) recordResponse(log *slog.Logger, b kgo.BrokerMetadata) {
	if !o.hasOutage() {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	o.updateLastSeen(b)
	for _, node := range []int32{b.NodeID, anyBroker} { // one reachable broker ends the outage of bootstrap.servers
		current := o.byBroker[node]
		if current == nil || now.Sub(current.since) < settleTime {
			continue
		}
		delete(o.byBroker, node)
		o.lastEnd = now
		o.lastOutage = *current
		log.Info("kafka: a broker is reachable again", "broker", current.address,
			"after", now.Sub(current.since).Round(time.Millisecond))
	}
	o.isOngoing.Store(len(o.byBroker) > 0)
}

func (o *Outages) recordConnect(b kgo.BrokerMetadata) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.updateLastSeen(b)
}

// updateLastSeen ignores addresses of bootstrap.servers, each of which is also one of the brokers. The caller holds mu.
func (o *Outages) updateLastSeen(b kgo.BrokerMetadata) {
	if o.lastSeen == nil {
		o.lastSeen = map[int32]time.Time{}
	}
	if b.NodeID > anyBroker {
		o.lastSeen[b.NodeID] = time.Now()
	}
}

// Unreachable returns since when no broker of the cluster can be reached. Zero means that one may be reachable.
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
	// A broker without an outage counts as reachable if it was seen since, or until silentTime has passed.
	for node, lastSeen := range o.lastSeen {
		if o.byBroker[node] == nil && (lastSeen.After(since) || time.Since(since) < silentTime) {
			return time.Time{}
		}
	}
	return since
}

func (o *Outages) hasOutage() bool { return o.isOngoing.Load() }

// Recent reports whether a broker is, or was within a minute, unreachable.
func (o *Outages) Recent() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.byBroker) > 0 || time.Since(o.lastEnd) < time.Minute
}

// Since returns the broker with the longest outage since begin, and the duration of that; "" means no outage.
func (o *Outages) Since(begin time.Time) (address string, lasted time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	compare := func(a outage, until time.Time) {
		if a.since.Before(begin) {
			a.since = begin
		}
		if elapsed := until.Sub(a.since); elapsed > lasted {
			address = a.address
			lasted = elapsed
		}
	}
	if o.lastEnd.After(begin) {
		compare(o.lastOutage, o.lastEnd)
	}
	for _, a := range o.byBroker {
		compare(*a, time.Now())
	}
	return address, lasted
}
