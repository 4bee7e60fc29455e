package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// process is a service or broker of a measurement, see spawn.
type process struct {
	cmd     *exec.Cmd
	address string // HOST:PORT
}

// spawn starts a program and waits until it prints a line with an address.
func spawn(ctx context.Context, name string, args ...string) (*process, error) {
	c := exec.CommandContext(ctx, name, args...)
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = 20 * time.Second
	var errs bytes.Buffer
	c.Stderr = &errs
	out, err := c.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		for _, word := range strings.Fields(lines.Text()) {
			if address := strings.TrimSuffix(strings.TrimPrefix(word, "http://"), "/"); isAddress(address) {
				go func() { // a full pipe would block the program
					for lines.Scan() {
					}
				}()
				return &process{cmd: c, address: address}, nil
			}
		}
	}
	_ = c.Wait()
	return nil, fmt.Errorf("%s ended before it could be used: %s", name, errs.String())
}

func isAddress(s string) bool {
	_, port, err := net.SplitHostPort(s)
	_, portErr := strconv.Atoi(port)
	return err == nil && portErr == nil
}

func (p *process) port() string { _, port, _ := net.SplitHostPort(p.address); return port }

func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	_ = p.cmd.Wait()
}

// program is a culvert that is measured.
type program struct {
	*exec.Cmd
	log bytes.Buffer
}

func startProgram(ctx context.Context, name string, args ...string) (*program, error) {
	p := &program{Cmd: exec.CommandContext(ctx, name, args...)}
	p.Stderr = &p.log
	return p, p.Start()
}

func (p *program) stop() error {
	if p.ProcessState != nil {
		return nil
	}
	_ = p.Process.Signal(syscall.SIGTERM)
	return p.wait()
}

func (p *program) wait() error {
	if err := p.Wait(); err != nil {
		return fmt.Errorf("%w: %s", err, p.log.String())
	}
	return nil
}

func (p *program) usage() usage {
	return usage{cpu: p.ProcessState.UserTime() + p.ProcessState.SystemTime(),
		peak: float64(p.ProcessState.SysUsage().(*syscall.Rusage).Maxrss) / 1024} // Linux counts KiB
}

// procMiB reads a field in MiB from a file in /proc/PID, such as VmRSS of status. It returns 0 if it cannot be read.
func procMiB(pid int, file, field string) float64 {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	if err != nil {
		return 0
	}
	_, remaining, ok := strings.Cut(string(content), field+":")
	if !ok {
		return 0
	}
	kb, _ := strconv.ParseFloat(strings.Fields(remaining)[0], 64)
	return kb / 1024
}

// set is an entity set to read.
type set struct {
	name       string
	format     string // json, atom, or json4 for OData v4
	transforms int    // how many of threeTransforms, from the first on
}

var threeTransforms = []string{
	"transforms.a.type=org.apache.kafka.connect.transforms.InsertField$Value\ntransforms.a.static.field=Source\ntransforms.a.static.value=northwind",
	"transforms.b.type=org.apache.kafka.connect.transforms.ReplaceField$Value\ntransforms.b.exclude=ShipName\ntransforms.b.renames=Freight:FreightCost",
	"transforms.c.type=org.apache.kafka.connect.transforms.RegexRouter\ntransforms.c.regex=(.*)\ntransforms.c.replacement=sap.$1",
}

// writeFile writes a file of settings and returns its path.
func (b *bench) writeFile(name, settings string) (file string, err error) {
	file = filepath.Join(b.dir, name+".properties")
	return file, os.WriteFile(file, []byte(settings), 0o644)
}

func (b *bench) writeConfiguration(name, broker, servicePort string, s set) (worker, connector string, err error) {
	worker, err = b.writeFile(name+"-worker", workerSettings(name, broker))
	if err == nil {
		connector, err = b.writeFile(name, connectorSettings(name, servicePort, s))
	}
	return worker, connector, err
}

