//go:build real

package transform

import (
	"bufio"
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/host/convert"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/wit"
)

// peerStages are those of Peer.java.
var peerStages = append(benchStages[:3:3],
	Stage{Alias: "mask", Class: classes + "MaskField$Value", Settings: []wit.Setting{{Name: "fields", Value: "f4"}}},
	Stage{Alias: "less", Class: classes + "ReplaceField$Value", Settings: []wit.Setting{{Name: "exclude",
		Value: "f5"}}})

// BenchmarkRealPeers has Kafka's own classes on a warm JVM and ours make the same of the same records, in turns, and
// prints the nanoseconds of CPU of a record of each, the middle of the turns, and how many times as fast ours are. The
// plugin runs in its sandbox with its fences. `make bench-peers` runs it.
func BenchmarkRealPeers(b *testing.B) {
	c := exec.Command("../../../testdata/peers/kafka/tool.sh", "testdata/Peer.java")
	c.Env = append(os.Environ(), "TIMEOUT=900", "HEAP=512m", "TIERED=4")
	c.Stderr = os.Stderr
	in, err := c.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := c.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		in.Close()
		_ = c.Wait()
	})
	answers := bufio.NewScanner(out)
	theirs := func(b *testing.B, what string, n int) float64 {
		fmt.Fprintf(in, "%s %d\n", what, n)
		if !answers.Scan() {
			b.Fatal("Peer.java ended")
		}
		ns, err := strconv.ParseFloat(answers.Text(), 64)
		if err != nil {
			b.Fatal(err)
		}
		return ns
	}
	m, reg, _ := manager(b, nil)
	for _, what := range []string{"chain-1", "chain-3", "chain-5", "in", "out", "path"} {
		for _, form := range []string{"schema", "plain"} {
			b.Run(what+"/"+form, func(b *testing.B) {
				const rows, turns = 500, 9
				do := ourWork(b, func(n int) (*Chain, error) {
					return New(context.Background(), Options{Manager: m, Connector: "c", Stages: peerStages[:n]})
				}, reg, what, form == "schema", rows)
				theirs(b, what+" "+form, 200_000) // until it is warm
				do()
				var of, ours []float64
				for b.Loop() {
					of, ours = of[:0], ours[:0]
					for range turns {
						of = append(of, theirs(b, what+" "+form, 20_000))
						before := cpu(b)
						for range 20 {
							do()
						}
						ours = append(ours, float64(cpu(b)-before)/(20*rows))
					}
				}
				slices.Sort(of)
				slices.Sort(ours)
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(of[turns/2], "Kafka-cpu-ns/record")
				b.ReportMetric(ours[turns/2], "ours-cpu-ns/record")
				b.ReportMetric(of[turns/2]/ours[turns/2], "times-as-fast")
			})
		}
	}
}

// ourWork is one call's worth of a case of Peer.java.
func ourWork(b *testing.B, chain func(stages int) (*Chain, error), reg *record.Registry, what string, typed bool,
	count int) func() {
	ctx := context.Background()
	batch := tenFields(b, reg, count, 1024)
	if !typed {
		withoutSchema(b, batch)
	}
	json, err := convert.New(convert.ClassJSON, map[string]string{"schemas.enable": strconv.FormatBool(typed)},
		convert.Use{Schemas: reg})
	if err != nil {
		b.Fatal(err)
	}
	text, _, err := json.Encode(ctx, nil, math.MaxInt32, "orders", batch, batch.Rows[0].Value)
	if err != nil {
		b.Fatal(err)
	}
	rows, data := slices.Clone(batch.Rows), len(batch.Data)
	var dst []byte
	encode := func() {
		for i := range batch.Rows {
			if dst, _, err = json.Encode(ctx, dst[:0], math.MaxInt32, "orders", batch, batch.Rows[i].Value); err != nil {
				b.Fatal(err)
			}
		}
	}
	if what == "out" {
		return encode
	}
	stages := 3
	if n, is := strings.CutPrefix(what, "chain-"); is {
		stages, _ = strconv.Atoi(n)
	}
	c, err := chain(stages)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	return func() {
		batch.Rows, batch.Topics = append(batch.Rows[:0], rows...), batch.Topics[:1]
		if batch.Data = batch.Data[:data]; what == "in" || what == "path" {
			batch.Data = batch.Data[:0]
			for i := range batch.Rows {
				if batch.Rows[i].Value, err = json.Decode(ctx, "orders", text, batch); err != nil {
					b.Fatal(err)
				}
			}
		}
		if what == "in" {
			return
		}
		if faults, err := c.Apply(ctx, batch); err != nil || len(faults) > 0 || len(batch.Rows) != count {
			b.Fatal(err, faults)
		}
		if what == "path" {
			encode()
		}
	}
}
