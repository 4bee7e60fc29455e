package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// exactly compares exactly-once with at-least-once, in turns. The empty runs, a few rows, are what start and stop cost;
// they are taken off.
func (b *bench) exactly(ctx context.Context) error {
	service, broker, err := b.peers(ctx, b.rows, 5000)
	if err != nil {
		return err
	}
	defer service.stop()
	defer broker.stop()
	sides := [2]string{"at least once", "exactly once"}
	sets := [2]set{{"Categories", "json", 0}, {"Orders", "json", 0}}
	var cpu, wall [2][2][]float64 // by side and set
	for round := -1; round < b.rounds; round++ {
		for i, s := range sets {
			for n := range sides {
				side := (n + round + 1) % 2
				name := fmt.Sprintf("d%d-%d-%d", side, i, round+1)
				worker, connector, err := b.configuration(name, broker.address, service.port(), s)
				if err != nil {
					return err
				}
				if side == 1 {
					if err := appendTo(worker, "group.id=bench\nexactly.once.source.support=enabled\n"); err != nil {
						return err
					}
				}
				u, _, err := b.worker(ctx, b.culvert, "delivery", worker, connector)
				if err != nil {
					return fmt.Errorf("%s: %w", sides[side], err)
				}
				if round < 0 { // it fills the compile cache
					continue
				}
				cpu[side][i] = append(cpu[side][i], u.cpu.Seconds())
				wall[side][i] = append(wall[side][i], u.wall.Seconds())
			}
		}
	}
	fmt.Printf("%d order rows in pages of 5,000, a transaction each; medians of %d rounds in turns, "+
		"start and stop taken off\n", b.rows, b.rounds)
	fmt.Println("delivery        µs CPU/row   rows/s wall   start and stop, s wall")
	var perCPU, perSecond [2]float64
	for side, name := range sides {
		c, w := median(cpu[side][1])-median(cpu[side][0]), median(wall[side][1])-median(wall[side][0])
		perCPU[side], perSecond[side] = float64(b.rows)/c, float64(b.rows)/w
		fmt.Printf("%-14s  %10.2f  %12.0f  %22.2f\n", name, 1e6/perCPU[side], perSecond[side], median(wall[side][0]))
	}
	fmt.Printf("ratio (aim 0.85): %.2f rows by CPU, %.2f rows by the clock\n", perCPU[1]/perCPU[0],
		perSecond[1]/perSecond[0])
	return nil
}