func workerSettings(name, broker string) string {
	return "bootstrap.servers=" + broker + `
key.converter=org.apache.kafka.connect.json.JsonConverter
key.converter.schemas.enable=false
value.converter=org.apache.kafka.connect.json.JsonConverter
value.converter.schemas.enable=false
offset.storage.topic=offsets-` + name + `
`
}

func connectorSettings(name, servicePort string, s set) string {
	version := "2"
	format := "sap.odata#00.format=" + s.format + "\n"
	if s.format == "json4" {
		version = "4"
		format = ""
	}
	settings := `name=` + name + `
connector.class=org.init.ohja.kafka.connect.odatav` + version + `.source.OData` + version + `SourceConnector
sap.odata.host.address=127.0.0.1
sap.odata.host.port=` + servicePort + `
sap.odata.host.protocol=http
sap.odata.user.name=demo
sap.odata.user.pwd=secret
sap.odata#00.service=/V` + version + `/Northwind/Northwind.svc
sap.odata#00.entityset=` + s.name + `
sap.odata#00.topic=` + name + `
sap.odata.page.size=2000000
` + format
	if s.transforms > 0 {
		aliases := strings.Join([]string{"a", "b", "c"}[:s.transforms], ",")
		settings += "transforms=" + aliases + "\n" + strings.Join(threeTransforms[:s.transforms], "\n") + "\n"
	}
	return settings
}

type usage struct {
	cpu    time.Duration
	wall   time.Duration
	peak   float64   // MiB
	stages []float64 // busy seconds, in the order of stageNames or sinkStages
	// operations counts the operations of a sink's batches.
	operations float64
}

// stageNames are the stages in the last log line of a source task.
var stageNames = []string{"fetch", "decode", "transform", "convert", "produce"}

func parseStages(log string, names []string) (stages []float64, err error) {
	for _, name := range names {
		_, remaining, ok := strings.Cut(log, " at_work."+name+"=")
		if !ok {
			return nil, fmt.Errorf("the worker does not say how long it was at work in stage %s: %s", name, log)
		}
		elapsed, err := time.ParseDuration(strings.Fields(remaining)[0])
		if err != nil {
			return nil, err
		}
		stages = append(stages, elapsed.Seconds())
	}
	return stages, nil
}

func (b *bench) runSet(ctx context.Context, side candidate, name, broker, servicePort string,
	s set) (u usage, err error) {
	worker, connector, err := b.writeConfiguration(name, broker, servicePort, s)
	if err != nil {
		return u, err
	}
	u, log, err := b.runWorker(ctx, side, worker, connector)
	if err == nil {
		u.stages, err = parseStages(log, stageNames)
	}
	return u, err
}

func (b *bench) runWorker(ctx context.Context, side candidate, worker, connector string,
) (u usage, log string, err error) {
	started := time.Now()
	data := filepath.Join(b.dir, side.data)
	c, err := startProgram(ctx, side.culvert, "run", "--once", "--data", data, worker, connector)
	if err != nil {
		return u, "", err
	}
	if err := c.wait(); err != nil {
		return u, "", err
	}
	u = c.usage()
	u.wall = time.Since(started)
	return u, c.log.String(), nil
}

func (b *bench) startDemo(ctx context.Context, args ...string) (*process, error) {
	return spawn(ctx, b.service, append(args, "--listen", "127.0.0.1:0", "--user", "demo", "--password", "secret")...)
}

func (b *bench) startPeers(ctx context.Context, rows, pageSize int) (service, broker *process, err error) {
	service, err = b.startDemo(ctx, "--rows", strconv.Itoa(rows), "--page-size", strconv.Itoa(pageSize))
	if err != nil {
		return nil, nil, err
	}
	broker, err = b.startBroker(ctx, fmt.Sprintf("broker-%d-%d", rows, pageSize))
	if err != nil {
		service.stop()
	}
	return service, broker, err
}

