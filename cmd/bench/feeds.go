package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// feedRows is how many orders the service of the many feeds has, in pages of feedPage.
	feedRows, feedPage = 2000, 500
	// detailRows is how many order lines there are with them.
	detailRows = feedRows * 5 / 2
	// settled is how long after the last record a worker is looked at that has nothing left to do: longer than idle
	// instances live.
	settled = 12 * time.Second
)

// many is a worker with many feeds: connectors of so many sets each, every connector at an origin of its own.
type many struct {
	name                    string
	connectors, sets, tasks int
	reading, finished       float64 // the aims, MiB
}

var manyFeeds = []many{
	{"one", 1, 1, 1, 0, 60},
	{"fifty", 50, 2, 1, 200, 100},
	{"two-hundred-1", 1, 200, 1, 250, 0},
	{"two-hundred-8", 1, 200, 8, 250, 0},
	{"two-hundred-200", 1, 200, 200, 250, 0},
}

// feeds is what the worker holds with many feeds: at most while they are read, and when nothing is left to read.
func feeds(ctx context.Context, b *bench) error {
	service, err := b.demo(ctx, "--rows", fmt.Sprint(feedRows), "--page-size", fmt.Sprint(feedPage))
	if err != nil {
		return err
	}
	defer service.stop()
	fmt.Printf("sets of %d and %d rows in pages of %d, JSON, each connector at an origin of its own; resident memory "+
		"of the worker, every 0.1 s, pages that instances share counted once\n", feedRows, detailRows, feedPage)
	fmt.Println("connectors  sets  tasks   at most, MiB   aim   finished, MiB   aim    s CPU   s " +
		"wall   clients of Kafka")
	var missed []string
	warm := manyFeeds[0]
	warm.name = "warm"
	for i, m := range append([]many{warm}, manyFeeds...) { // the first one fills the compile cache
		if b.brief {
			m.connectors, m.sets, m.tasks = min(m.connectors, 2), min(m.sets, 2), min(m.tasks, 2)
		}
		u, err := b.read(ctx, service, m)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		if i > 0 {
			fmt.Printf("%10d  %4d  %5d   %12.0f  %4s   %13.0f  %4s   %6.1f   %6.1f   %16d\n", m.connectors, m.sets,
				m.tasks, u.most.all(), aim(m.reading),
				u.finished.all(), aim(m.finished), u.cpu.Seconds(), u.wall.Seconds(), u.connections)
			fmt.Printf("            at most: %v; finished: %v\n", u.most, u.finished)
			missed = append(missed, m.misses(u)...)
		}
	}
	if b.strict && len(missed) > 0 {
		return errors.New(strings.Join(missed, "; "))
	}
	return nil
}

// tolerance is what memory may be of its aim: figures differ by a tenth from run to run.
const tolerance = 1.15

// misses are the aims that a worker is beyond of, by more than figures differ.
func (m many) misses(u held) (missed []string) {
	for _, one := range []struct {
		what      string
		took, aim float64
	}{{"at most", u.most.all(), m.reading}, {"finished", u.finished.all(), m.finished}} {
		if one.aim > 0 && one.took > tolerance*one.aim {
			missed = append(missed, fmt.Sprintf("%s: %s %.0f MiB, aim %.0f", m.name, one.what, one.took, one.aim))
		}
	}
	return missed
}

func aim(mib float64) string {
	if mib == 0 {
		return ""
	}
	return fmt.Sprintf("%.0f", mib)
}

// held is what a worker took for its feeds.
type held struct {
	used
	// most is what it held at the worst moment, finished when nothing was left to read; connections are those to the
	// broker then.
	most, finished parts
	connections    int
}

