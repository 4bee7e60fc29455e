//go:build real

package transform

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/convert"
	"github.com/culvert-project/culvert/internal/convert/registry"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
)

// peerSingles contains each transform and each predicate, alone or with as little else as possible.
var peerSingles = []struct {
	name   string
	stages []Stage
}{
	{"Cast", []Stage{castStage}},
	{"DropHeaders", []Stage{
		newStage("put", "InsertHeader", "header", "h", "value.literal", "7"),
		newStage("drop", "DropHeaders", "headers", "h"),
	}},
	{"ExtractField", []Stage{newStage("one", "ExtractField$Value", "field", "f3")}},
	{"Filter", []Stage{newStage("none", "Filter")}},
	{"Flatten", []Stage{newStage("flat", "Flatten$Value")}},
	{"HeaderFrom", []Stage{headStage}},
	{"HoistField", []Stage{newStage("all", "HoistField$Value", "field", "all")}},
	{"InsertField", []Stage{insertStage}},
	{"InsertHeader", []Stage{newStage("put", "InsertHeader", "header", "h", "value.literal", "7")}},
	{"MaskField", []Stage{newStage("mask", "MaskField$Value", "fields", "f4")}},
	{"RegexRouter", []Stage{routeStage}},
	{"ReplaceField", []Stage{namesStage}},
	{"SetSchemaMetadata", []Stage{newStage("name", "SetSchemaMetadata$Value", "schema.name", "N")}},
	{"TimestampConverter", []Stage{timeStage}},
	{"TimestampRouter", []Stage{dayStage}},
	{"ValueToKey", []Stage{keyStage}},
	{"HasHeaderKey", []Stage{unless(insertStage, "HasHeaderKey", "name", "h")}},
	{"RecordIsTombstone", []Stage{unless(insertStage, "RecordIsTombstone")}},
	{"TopicNameMatches", []Stage{onlyIf(insertStage, "TopicNameMatches", "pattern", "orders.*")}},
}

// stagesText returns stages in the format of Peer.java.
func stagesText(b *testing.B, stages []Stage) string {
	toJSON := func(class string, settings func(plugin.Info) []wit.Setting) map[string]any {
		fields := map[string]any{"type": class}
		for _, s := range settings(plugin.Info{}) {
			fields[s.Name] = s.Value
		}
		return fields
	}
	list := []map[string]any{}
	for _, s := range stages {
		stage := toJSON(s.Class, s.Settings)
		if s.Predicate != nil {
			stage["predicate"] = toJSON(s.Predicate.Class, s.Predicate.Settings)
			stage["negate"] = s.Negate
		}
		list = append(list, stage)
	}
	text, err := json.Marshal(list)
	require.NoError(b, err)
	return string(text)
}

// startPiped starts a program, and returns its input and its output.
func startPiped(b *testing.B, c *exec.Cmd) (in io.WriteCloser, out io.Reader) {
	in, err := c.StdinPipe()
	require.NoError(b, err)
	out, err = c.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, c.Start())
	return in, out
}

// peer starts a program of testdata with Kafka's classes. The returned function processes n records of a case, and
// returns the nanoseconds of CPU per record.
func peer(b *testing.B, tool, program string, settings ...string) func(b *testing.B, caseText string, n int) float64 {
	c := exec.Command("../../../testdata/peers/"+tool+"/tool.sh", "testdata/"+program)
	c.Env = append(append(os.Environ(), "TIMEOUT=900", "HEAP=512m", "TIERED=4"), settings...)
	c.Stderr = os.Stderr
	in, out := startPiped(b, c)
	b.Cleanup(func() {
		in.Close()
		_ = c.Wait()
	})
	results := bufio.NewScanner(out)
	return func(b *testing.B, caseText string, n int) float64 {
		fmt.Fprintf(in, "%d %s\n", n, caseText)
		require.True(b, results.Scan(), "%s ended", program)
		ns, err := strconv.ParseFloat(results.Text(), 64)
		require.NoError(b, err)
		return ns
	}
}