func (b *bench) startBroker(ctx context.Context, folder string) (*process, error) {
	return spawn(ctx, b.culvert, "broker", "--listen", "127.0.0.1:0", "--data", filepath.Join(b.dir, folder))
}

// Sets without transforms: one with few rows, and one with as many as the demo service is started with.
var (
	smallSet = set{name: "Categories", format: "json"}
	orders   = set{name: "Orders", format: "json"}
	orders4  = set{name: "Orders", format: "json4"}
)

// pipelineCases are the sets to read. The first one measures start and stop.
var pipelineCases = []set{
	smallSet,
	orders,
	{name: "Orders", format: "json", transforms: 3},
	{name: "Orders", format: "atom"},
	{name: "Orders", format: "atom", transforms: 3},
	orders4,
	{name: "Orders", format: "json4", transforms: 3},
}

// warmingSet uses all plugins of the cases, to compile them.
var warmingSet = set{name: "Categories", format: "json", transforms: 3}

// measurePipeline measures service → sandbox → transforms → JSON → broker, all but the worker in processes of their
// own. The run with few rows is subtracted, except in ratios.
func measurePipeline(ctx context.Context, b *bench) error {
	const pageSize = 5000
	service, broker, err := b.startPeers(ctx, b.rows, pageSize)
	if err != nil {
		return err
	}
	defer service.stop()
	defer broker.stop()
	measurements, err := b.interleave(len(pipelineCases), func(round, i int, side candidate) (usage, error) {
		s := pipelineCases[i]
		if round < 0 {
			s = warmingSet
		}
		return b.runSet(ctx, side, fmt.Sprintf("p%d-%d-%s", i, round+1, side.data), broker.address, service.port(), s)
	})
	if err != nil {
		return err
	}
	fmt.Printf("%d order rows in pages of 5,000; medians of %d interleaved rounds; the worker's CPU only\n", b.rows,
		b.rounds)
	if b.against != "" {
		fmt.Println("set         format  transforms   s CPU   against   ratio (lowest–highest)")
		for i, s := range pipelineCases {
			cpu := measurements[i].cpu
			fmt.Printf("%-10s  %-6s  %10d  %6.2f  %8.2f   %s\n", s.name, s.format, s.transforms, median(cpu[0]),
				median(cpu[1]), ratioOf(cpu))
		}
		return nil
	}
	baseline := measurements[0]
	fmt.Printf("start and stop, %.2f s CPU, are taken off\n", median(baseline.cpu[0]))
	fmt.Println("format  transforms   µs CPU/row   rows/s/core   rows/s wall   peak MiB")
	for i, s := range pipelineCases[1:] {
		m := measurements[i+1]
		cpu := median(m.cpu[0]) - median(baseline.cpu[0])
		wall := median(m.wall[0]) - median(baseline.wall[0])
		fmt.Printf("%-6s  %10d  %11.2f  %12.0f  %12.0f  %9.0f\n", s.format, s.transforms, cpu/float64(b.rows)*1e6,
			float64(b.rows)/cpu, float64(b.rows)/wall, median(m.peak[0]))
	}
	fmt.Println("\nwhat each stage was at work, µs by the clock a row, and its share; they run side by side, so the " +
		"slowest decides. fetch is the wait for the service's bytes.")
	for i, s := range pipelineCases[1:] {
		fmt.Printf("%-6s  %10d", s.format, s.transforms)
		total := 0.0
		for _, elapsed := range measurements[i+1].stages {
			total += median(elapsed)
		}
		for n, elapsed := range measurements[i+1].stages {
			fmt.Printf("  %s %.2f (%.0f %%)", stageNames[n], median(elapsed)/float64(b.rows)*1e6,
				100*median(elapsed)/total)
		}
		fmt.Println()
	}
	return nil
}

