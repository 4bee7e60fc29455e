package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

var grouping = []benchmark{{"./host/cluster", "Benchmark(Place|LogRead)",
	"Placement of 1,000 connectors of four tasks with names of 100 characters (aim: at most 50 ms), with the bytes " +
		"of all members together (aim: at most 500,000), and a member's read of a config topic of 50,000 records " +
		"(aim: at most 1 s). cpu-ms/op is processor time, of the read with the broker's, which is in the same process.",
	5, "", ""},
	{"./host/cluster", "BenchmarkColdStart", "A cold start of these connectors by ten members, until all tasks are " +
		"said to run (aim: at most 10 s). All\nmembers and their broker are in one process; tasks begin at once.", 3, "1x",
		""}}

const (
	// groupOf is how many connectors of one task two workers share, groupRounds how often at most that is measured.
	groupOf, groupRounds = 100, 3
	// groupEnds is how often in a round a worker is stopped, and how often one is killed, this each time in another
	// part of the time between two heartbeats, by chance within it: the others hear of it with one of theirs.
	groupEnds = 4
	// groupLooks is the pause between two looks at all statuses, groupWaits how long a state is waited for.
	groupLooks, groupWaits = 10 * time.Millisecond, 3 * time.Minute
)

// groupFigures are what is measured of two workers of a group, in this order.
var groupFigures = [...]string{"s until all run, posted in turn", "s until all were posted", "generations that took",
	"MiB of a member without a task", "MiB of one with half of all tasks", "s until all run elsewhere: stopped",
	"the longest of these", "s until all run elsewhere: kill -9"}

// grouped is placement, the config topic, and two of our workers that form a group on the embedded broker.
func grouped(ctx context.Context, b *bench) error {
	for _, one := range grouping {
		if err := one.run(ctx, b); err != nil {
			return err
		}
	}
	service, err := b.demo(ctx)
	if err != nil {
		return err
	}
	defer service.stop()
	broker, err := b.broker(ctx, "broker-group")
	if err != nil {
		return err
	}
	defer broker.stop()
	found, err := b.inTurns(ctx, b.ourCrew(broker.address, service))
	if err != nil {
		return err
	}
	b.aboutGroups("the embedded broker")
	for i, what := range groupFigures {
		fmt.Printf("  %-36s %8.2f\n", what, median(found[0][i]))
	}
	return b.stays(ctx, broker.address)
}

func (b *bench) aboutGroups(broker string) {
	fmt.Printf("Two workers of a group on %s, %d connectors of one task; session %v, delay %v; medians of %d rounds.\n",
		broker, b.some(groupOf), b.session(), b.session()*3/10, min(b.rounds, groupRounds))
}

// session is how long a worker of a group may be silent.
func (b *bench) session() time.Duration {
	if b.brief {
		return 6 * time.Second // the least that brokers take
	}
	return 10 * time.Second
}

// timings are those settings of a group's worker that its figures hang on.
func (b *bench) timings() string {
	session := b.session().Milliseconds()
	return fmt.Sprintf("session.timeout.ms=%d\nheartbeat.interval.ms=%d\nscheduled.rebalance.max.delay.ms=%d\n",
		session, session*3/10, session*3/10)
}

// crew is workers of a group, ours or Kafka Connect's.
type crew struct {
	bench *bench
	name  string
	// start starts one, from its folder; settings are those of a connector.
	start    func(ctx context.Context, group, folder string) (*member, error)
	settings func(n int) map[string]string
	members  [3]*member
}

// member is a worker of a crew.
type member struct {
	restOf
	id, log string // host:port, and the file that it logs to
	stop    func() // in good order, and waits
}