// read runs a worker until all rows have arrived, and a while longer.
func (b *bench) read(ctx context.Context, service *process, m many) (h held, err error) {
	broker, err := b.broker(ctx, "broker-"+m.name)
	if err != nil {
		return h, err
	}
	defer broker.stop()
	dir := filepath.Join(b.dir, "feeds-"+m.name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return h, err
	}
	args := []string{"run", "--data", filepath.Join(b.dir, "feeds"), "--set", "listeners=http://127.0.0.1:0"}
	worker, _, err := b.configuration(m.name, broker.address, "0", set{"Orders", "json", 0})
	if err != nil {
		return h, err
	}
	args = append(args, worker)
	topics := map[string]int64{}
	var origins sync.WaitGroup
	defer origins.Wait()
	for n := range m.connectors {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return h, err
		}
		defer l.Close()
		origins.Go(func() { forward(l, service.address) })
		file := filepath.Join(dir, fmt.Sprintf("c%02d.properties", n))
		if err := os.WriteFile(file, []byte(m.connector(n, l.Addr().String(), topics)), 0o644); err != nil {
			return h, err
		}
		args = append(args, file)
	}
	// The worker ends before the origins do, which wait for their connections.
	started := time.Now()
	c, err := begin(ctx, b.culvert, args...)
	if err != nil {
		return h, err
	}
	defer c.end()
	most := watchMemory(c.Process.Pid)
	err = arrived(ctx, broker.address, topics)
	h.most = most()
	if err != nil {
		return h, fmt.Errorf("%w: %.2000s", err, c.log.String())
	}
	wall := time.Since(started)
	if err := b.rest(ctx, settled); err != nil {
		return h, err
	}
	h.finished = taken(c.Process.Pid)
	h.connections = connections(c.Process.Pid, broker.port())
	_ = c.end()
	h.used = c.used()
	h.wall = wall
	return h, nil
}

// connector is the file of one, whose topics it notes with the rows that they get.
func (m many) connector(n int, origin string, topics map[string]int64) string {
	host, port, _ := net.SplitHostPort(origin)
	var text strings.Builder
	fmt.Fprintf(&text, `name=c%02d
connector.class=org.init.ohja.kafka.connect.odatav2.source.OData2SourceConnector
sap.odata.host.address=%s
sap.odata.host.port=%s
sap.odata.host.protocol=http
sap.odata.user.name=demo
sap.odata.user.pwd=secret
tasks.max=%d
`, n, host, port, m.tasks)
	for s := range m.sets {
		name, rows := "Orders", int64(feedRows)
		if s%2 == 1 {
			name, rows = "Order_Details", detailRows
		}
		topic := fmt.Sprintf("c%02d-%03d", n, s)
		topics[topic] = rows
		fmt.Fprintf(&text, `sap.odata#%03[1]d.service=/V2/Northwind/Northwind.svc
sap.odata#%03[1]d.entityset=%[2]s
sap.odata#%03[1]d.id=%03[1]d
sap.odata#%03[1]d.topic=%[3]s
sap.odata#%03[1]d.format=json
`, s, name, topic)
	}
	return text.String()
}

// sets is what starting a connector of 200 sets takes beyond one of a single set, at a service with one row in each.
func sets(ctx context.Context, b *bench) error {
	service, broker, err := b.peers(ctx, 1, 0)
	if err != nil {
		return err
	}
	defer service.stop()
	defer broker.stop()
	all := []many{{name: "set", connectors: 1, sets: 1, tasks: 1}, {name: "sets", connectors: 1, sets: b.some(200), tasks: 1}}
	cpu := make([][]float64, len(all))
	for round := -1; round < b.rounds; round++ {
		for i, m := range all {
			name := fmt.Sprintf("%s-%d", m.name, round+1)
			worker, connector, err := b.configuration(name, broker.address, "0", set{"Orders", "json", 0})
			if err != nil {
				return err
			}
			text := m.connector(round+1, service.address, map[string]int64{})
			if err := os.WriteFile(connector, []byte(text), 0o644); err != nil {
				return err
			}
			u, _, err := b.worker(ctx, b.culvert, "worker", worker, connector)
			if err != nil {
				return err
			}
			if round >= 0 { // the first ones fill the compile cache
				cpu[i] = append(cpu[i], u.cpu.Seconds())
			}
		}
	}
	fmt.Printf("a connector of %d sets, a row in each, started and stopped: %.2f s CPU of the worker, of one set "+
		"%.2f s (medians of %d; aim: at most 2 s)\n",
		all[1].sets, median(cpu[1]), median(cpu[0]), b.rounds)
	return nil
}

// watchMemory looks at what a process has until the returned function is called, which tells the most.
func watchMemory(pid int) (stop func() parts) {
	end, most := make(chan struct{}), make(chan parts, 1)
	go func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		var peak parts
		for {
			if p := taken(pid); p.all() > peak.all() {
				peak = p
			}
			select {
			case <-tick.C:
			case <-end:
				most <- peak
				return
			}
		}
	}()
	return func() parts { close(end); return <-most }
}

