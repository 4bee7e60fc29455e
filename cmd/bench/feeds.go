package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	feedRows   = 2000
	feedPage   = 500
	detailRows = feedRows * 5 / 2
	// idleTime is the wait after the last record before the memory of the idle worker is measured.
	idleTime = time.Minute
)

// feedCase is a worker with many feeds. Each connector has an origin of its own.
type feedCase struct {
	connectors  int
	sets        int     // of each connector
	readingAim  float64 // MiB
	finishedAim float64 // MiB
}

// measureFeeds measures the memory of a worker with many feeds: the peak, and when it is idle again.
func measureFeeds(ctx context.Context, b *bench) error {
	service, err := b.startDemo(ctx, "--rows", fmt.Sprint(feedRows), "--page-size", fmt.Sprint(feedPage))
	if err != nil {
		return err
	}
	defer service.stop()
	f := feedCase{connectors: 50, sets: 2, readingAim: 250, finishedAim: 80}
	if b.brief {
		f.connectors = 2
	}
	fmt.Printf("%d connectors, each at an origin of its own and with %d sets, of %d and %d rows in pages of %d, JSON; "+
		"memory of the worker, MiB, every 0.1 s, pages that instances share counted once\n", f.connectors, f.sets,
		feedRows, detailRows, feedPage)
	for _, side := range b.candidates() {
		memory, err := b.runFeeds(ctx, service, side, f)
		if err != nil {
			return fmt.Errorf("%s: %w", side.culvert, err)
		}
		fmt.Printf("%s: at most %.0f (aim %.0f), %v after the last row %.0f (aim %.0f), of which %.0f are private; "+
			"%.1f s CPU, %.1f s\n", side.culvert, memory.reading, f.readingAim, idleTime, memory.finished,
			f.finishedAim, memory.private, memory.cpu.Seconds(), memory.wall.Seconds())
		if failures := f.exceededAims(memory); b.strict && len(failures) > 0 && side.culvert == b.culvert {
			return errors.New(strings.Join(failures, "; "))
		}
	}
	return nil
}

// tolerance is the accepted ratio of memory to its aim: values differ by a tenth between runs.
const tolerance = 1.15

func (f feedCase) exceededAims(m feedMemory) (failures []string) {
	if m.reading > tolerance*f.readingAim {
		failures = append(failures, fmt.Sprintf("at most %.0f MiB, aim %.0f", m.reading, f.readingAim))
	}
	if m.finished > tolerance*f.finishedAim {
		failures = append(failures, fmt.Sprintf("finished %.0f MiB, aim %.0f", m.finished, f.finishedAim))
	}
	return failures
}

// feedMemory is the memory of a worker in MiB.
type feedMemory struct {
	usage
	reading  float64 // the maximum while reading
	finished float64 // idleTime after the last row
	private  float64 // the part of finished that no file of the program backs
}

// warm compiles the plugins into a data folder.
func (b *bench) warm(ctx context.Context, side candidate, data string) error {
	if err := os.MkdirAll(data, 0o700); err != nil {
		return err
	}
	c, err := startProgram(ctx, side.culvert, "plugins", "warm", "--data", data)
	if err != nil {
		return err
	}
	return c.wait()
}

// runFeeds runs a worker until all rows have arrived and idleTime has passed.
func (b *bench) runFeeds(ctx context.Context, service *process, side candidate, f feedCase,
) (memory feedMemory, err error) {
	broker, err := b.startBroker(ctx, "broker-feeds-"+side.data)
	if err != nil {
		return memory, err
	}
	defer broker.stop()
	dir := filepath.Join(b.dir, "feeds-connectors-"+side.data)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return memory, err
	}
	data := filepath.Join(b.dir, "feeds-"+side.data)
	if err := b.warm(ctx, side, data); err != nil {
		return memory, err
	}
	args := []string{"run", "--data", data, "--set", "listeners=http://127.0.0.1:0"}
	worker, err := b.writeFile("feeds-worker", workerSettings("feeds", broker.address))
	if err != nil {
		return memory, err
	}
	args = append(args, worker)
	topics := map[string]int64{}
	var origins sync.WaitGroup
	defer origins.Wait()
	for n := range f.connectors {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return memory, err
		}
		defer l.Close()
		origins.Go(func() { forward(l, service.address) })
		file := filepath.Join(dir, fmt.Sprintf("c%02d.properties", n))
		if err := os.WriteFile(file, []byte(f.addConnector(n, l.Addr().String(), topics)), 0o644); err != nil {
			return memory, err
		}
		args = append(args, file)
	}
	started := time.Now()
	culvert, err := startProgram(ctx, side.culvert, args...)
	if err != nil {
		return memory, err
	}
	defer culvert.stop() // before the origins, which wait for their connections
	stopWatching := watchMemory(culvert.Process.Pid)
	err = awaitRecords(ctx, broker.address, topics)
	memory.reading = stopWatching()
	if err != nil {
		return memory, fmt.Errorf("%w: %.2000s", err, culvert.log.String())
	}
	wall := time.Since(started)
	if err := b.wait(ctx, idleTime); err != nil {
		return memory, err
	}
	memory.finished = memoryOf(culvert.Process.Pid)
	memory.private = procMiB(culvert.Process.Pid, "smaps_rollup", "Private_Dirty")
	_ = culvert.stop()
	memory.usage = culvert.usage()
	memory.wall = wall
	return memory, nil
}

// addConnector returns the file of a connector and adds to topics its topics with their expected rows.
func (f feedCase) addConnector(n int, origin string, topics map[string]int64) string {
	host, port, _ := net.SplitHostPort(origin)
	var text strings.Builder
	fmt.Fprintf(&text, `name=c%02d
connector.class=org.init.ohja.kafka.connect.odatav2.source.OData2SourceConnector
sap.odata.host.address=%s
sap.odata.host.port=%s
sap.odata.host.protocol=http
sap.odata.user.name=demo
sap.odata.user.pwd=secret
`, n, host, port)
	for s := range f.sets {
		name := "Orders"
		rows := int64(feedRows)
		if s%2 == 1 {
			name = "Order_Details"
			rows = detailRows
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

// watchMemory samples the memory of a process until stop is called, which returns the maximum.
func watchMemory(pid int) (stop func() float64) {
	end := make(chan struct{})
	result := make(chan float64, 1)
	go func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		var peak float64
		for {
			peak = max(peak, memoryOf(pid))
			select {
			case <-tick.C:
			case <-end:
				result <- peak
				return
			}
		}
	}()
	return func() float64 { close(end); return <-result }
}

// memoryOf returns the memory of a process in MiB; pages mapped more than once count once.
func memoryOf(pid int) float64 {
	return procMiB(pid, "status", "RssAnon") + procMiB(pid, "status", "RssFile") +
		procMiB(pid, "smaps_rollup", "Pss_Shmem")
}

// forward copies bytes between each connection to the listener and a connection to an address, until the listener is
// closed. It does not wait for open connections.
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

func awaitRecords(ctx context.Context, broker string, topics map[string]int64) error {
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