// ourCrew is workers that read a small set once an hour.
func (b *bench) ourCrew(broker string, service *process) *crew {
	return &crew{bench: b, name: "culvert",
		settings: func(n int) map[string]string { return settingsOf(n, service, "1") },
		start: func(ctx context.Context, group, folder string) (*member, error) {
			ports, err := freePorts(1)
			if err != nil {
				return nil, err
			}
			m := &member{id: "127.0.0.1:" + ports[0], log: filepath.Join(folder, "worker.log")}
			file := filepath.Join(folder, "worker.properties")
			if err := os.WriteFile(file, []byte("bootstrap.servers="+broker+"\nlisteners=http://"+m.id+
				"\ngroup.id="+group+"\nconfig.storage.topic="+group+"-configs\nstatus.storage.topic="+group+
				"-status\noffset.storage.topic="+group+"-offsets\nconfig.storage.replication.factor=1\n"+
				"status.storage.replication.factor=1\noffset.storage.replication.factor=1\n"+
				"offset.storage.partitions=5\nstatus.storage.partitions=2\noffset.flush.interval.ms=2000\n"+
				b.timings()), 0o600); err != nil {
				return nil, err
			}
			log, err := os.OpenFile(m.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
			if err != nil {
				return nil, err
			}
			defer log.Close()
			p := &program{Cmd: exec.CommandContext(ctx, b.culvert, "run", "--data", folder, file)}
			p.Stderr = log
			if err := p.Start(); err != nil {
				return nil, err
			}
			m.restOf, m.stop = restOf{b, "http://" + m.id, p.Process.Pid}, func() { _ = p.end() }
			return m, nil
		}}
}

// theirCrew is Kafka Connect's, whose connectors have nothing to read.
func (b *bench) theirCrew(broker string) *crew {
	empty := filepath.Join(b.dir, "empty.txt")
	return &crew{bench: b, name: "connect",
		settings: func(int) map[string]string {
			return map[string]string{"connector.class": "FileStreamSource", "topic": "crowd", "file": empty}
		},
		start: func(ctx context.Context, group, folder string) (*member, error) {
			if err := os.WriteFile(empty, nil, 0o600); err != nil {
				return nil, err
			}
			more := filepath.Join(folder, "more.properties")
			if err := os.WriteFile(more, []byte(b.timings()), 0o600); err != nil {
				return nil, err
			}
			ports, err := freePorts(1)
			if err != nil {
				return nil, err
			}
			stop, err := startPeer(ctx, []string{"GROUP=" + group, "WORKER_PROPS=" + more}, peerWorker, ports[0],
				broker, folder)
			if err != nil {
				return nil, err
			}
			text, err := os.ReadFile(filepath.Join(folder, "pids"))
			if err != nil {
				return nil, err
			}
			pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
			id := "127.0.0.1:" + ports[0]
			return &member{restOf{b, "http://" + id, pid}, id, filepath.Join(folder, "worker.log"), stop}, err
		}}
}

// groupedPeers is two of our workers and two of Kafka Connect's, in turns, on a broker of Apache Kafka.
func groupedPeers(ctx context.Context, b *bench) error {
	service, err := b.demo(ctx)
	if err != nil {
		return err
	}
	defer service.stop()
	ports, err := freePorts(2)
	if err != nil {
		return err
	}
	stop, err := startPeer(ctx, []string{"CONTROLLER_PORT=" + ports[1]}, peerBroker, ports[0],
		filepath.Join(b.dir, "kafka-group"))
	if err != nil {
		return err
	}
	defer stop()
	broker := "127.0.0.1:" + ports[0]
	found, err := b.inTurns(ctx, b.ourCrew(broker, service), b.theirCrew(broker))
	if err != nil {
		return err
	}
	b.aboutGroups("Apache Kafka")
	fmt.Println("Aims: all run in a fifth of the time and in 20 generations at most; a third of the memory of an " +
		"idle\nmember; a worker that stops is not missed for longer than 0.5 s, one that is killed for no longer " +
		"than Kafka\nConnect's, as means of four, kills at four moments between two heartbeats.")
	fmt.Println("                                            ours   Kafka Connect's   Kafka Connect's : ours   " +
		"rounds of ours; of Kafka Connect's")
	for i, what := range groupFigures {
		ours, theirs := median(found[0][i]), median(found[1][i])
		fmt.Printf("  %-36s %9.2f %17.2f %24.2f   %.2f; %.2f\n", what, ours, theirs, theirs/ours, found[0][i],
			found[1][i])
	}
	return nil
}

// inTurns measures crews, a round of each in turns. The figures are by crew, and in the order of groupFigures.
func (b *bench) inTurns(ctx context.Context, crews ...*crew) (found [][len(groupFigures)][]float64, err error) {
	found = make([][len(groupFigures)][]float64, len(crews))
	for round := range min(b.rounds, groupRounds) {
		for i, c := range crews {
			figures, err := c.round(ctx, fmt.Sprintf("%s-%d", c.name, round))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.name, err)
			}
			for n, figure := range figures {
				found[i][n] = append(found[i][n], figure)
			}
		}
	}
	return found, nil
}

// round goes through the life of a new group.
func (c *crew) round(ctx context.Context, group string) (figures [len(groupFigures)]float64, err error) {
	defer c.end()
	before, err := c.pair(ctx, group)
	if err != nil {
		return figures, err
	}
	if err := c.bench.rest(ctx, settled); err != nil {
		return figures, err
	}
	count := c.bench.some(groupOf)
	figures[3] = c.memory()
	began := time.Now()
	for n := range count {
		if err := c.post(ctx, n); err != nil {
			return figures, err
		}
	}
	figures[1] = time.Since(began).Seconds()
	if err := c.spread(ctx, count, 0, 1); err != nil {
		return figures, err
	}
	figures[0] = time.Since(began).Seconds()
	if err := c.bench.rest(ctx, settled); err != nil {
		return figures, err
	}
	figures[2] = float64(c.members[0].generation() - before)
	figures[4] = c.memory()
	ends, part := groupEnds, c.bench.session()*3/10/groupEnds
	if c.bench.brief {
		ends = 1
	}
	for n := range 2 * ends {
		end, wait, mean := (*member).leave, time.Duration(0), 5
		if n >= ends {
			end, wait, mean = (*member).kill, time.Duration(n-ends)*part+rand.N(part), 7
		}
		if n > 0 {
			if err := c.join(ctx, group, 1); err != nil {
				return figures, err
			}
		}
		if err := c.spread(ctx, count, 0, 1); err != nil {
			return figures, err
		}
		if err := c.bench.rest(ctx, wait); err != nil {
			return figures, err
		}
		took, err := c.without(ctx, count, end)
		if err != nil {
			return figures, err
		}
		if figures[mean] += took / float64(ends); mean == 5 {
			figures[6] = max(figures[6], took)
		}
	}
	return figures, nil
}