// parts is the memory that a process has, in MiB: Go's heap with the collector's tables, what instances of plugins
// have of their own, the code that plugins were compiled to, the program's file, and stacks with the rest.
type parts struct{ heap, guests, code, program, rest float64 }

func (p parts) all() float64 { return p.heap + p.guests + p.code + p.program + p.rest }

func (p parts) String() string {
	return fmt.Sprintf("heap %.0f, guests %.0f, code %.0f, program %.0f, rest %.0f", p.heap, p.guests, p.code,
		p.program, p.rest)
}

// taken is the memory that a process has: what is resident, but pages that instances of plugins share are counted once,
// as the machine does, and not for each of them.
func taken(pid int) (p parts) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps", pid))
	if err != nil {
		return parts{rest: resident(pid, "VmRSS")}
	}
	return takenIn(string(text))
}

// takenIn reads what /proc/PID/smaps says: for each mapping a line with addresses, rights and name, then a line for
// each figure, the flags last. Guests' memories are the only ones that are mapped without a reserve (nr). A mapping
// that grows while the file is read comes twice, and counts as it came last.
func takenIn(smaps string) (p parts) {
	// Go's arenas lie above the program's file, and below what is mapped otherwise.
	const arenas, above = 1 << 32, 1 << 46
	kib, wanted, to := 0.0, "Rss:", &p.rest
	var end uint64 // of the mapping before
	for line := range strings.Lines(smaps) {
		f := strings.Fields(line)
		switch {
		case len(f) == 0:
		case !strings.HasSuffix(f[0], ":"): // a mapping begins
			name := strings.Join(f[min(5, len(f)):], " ")
			var at, until uint64
			_, _ = fmt.Sscanf(f[0], "%x-%x", &at, &until)
			if at < end {
				*to -= kib / 1024
			}
			end, kib, wanted, to = until, 0, "Rss:", &p.rest
			switch {
			case strings.Contains(name, "culvert-image"):
				wanted, to = "Pss:", &p.guests
			case strings.HasPrefix(name, "/"):
				to = &p.program
			case at >= arenas && at < above:
				to = &p.heap
			case strings.Contains(f[1], "x"):
				to = &p.code
			}
		case f[0] == wanted:
			kib, _ = strconv.ParseFloat(f[1], 64)
		case f[0] == "VmFlags:":
			if to == &p.rest && slices.Contains(f, "nr") {
				to = &p.guests
			}
			*to += kib / 1024
		}
	}
	return p
}

// forward makes a listener another origin of the same service, until it is closed.
func forward(l net.Listener, to string) {
	for {
		from, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer from.Close()
			out, err := net.Dial("tcp", to)
			if err != nil {
				return
			}
			defer out.Close()
			go func() { _, _ = io.Copy(out, from); out.Close() }()
			_, _ = io.Copy(from, out)
		}()
	}
}

// arrived waits until topics have as many records as they are to get.
func arrived(ctx context.Context, broker string, topics map[string]int64) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.MetadataMinAge(10*time.Millisecond))
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	for {
		missing := 0
		ends, err := kadm.NewClient(client).ListEndOffsets(ctx)
		for topic, rows := range topics {
			var sum int64
			for _, end := range ends[topic] {
				sum += max(end.Offset, 0)
			}
			if sum < rows {
				missing++
			}
		}
		if err == nil && missing == 0 {
			return nil
		}
		select {
		case <-time.After(250 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%d of %d topics did not get their rows in 5 minutes: %w", missing, len(topics),
				errors.Join(err, ctx.Err()))
		}
	}
}

// connections counts those of a process to a port of this machine.
func connections(pid int, port string) (n int) {
	var number int
	_, _ = fmt.Sscan(port, &number)
	for _, table := range []string{"tcp", "tcp6"} {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, table))
		for line := range strings.Lines(string(text)) {
			// local and remote address in hexadecimal, state 01: established
			if f := strings.Fields(line); len(f) > 3 && f[3] == "01" && strings.HasSuffix(f[2], fmt.Sprintf(":%04X",
				number)) &&
				owns(pid, f) {
				n++
			}
		}
	}
	return n
}

// owns tells whether a connection of /proc/PID/net is the process's: the table is that of the whole network namespace.
func owns(pid int, fields []string) bool {
	const inode = 9
	if len(fields) <= inode {
		return false
	}
	files, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	for _, f := range files {
		if to, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, f.Name())); err == nil &&
			to == "socket:["+fields[inode]+"]" {
			return true
		}
	}
	return false
}