// measureStart measures the time from the start of the program to the first record at a consumer, with an empty data
// folder and with compiled plugins.
func measureStart(ctx context.Context, b *bench) error {
	const rows, pageSize = 830, 100
	service, broker, err := b.startPeers(ctx, rows, pageSize)
	if err != nil {
		return err
	}
	defer service.stop()
	defer broker.stop()
	folders := []string{"empty data folder", "warm data folder"}
	measurements, err := b.interleave(len(folders), func(round, i int, side candidate) (usage, error) {
		data := filepath.Join(b.dir, "start-warm-"+side.data)
		if i == 0 && round >= 0 {
			data = filepath.Join(b.dir, fmt.Sprintf("start-empty-%d-%s", round, side.data))
		}
		return b.measureFirstRecord(ctx, side.culvert, fmt.Sprintf("s%d-%d-%s", round+1, i, side.data), broker.address,
			service.port(), data)
	})
	if err != nil {
		return err
	}
	for i, m := range measurements {
		fmt.Printf("%s: %.0f ms to the first record; the run took %.2f s of processor time, at most %.0f MiB (medians "+
			"of %d)\n", folders[i], 1000*median(m.wall[0]), median(m.cpu[0]), median(m.peak[0]), b.rounds)
		if b.against != "" {
			fmt.Printf("  ratios to %s: to the first record %s, processor time %s, MiB %s\n", b.against,
				ratioOf(m.wall), ratioOf(m.cpu), ratioOf(m.peak))
		}
	}
	for _, start := range []struct{ connectors, aim int }{{connectors: 300, aim: 15}, {connectors: 1000, aim: 45}} {
		for _, side := range b.candidates() {
			connectors := b.scale(start.connectors)
			if err := b.measureLargeStart(ctx, side, connectors, start.aim, service, broker); err != nil {
				return fmt.Errorf("%s: %w", side.culvert, err)
			}
		}
	}
	return nil
}

// measureLargeStart measures the processor time of a worker until its connectors have read their sets. aim is in
// seconds.
func (b *bench) measureLargeStart(ctx context.Context, side candidate, connectors, aim int, service,
	broker *process) error {
	w, err := b.startLarge(ctx, side, fmt.Sprintf("start-%d-%s", connectors, side.data), connectors, service, broker)
	if err != nil {
		return err
	}
	started := time.Now()
	err = w.awaitLoads(ctx, b, connectors)
	fmt.Printf("%s: %d connectors from the start until each has read its set: %.1f s CPU (aim %d), %.0f s\n",
		side.culvert, connectors, w.cpu().Seconds(), aim, time.Since(started).Seconds())
	_ = w.stop()
	return err
}

func (b *bench) measureFirstRecord(ctx context.Context, culvert, name, broker, servicePort, data string,
) (u usage, err error) {
	worker, connector, err := b.writeConfiguration(name, broker, servicePort, orders)
	if err != nil {
		return u, err
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.ConsumeTopics(name),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.AllowAutoTopicCreation(),
		kgo.FetchMaxWait(5*time.Second), kgo.MetadataMinAge(10*time.Millisecond), kgo.UnknownTopicRetries(-1))
	if err != nil {
		return u, err
	}
	defer client.Close()
	waitCtx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	if err := client.Ping(waitCtx); err != nil {
		return u, err
	}
	// The first poll creates the topic, so that the consumer waits when the worker starts.
	pollCtx, cancelPoll := context.WithTimeout(waitCtx, 500*time.Millisecond)
	client.PollFetches(pollCtx)
	cancelPoll()
	started := time.Now()
	c, err := startProgram(ctx, culvert, "run", "--once", "--data", data, worker, connector)
	if err != nil {
		return u, err
	}
	var elapsed time.Duration
	for elapsed == 0 && waitCtx.Err() == nil {
		if client.PollFetches(waitCtx).NumRecords() > 0 {
			elapsed = time.Since(started)
		}
	}
	if err := c.wait(); err != nil {
		return u, err
	}
	if elapsed == 0 {
		return u, errors.New("no record came in three minutes")
	}
	u = c.usage()
	u.wall = elapsed
	return u, nil
}