// pair starts two workers, and returns the generation that both are of.
func (c *crew) pair(ctx context.Context, group string) (generation int, err error) {
	for n := range 2 {
		if err := c.join(ctx, group, n); err != nil {
			return 0, err
		}
	}
	return generation, c.until(ctx, "one generation of both", func() (string, bool) {
		a, b := c.members[0].generation(), c.members[1].generation()
		generation = a
		return fmt.Sprint(a, " and ", b), a == b && a > 0
	})
}

// memory is that of each of two workers, in MiB.
func (c *crew) memory() float64 {
	return (resident(c.members[0].pid, "VmRSS") + resident(c.members[1].pid, "VmRSS")) / 2
}

// without ends the second worker, and returns after how many seconds all runs on the first.
func (c *crew) without(ctx context.Context, count int, end func(*member)) (took float64, err error) {
	began, ended := time.Now(), make(chan struct{})
	go func() { defer close(ended); end(c.members[1]) }()
	err = c.spread(ctx, count, 0)
	took = time.Since(began).Seconds()
	<-ended
	return took, err
}

// end stops all workers.
func (c *crew) end() {
	for i, m := range c.members {
		if m != nil {
			m.stop()
		}
		c.members[i] = nil
	}
}

// join starts a worker, and waits until it is a member.
func (c *crew) join(ctx context.Context, group string, n int) (err error) {
	folder := filepath.Join(c.bench.dir, group, strconv.Itoa(n))
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	if c.members[n], err = c.start(ctx, group, folder); err != nil {
		return err
	}
	return c.until(ctx, "a member", func() (string, bool) { return "none", c.members[n].ready(ctx) })
}

// post makes a connector. A worker whose group forms a generation at that moment may refuse it.
func (c *crew) post(ctx context.Context, n int) error {
	settings := c.settings(n)
	made := map[string]any{"name": nameOf(n), "config": settings}
	return c.until(ctx, "a connector made", func() (string, bool) {
		err := c.members[0].call(ctx, "POST", "/connectors", made, nil)
		return fmt.Sprint(err), err == nil
	})
}

// spread waits until all runs on some of the workers, and on each of them its share.
func (c *crew) spread(ctx context.Context, count int, over ...int) error {
	return c.until(ctx, "all that there is", func() (found string, ok bool) {
		var all map[string]connectorPlaced
		if err := c.members[0].call(ctx, "GET", "/connectors?expand=status", nil, &all); err != nil {
			return err.Error(), false
		}
		units, others := map[string]int{}, []placed{}
		for _, one := range all {
			for _, p := range append(one.Status.Tasks, one.Status.Connector) {
				if units[p.WorkerID]++; p.State != "RUNNING" {
					others = append(others, p)
				}
			}
		}
		here := 0
		ok = len(others) == 0
		for _, n := range over {
			share := units[c.members[n].id]
			here += share
			ok = ok && share >= 2*count/len(over)-2 // connectors and tasks are dealt out each by themselves
		}
		return fmt.Sprintf("%d of %d: %v %.500s", here, 2*count, units, fmt.Sprint(others)), ok && here == 2*count
	})
}

// placed is a connector or a task as its status has it.
type placed struct {
	State    string
	WorkerID string `json:"worker_id"`
	Trace    string
}

// connectorPlaced is a connector with its tasks.
type connectorPlaced struct {
	Status struct {
		Connector placed
		Tasks     []placed
	}
}

// until looks again and again.
func (c *crew) until(ctx context.Context, what string, there func() (found string, ok bool)) error {
	for end := time.Now().Add(groupWaits); ; {
		found, ok := there()
		if ok {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("expected %s within %v, found %s", what, groupWaits, found)
		}
		select {
		case <-time.After(groupLooks):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

var generationLogged = regexp.MustCompile(`member of its group.* generation=(\d+)|generationId=(\d+)`)

// generation is the last one that the worker has said to be of, 0 before.
func (m *member) generation() int {
	text, _ := os.ReadFile(m.log)
	found := generationLogged.FindAllSubmatch(text, -1)
	if len(found) == 0 {
		return 0
	}
	n, _ := strconv.Atoi(string(found[len(found)-1][1]) + string(found[len(found)-1][2]))
	return n
}

// leave stops a worker in good order: one of ours hands over first what it runs.
func (m *member) leave() {
	_ = m.call(context.Background(), "PUT", "/culvert/drain", nil, nil) // which Kafka Connect does not know
	m.stop()
}

// kill is kill -9.
func (m *member) kill() {
	_ = syscall.Kill(m.pid, syscall.SIGKILL)
	m.stop()
}