func appendTo(file, text string) error {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

const (
	// swapsEvery is how long a version of a plugin is at work in a load with swaps.
	swapsEvery = time.Second
	// gapRows are the rows of such a load, and gapPage those of a page, for which the service takes its time: so that
	// the load is about 20,000 rows a second.
	gapRows, gapPage = 200_000, 500
	gapPause         = "slow-first-byte=24ms"
)

// gaps is the longest time between two records of a load, with and without swaps of the source's plugin, in turns.
func (b *bench) gaps(ctx context.Context) error {
	service, err := b.demo(ctx, "--rows", strconv.Itoa(b.some(gapRows)), "--page-size", strconv.Itoa(gapPage), "--switch",
		gapPause)
	if err != nil {
		return err
	}
	defer service.stop()
	broker, err := b.broker(ctx, "broker-gaps")
	if err != nil {
		return err
	}
	defer broker.stop()
	one, err := os.ReadFile(filepath.Join(filepath.Dir(b.culvert), "plugins", "odata-source.wasm"))
	if err != nil {
		return fmt.Errorf("%w: make leaves it beside the program", err)
	}
	// The same code with a section more, which is another version to the host.
	versions := [2][]byte{one, append(slices.Clip(one), 0, 6, 4, 'n', 'e', 'x', 't', 1)}
	var longest [2][]float64
	var took time.Duration
	swaps := 0
	for round := -1; round < b.rounds; round++ {
		for n := range 2 {
			side := (n + round + 1) % 2
			started := time.Now()
			// The first ones fill the compile cache.
			gap, swapped, err := b.gap(ctx, fmt.Sprintf("g%d-%d", side, round+1), broker.address, service.port(),
				versions,
				side == 1 || round < 0)
			if err != nil {
				return err
			}
			if round >= 0 {
				longest[side] = append(longest[side], float64(gap.Milliseconds()))
				swaps += swapped
				took += time.Since(started)
			}
		}
	}
	without, with := median(longest[0]), median(longest[1])
	fmt.Printf("\nlongest time between two batches of records of a load of %.0f rows/s in pages of %d, medians of "+
		"%d: %.0f ms, with swaps of the source %.0f ms (%d swaps in all; aim: at most 50 ms more)\n",
		float64(2*b.rounds*b.some(gapRows))/took.Seconds(), gapPage, b.rounds, without, with, swaps)
	return nil
}

// gap reads the set with a worker, and answers the longest time between records that a consumer sees.
func (b *bench) gap(ctx context.Context, name, broker, servicePort string, versions [2][]byte,
	swap bool) (longest time.Duration, swaps int, err error) {
	folder := filepath.Join(b.dir, name+"-plugins")
	if err := os.Mkdir(folder, 0o700); err != nil {
		return 0, 0, err
	}
	if err := drop(folder, versions[0]); err != nil {
		return 0, 0, err
	}
	worker, connector, err := b.configuration(name, broker, servicePort, set{"Orders", "json", 0})
	if err != nil {
		return 0, 0, err
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.ConsumeTopics(name),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.AllowAutoTopicCreation(),
		kgo.MetadataMinAge(10*time.Millisecond), kgo.UnknownTopicRetries(-1))
	if err != nil {
		return 0, 0, err
	}
	defer client.Close()
	c, err := begin(ctx, b.culvert, "run", "--data", filepath.Join(b.dir, "gaps"), "--plugins", folder, worker, connector)
	if err != nil {
		return 0, 0, err
	}
	defer c.end()
	wait, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	var last, dropped time.Time
	for seen := 0; seen < b.some(gapRows) && wait.Err() == nil; {
		n := client.PollFetches(wait).NumRecords()
		now := time.Now()
		if seen > 0 && n > 0 {
			longest = max(longest, now.Sub(last))
		}
		if n > 0 {
			seen, last = seen+n, now
		}
		if dropped.IsZero() {
			dropped = now
		}
		if swap && seen > 0 && now.Sub(dropped) > swapsEvery {
			swaps, dropped = swaps+1, now
			if err := drop(folder, versions[swaps%2]); err != nil {
				return 0, 0, err
			}
		}
	}
	if err := errors.Join(c.end(), wait.Err()); err != nil {
		return 0, 0, err
	}
	return longest, bytes.Count(c.log.Bytes(), []byte(`msg="plugin swapped"`)), nil
}

// drop puts a version of the source into a folder, at once.
func drop(folder string, version []byte) error {
	file := filepath.Join(folder, "odata-source.wasm")
	if err := os.WriteFile(file+".new", version, 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

// manyEntries are those of the topic of offsets that a start has to read.
const manyEntries = 1_000_000

// entries is the time to the first record with an empty topic of offsets, and with one of many old entries.
func (b *bench) entries(ctx context.Context) error {
	service, broker, err := b.peers(ctx, 830, 100)
	if err != nil {
		return err
	}
	defer service.stop()
	defer broker.stop()
	data := filepath.Join(b.dir, "entries")
	if _, _, err := b.firstRecord(ctx, b.culvert, "e-warm", broker.address, service.port(), data); err != nil {
		return err
	}
	empty, _, err := b.firstRecord(ctx, b.culvert, "e-none", broker.address, service.port(), data)
	if err != nil {
		return err
	}
	if err := b.store(ctx, broker.address, "offsets-e-many"); err != nil {
		return err
	}
	full, u, err := b.firstRecord(ctx, b.culvert, "e-many", broker.address, service.port(), data)
	if err != nil {
		return err
	}
	fmt.Printf("\nto the first record: %d ms, with %d old entries of as many sets of a thousand other connectors in "+
		"the topic of offsets %d ms (%.1f s CPU, at most %.0f MiB)\n",
		empty.Milliseconds(), b.some(manyEntries), full.Milliseconds(), u.cpu.Seconds(), u.peak)
	return nil
}

// store fills a topic of offsets with entries of other connectors.
func (b *bench) store(ctx context.Context, broker, topic string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.DefaultProduceTopic(topic))
	if err != nil {
		return err
	}
	defer client.Close()
	compact := "compact"
	_, err = kadm.NewClient(client).CreateTopic(ctx, 25, -1, map[string]*string{"cleanup.policy": &compact}, topic)
	if err != nil {
		return err
	}
	var failed kgo.FirstErrPromise
	for n := range b.some(manyEntries) {
		client.Produce(ctx, &kgo.Record{
			Key: fmt.Appendf(nil, `["old-%d",{"service":"/V2/Northwind/Northwind.svc","entityset":"Orders%d"}]`,
				n%1000, n/1000),
			Value: []byte(`{"seen":` + strconv.Itoa(n) + `,"record":0}`)}, failed.Promise())
	}
	return failed.Err()
}