func measureMemory(ctx context.Context, b *bench) error {
	sides := b.candidates()
	for _, side := range sides {
		if err := b.printIdleMemory(ctx, side); err != nil {
			return err
		}
	}
	fmt.Println("one page of n rows, peak resident memory of the worker; json4 is OData v4:")
	for i, page := range []struct {
		rows   int
		format string
	}{
		{rows: 1, format: "json"}, // fills the compile cache
		{rows: b.scale(10_000), format: "json"},
		{rows: b.scale(100_000), format: "json"},
		{rows: b.scale(1_000_000), format: "json"},
		{rows: b.scale(1_000_000), format: "json4"},
	} {
		service, broker, err := b.startPeers(ctx, page.rows, 0)
		if err != nil {
			return err
		}
		var usages [2]usage
		for n, side := range sides {
			if usages[n], err = b.runSet(ctx, side, fmt.Sprintf("m%d-%d", i, n), broker.address, service.port(),
				set{name: "Orders", format: page.format, transforms: 3}); err != nil {
				break
			}
		}
		broker.stop()
		service.stop()
		if err != nil {
			return err
		}
		if i == 0 {
			continue
		}
		fmt.Printf("%9d rows  %-6s  %6.0f MiB  %6.1f s CPU", page.rows, page.format, usages[0].peak,
			usages[0].cpu.Seconds())
		if len(sides) == 2 {
			fmt.Printf("   against %6.0f MiB  %6.1f s", usages[1].peak, usages[1].cpu.Seconds())
		}
		fmt.Println()
	}
	return nil
}

// printIdleMemory measures a worker without connectors twice: the first run fills the compile cache.
func (b *bench) printIdleMemory(ctx context.Context, side candidate) error {
	broker, err := b.startBroker(ctx, "broker-idle-"+side.data)
	if err != nil {
		return err
	}
	defer broker.stop()
	for _, cache := range []string{"cold", "warm"} {
		resident, private, err := b.measureIdleMemory(ctx, side, broker.address)
		if err != nil {
			return err
		}
		fmt.Printf("%s: idle worker, %v after a start with a %s compile cache loaded its %d plugins: "+
			"%.0f MiB resident, of which %.0f are private (a tuned JVM Connect worker: 136; as shipped: 450–530)\n",
			side.culvert, settleTime, cache, builtInPlugins, resident, private)
	}
	return nil
}

const (
	builtInPlugins = 3
	// settleTime is the wait after a start before the memory of the idle worker is measured.
	settleTime = 10 * time.Second
)

// measureIdleMemory measures a worker some time after it has loaded the built-in plugins, in MiB: private memory is
// what no file of the program backs.
func (b *bench) measureIdleMemory(ctx context.Context, side candidate, broker string,
) (resident, private float64, err error) {
	address, err := freeAddress()
	if err != nil {
		return 0, 0, err
	}
	worker, err := b.writeFile("idle", "bootstrap.servers="+broker+"\nlisteners=http://"+address+"\n")
	if err != nil {
		return 0, 0, err
	}
	c, err := startProgram(ctx, side.culvert, "run", "--data", filepath.Join(b.dir, "idle-"+side.data), worker)
	if err != nil {
		return 0, 0, err
	}
	defer c.stop()
	var loaded []any
	end := time.Now().Add(5 * time.Minute)
	for ; time.Now().Before(end) && len(loaded) < builtInPlugins; time.Sleep(100 * time.Millisecond) {
		if answer, err := http.Get("http://" + address + "/culvert/plugins"); err == nil {
			_ = json.NewDecoder(answer.Body).Decode(&loaded)
			answer.Body.Close()
		}
	}
	if len(loaded) < builtInPlugins {
		return 0, 0, fmt.Errorf("the worker did not load its %d plugins in 5 minutes", builtInPlugins)
	}
	err = b.wait(ctx, settleTime)
	return procMiB(c.Process.Pid, "status", "VmRSS"), procMiB(c.Process.Pid, "smaps_rollup", "Private_Dirty"), err
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
