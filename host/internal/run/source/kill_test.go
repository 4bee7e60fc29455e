package source

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/internal/base/assert"
	"github.com/culvert-project/culvert/host/internal/base/require"
	"github.com/culvert-project/culvert/host/internal/run/offset"
	"github.com/culvert-project/culvert/host/kafka"
	northwind "github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/wit"
)

var kills = flag.Int("kills", 2, "how often TestKill kills the worker, in each of its cases")

// childEnv holds the workplace of a worker in a process of its own: this test's binary.
const childEnv = "CULVERT_SOURCE_TEST_WORKER"

func child(place string) {
	var p workplace
	err := json.Unmarshal([]byte(place), &p)
	if err == nil {
		_, err = p.worker(context.Background())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// start starts a worker in a process of its own.
func (x *stack) start(t *testing.T) *exec.Cmd {
	t.Helper()
	place, err := json.Marshal(x.place)
	require.NoError(t, err)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+string(place))
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	return cmd
}

// Workers that are killed in mid-page: nothing is missing, and what comes again lies after the last stored offset.
// With a service that answers otherwise when a page is asked for again, nothing is missing.
func TestKill(t *testing.T) {
	const rows = 30_000
	for _, differ := range []string{"", "all"} {
		t.Run("differ "+differ, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, uint64(len(differ))))
			x := newStack(t, northwind.Options{Rows: rows, Switches: northwind.Switches{Differ: differ}},
				sets("Orders", "page.size=1000000")...)
			_, err := x.place.worker(t.Context()) // makes the topics, and warms the cache
			require.NoError(t, err)
			admin, err := kafka.NewAdmin(x.kafka)
			require.NoError(t, err)
			defer admin.Close()
			inside, killed := 0, 0
			// A machine that has other things to do looks too late now and then, when the page has been read.
			for ; killed < *kills || inside == 0 && killed < 20**kills; killed++ {
				x.forget(t)
				born := len(x.service.Ledger().Born)
				written, stored := x.end(t, admin, "t"), x.end(t, admin, offset.Defaults().Topic)
				cmd := x.start(t)
				tick := time.NewTicker(time.Millisecond)
				for target := written + r.Int64N(rows*2/3); x.end(t, admin, "t") < target ||
					x.end(t, admin, offset.Defaults().Topic) == stored; <-tick.C {
				}
				tick.Stop()
				require.NoError(t, cmd.Process.Kill())
				_ = cmd.Wait()
				covered, midPage := x.covered(t)
				if midPage {
					inside++
				}
				at := x.end(t, admin, "t")
				require.NoError(t, x.start(t).Wait())
				x.check(t, written, at, covered, rows, differ == "", x.service.Ledger().Born[born:])
			}
			t.Logf("%d of %d kills with a stored place in mid-page", inside, killed)
			if inside == 0 {
				t.Error("no kill was in mid-page after a stored offset")
			}
		})
	}
}

// forget makes the feed begin again.
func (x *stack) forget(t *testing.T) {
	t.Helper()
	s := x.store(t)
	defer s.Close()
	entries, err := s.All(t.Context(), "c")
	require.NoError(t, err)
	for _, e := range entries {
		require.NoError(t, s.Set(t.Context(), "c", offset.Entry{Partition: e.Partition}))
	}
}

func (x *stack) store(t *testing.T) *offset.Store {
	t.Helper()
	s, err := offset.Open(t.Context(), x.kafka, offset.Defaults(), nil, nil)
	require.NoError(t, err)
	return s
}

// covered is how many rows the stored offset covers; false: none is stored for a place inside a page.
func (x *stack) covered(t *testing.T) (int, bool) {
	t.Helper()
	s := x.store(t)
	defer s.Close()
	entries, err := s.All(t.Context(), "c")
	require.NoError(t, err)
	if len(entries) == 0 {
		return 0, false
	}
	p, _, _, err := positionOf(entries[0].Offset)
	require.NoError(t, err)
	seen, _ := wit.Lookup(p.fields, "seen")
	if !p.inside {
		return int(*seen.Integer), false
	}
	return int(*seen.Integer) + int(p.row) + 1, true
}

func (x *stack) end(t *testing.T, admin *kafka.Admin, topic string) int64 {
	t.Helper()
	ends, err := admin.EndOffsets(t.Context(), false, topic)
	require.NoError(t, err)
	return ends[topic][0]
}

// check reads what two workers wrote: the first from one offset on, the second, after the kill, from another one on.
// Rows that were born meanwhile need not be there.
func (x *stack) check(t *testing.T, from, killed int64, covered, rows int, exact bool, born []string) {
	t.Helper()
	reader, err := kafka.NewReader(x.kafka)
	require.NoError(t, err)
	defer reader.Close()
	first, second := map[string]bool{}, map[string]bool{}
	place := map[string]int{} // of a key in the order in which the service gives rows
	_, err = reader.Read(t.Context(), "t", kafka.ReadOptions{From: kafka.Positions{0: from}},
		func(r *kgo.Record) error {
			key := string(r.Key)
			if r.Offset < killed {
				first[key] = true
				if _, ok := place[key]; !ok {
					place[key] = len(place)
				}
			} else {
				second[key] = true
			}
			return nil
		})
	require.NoError(t, err)
	if exact {
		for key := range second {
			if at, ok := place[key]; ok && at < covered {
				t.Errorf("%s came again, though the stored offset covers %d rows and it was row %d", key, covered, at)
				break
			}
		}
		assert.Equal(t, rows, len(union(first, second)), "rows")
		return
	}
	present := map[string]bool{}
	x.service.Each("Orders", func(key string, _ map[string]string) { present[key] = true })
	got, missing := union(first, second), 0
	for key := range present {
		if !got[`{"OrderID":`+strings.Trim(key, "()")+`}`] && !slices.Contains(born, "Orders"+key) {
			missing++
		}
	}
	if missing > 0 {
		t.Errorf("%d of %d rows are missing", missing, len(present))
	}
}

func union(a, b map[string]bool) map[string]bool {
	all := map[string]bool{}
	for k := range a {
		all[k] = true
	}
	for k := range b {
		all[k] = true
	}
	return all
}