// BenchmarkRealPeers compares Kafka's own classes on a warm JVM with ours, on the same records and in turns. It prints
// the median nanoseconds of CPU per record of each, and their ratio. For the JVM only the working thread is measured,
// without the garbage collector; for ours the whole process. A turn is long enough that the previous turn's data in the
// processor's caches does not matter. The plugin runs in its sandbox with its limits. The Avro classes are from
// Apicurio's fork of Confluent's. `make bench-peers` runs it.
func BenchmarkRealPeers(b *testing.B) {
	m, reg, _ := manager(b, nil)
	compare := func(b *testing.B, peerCPU func(*testing.B, string, int) float64, name, form string, stages []Stage) {
		b.Run(name+"/"+form, func(b *testing.B) {
			const (
				rows  = 500 // in a call
				calls = 200 // in a turn
				turns = 9
			)
			theirCPU := func(b *testing.B, n int) float64 {
				return peerCPU(b, name+" "+form+" "+stagesText(b, stages), n)
			}
			call := ourWork(b, func() (*Chain, error) {
				return New(context.Background(), Options{Manager: m, Connector: "c", Stages: stages})
			}, reg, name, form == "schema", rows)
			theirCPU(b, 200_000) // warm-up
			call()
			var theirs, ours []float64
			for b.Loop() {
				theirs = theirs[:0]
				ours = ours[:0]
				for range turns {
					theirs = append(theirs, theirCPU(b, calls*rows))
					cpuBefore := cpu(b)
					for range calls {
						call()
					}
					ours = append(ours, float64(cpu(b)-cpuBefore)/(calls*rows))
				}
			}
			slices.Sort(theirs)
			slices.Sort(ours)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(theirs[turns/2], "Kafka-cpu-ns/record")
			b.ReportMetric(ours[turns/2], "ours-cpu-ns/record")
			b.ReportMetric(theirs[turns/2]/ours[turns/2], "times-as-fast")
		})
	}
	kafkaCPU := peer(b, "kafka", "Peer.java")
	cases := append(benchChains[:len(benchChains):len(benchChains)], peerSingles...)
	for _, name := range []string{"in", "out", "path"} {
		cases = append(cases, benchChains[0])
		cases[len(cases)-1].name = name
	}
	for _, c := range cases {
		compare(b, kafkaCPU, c.name, "schema", c.stages)
		if c.name != "SetSchemaMetadata" { // it accepts no record without schema
			compare(b, kafkaCPU, c.name, "plain", c.stages)
		}
	}
	b.Run("avro", func(b *testing.B) {
		libraries, _ := filepath.Glob("../../../.peers/kafka-*/lib")
		require.True(b, len(libraries) != 0, "expected Kafka's classes, which Peer.java downloads")
		avroCPU := peer(b, "avro", "PeerAvro.java", "CLASSES="+libraries[0]+"/*")
		for _, name := range []string{"avro-in", "avro-out", "avro-path"} {
			compare(b, avroCPU, name, "schema", fieldStages)
		}
	})
}

// numberedSchemas is a schema registry without a socket, which assigns ids from 1 on.
type numberedSchemas struct{ list []string }

func (s *numberedSchemas) RoundTrip(q *http.Request) (*http.Response, error) {
	respond := func(code int, text string) (*http.Response, error) {
		return &http.Response{StatusCode: code, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(text)),
			Request: q}, nil
	}
	if id, ok := strings.CutPrefix(q.URL.Path, "/schemas/ids/"); ok {
		if n, err := strconv.Atoi(id); err == nil && n >= 1 && n <= len(s.list) {
			return respond(200, s.list[n-1])
		}
	}
	if strings.HasSuffix(q.URL.Path, "/versions") && q.Method == http.MethodPost {
		text, err := io.ReadAll(q.Body)
		if err != nil {
			return nil, err
		}
		i := slices.Index(s.list, string(text))
		if i < 0 {
			i = len(s.list)
			s.list = append(s.list, string(text))
		}
		return respond(200, fmt.Sprintf(`{"id":%d}`, i+1))
	}
	return respond(404, `{"error_code":40403,"message":"Schema not found."}`)
}

// peerConverter returns the Avro or the JSON converter; typed JSON has schemas.
func peerConverter(b *testing.B, reg *record.Registry, avro, typed bool) convert.Converter {
	class := convert.ClassJSON
	settings := map[string]string{"schemas.enable": strconv.FormatBool(typed)}
	if avro {
		class = convert.ClassAvro
		settings = map[string]string{"schema.registry.url": "http://127.0.0.1:1"}
	}
	schemas := &numberedSchemas{}
	c, err := convert.New(class, settings, convert.Options{Schemas: reg,
		OpenRegistry: func(s registry.Settings) (*registry.Client, error) {
			return registry.OpenWith(s, schemas, slog.New(slog.DiscardHandler))
		}})
	require.NoError(b, err)
	return c
}

// ourWork returns a function that processes one call of a case of Peer.java or PeerAvro.java.
func ourWork(b *testing.B, chain func() (*Chain, error), reg *record.Registry, name string, typed bool,
	count int) func() {
	ctx := context.Background()
	batch := tenFields(b, reg, count, 1024)
	if !typed {
		withoutSchema(b, batch)
	}
	step, isAvro := strings.CutPrefix(name, "avro-")
	converter := peerConverter(b, reg, isAvro, typed)
	text, _, err := converter.Encode(ctx, nil, math.MaxInt32, "orders", batch, batch.Rows[0].Value)
	require.NoError(b, err)
	rows := slices.Clone(batch.Rows)
	dataSize := len(batch.Data)
	var dst []byte
	encode := func() {
		for i := range batch.Rows {
			dst, _, err = converter.Encode(ctx, dst[:0], math.MaxInt32, "orders", batch, batch.Rows[i].Value)
			if err != nil { // require's look at the stack would be measured
				b.Fatal(err)
			}
		}
	}
	if step == "out" {
		return encode
	}
	c, err := chain()
	require.NoError(b, err)
	b.Cleanup(func() { c.Close() })
	return func() {
		batch.Rows = append(batch.Rows[:0], rows...)
		batch.Topics = batch.Topics[:1]
		batch.Data = batch.Data[:dataSize]
		if step == "in" || step == "path" {
			batch.Data = batch.Data[:0]
			for i := range batch.Rows {
				batch.Rows[i].Value, err = converter.Decode(ctx, "orders", text, batch)
				if err != nil {
					b.Fatal(err)
				}
			}
		}
		if step == "in" {
			return
		}
		rowErrs, err := c.Apply(ctx, batch)
		require.True(b, err == nil && len(rowErrs) == 0 && (len(batch.Rows) == count || step == "Filter"),
			"expected %d rows, found %d, %v, %v", count, len(batch.Rows), err, rowErrs)
		if step == "path" {
			encode()
		}
	}
}
