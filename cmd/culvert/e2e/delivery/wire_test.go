package delivery

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/culvert-project/culvert/host/kafka/embedded"
	"github.com/culvert-project/culvert/host/porttest"
	"github.com/culvert-project/culvert/internal/e2etest"
)

// wire is a port of its own that leads to another address, and that faults happen to.
type wire struct {
	name  string
	to    atomic.Pointer[string]
	own   net.Listener
	bytes atomic.Int64 // passed on so far
	pause atomic.Int64 // before each piece, and of each byte of it: nanoseconds
	each  atomic.Int64

	mu    sync.Mutex
	links map[*link]bool
}

// link is a connection over a wire: both of its ends. A silent one takes what it is sent, and passes nothing on.
type link struct {
	ends   [2]net.Conn
	silent atomic.Bool
}

func newWire(t *testing.T, name string) *wire {
	t.Helper()
	own, err := net.Listen("tcp", "127.0.0.1:0")
	e2etest.NoError(t, err)
	w := &wire{name: name, own: own, links: map[*link]bool{}}
	var group sync.WaitGroup
	group.Go(func() { w.accept(&group) })
	t.Cleanup(func() {
		own.Close()
		w.calm()
		w.cut()
		group.Wait()
	})
	return w
}

func (w *wire) address() string { return w.own.Addr().String() }

// leads says where the wire leads to.
func (w *wire) leads(to string) { w.to.Store(&to) }

func (w *wire) accept(group *sync.WaitGroup) {
	for {
		near, err := w.own.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", *w.to.Load())
		if err != nil {
			near.Close()
			continue
		}
		l := &link{ends: [2]net.Conn{near, far}}
		w.mu.Lock()
		w.links[l] = true
		w.mu.Unlock()
		group.Go(func() { w.pump(l, near, far) })
		group.Go(func() { w.pump(l, far, near) })
	}
}

func (w *wire) pump(l *link, from, to net.Conn) {
	piece := make([]byte, 8<<10)
	for {
		n, err := from.Read(piece)
		if n > 0 && !l.silent.Load() {
			if wait := w.pause.Load() + w.each.Load()*int64(n); wait > 0 {
				<-time.After(time.Duration(wait)) // how long it takes is the fault
			}
			if !l.silent.Load() {
				if _, failed := to.Write(piece[:n]); failed != nil {
					err = failed
				}
				w.bytes.Add(int64(n))
			}
		}
		if err != nil {
			from.Close()
			if !l.silent.Load() { // nobody tells the other end of a silent one
				w.end(l)
			}
			return
		}
	}
}

func (w *wire) end(l *link) {
	w.mu.Lock()
	delete(w.links, l)
	w.mu.Unlock()
	for _, end := range l.ends {
		end.Close()
	}
}

// all are the connections that there are.
func (w *wire) all() (all []*link) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for l := range w.links {
		all = append(all, l)
	}
	return all
}

// cut resets all connections, also those that are silent.
func (w *wire) cut() {
	for _, l := range w.all() {
		for _, end := range l.ends {
			end.(*net.TCPConn).SetLinger(0)
		}
		w.end(l)
	}
}

// hush leaves all connections half open.
func (w *wire) hush() {
	for _, l := range w.all() {
		l.silent.Store(true)
	}
}

// calm ends delays and throttling; what is silent stays so.
func (w *wire) calm() {
	w.pause.Store(0)
	w.each.Store(0)
}

// faultsOfWires are what happens to a wire, by number.
var faultsOfWires = []struct {
	name string
	does func(w *wire, random *rand.Rand)
}{
	{"cut", func(w *wire, _ *rand.Rand) { w.cut() }},
	{"delayed", func(w *wire, random *rand.Rand) { w.pause.Store(int64(random.IntN(200)) * int64(time.Millisecond)) }},
	{"half open", func(w *wire, _ *rand.Rand) { w.hush() }},
	{"throttled", func(w *wire, random *rand.Rand) { w.each.Store(int64(1_000 + random.IntN(50_000))) }},
}

// Connections between the worker and the service, and the worker and the broker, are cut, delayed, left half open and
// throttled while it reads, at random for a minute. Every row comes once.
func TestSoakExactlyOnceOnBadWires(t *testing.T) {
	if os.Getenv("CULVERT_SOAK") == "" {
		t.Skip("takes minutes: make soak")
	}
	t.Parallel()
	p, toBroker, toService := e2etest.NewPlace(t), newWire(t, "broker"), newWire(t, "service")
	toBroker.leads(porttest.Address(t))
	b, err := embedded.Open(embedded.Options{Dir: t.TempDir(), Listen: *toBroker.to.Load(),
		Advertised: toBroker.address()})
	e2etest.NoError(t, err)
	t.Cleanup(func() { b.Close() })
	const soon = "request.timeout.ms=5000"
	e := NewExactly(t, toBroker.address(), p, "wires", 200, soon, "producer."+soon, "consumer."+soon, "admin."+soon)
	toService.leads(e.Address)
	e.Address = toService.address()
	e.Lines = []string{"sap.odata.max.retries=1000", "sap.odata.min.retry.backoff.ms=10",
		"sap.odata.max.retry.backoff.ms=100", "sap.odata.connection.read.timeout.ms=5000"}
	e.Edit()
	w := e.Start(false, e.Files()...)
	wires, happened := []*wire{toService, toBroker}, map[string]int{}
	for over := time.Now().Add(time.Minute); time.Now().Before(over); {
		wire, fault := wires[e.Random.IntN(len(wires))], faultsOfWires[e.Random.IntN(len(faultsOfWires))]
		before := wire.bytes.Load()
		w.Eventually("bytes on the way to the "+wire.name, func() bool { return wire.bytes.Load() > before })
		wire.calm()
		fault.does(wire, e.Random)
		happened[wire.name+" "+fault.name]++
		<-time.After(time.Duration(e.Random.IntN(400)) * time.Millisecond)
	}
	for _, wire := range wires {
		wire.calm()
	}
	for _, wire := range wires {
		before := wire.bytes.Load()
		w.Eventually("bytes on the way to the "+wire.name, func() bool { return wire.bytes.Load() > before })
	}
	w.MustStop()
	e.Finish(fmt.Sprint("connections ", happened))
}
