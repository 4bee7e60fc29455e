//go:build real

package plugin_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/host/internal/base/assert"
	"github.com/culvert-project/culvert/host/internal/base/logtest"
	"github.com/culvert-project/culvert/host/internal/base/require"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// foreign are guests that were written on public bindings: their folder under testdata/guests, and the prefix of their
// components.
var foreign = []struct{ folder, prefix string }{{"rust-transform", "rust."}, {"c-transform", "c."}}

// foreignGuest builds one and binds it.
func foreignGuest(t *testing.T, folder, prefix string, registry *record.Registry, log *logtest.Journal) *plugin.Pool {
	t.Helper()
	plugins := t.TempDir()
	build := exec.Command("../../testdata/guests/"+folder+"/build.sh", filepath.Join(plugins, "guest.wasm"))
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		t.Fatalf("building the guest %s: %v", folder, err)
	}
	m := manager(t, plugin.Options{Registry: registry, Logger: log.Logger(plugin.LevelTrace)}, plugins)
	b, err := m.Bind("test", wit.ComponentTransformation, prefix+"Append", "")
	if err != nil {
		t.Fatalf("%v: %v", err, m.Modules()[0].Err)
	}
	t.Cleanup(b.Close)
	return b.Current()
}

// eachForeign runs a test with each of them.
func eachForeign(t *testing.T, f func(t *testing.T, prefix string, pool *plugin.Pool, registry *record.Registry,
	log *logtest.Journal)) {
	for _, g := range foreign {
		t.Run(g.folder, func(t *testing.T) {
			log, registry := new(logtest.Journal), record.NewRegistry()
			f(t, g.prefix, foreignGuest(t, g.folder, g.prefix, registry, log), registry, log)
		})
	}
}

func do(t *testing.T, pool *plugin.Pool, f func(context.Context, *plugin.Instance) error) error {
	t.Helper()
	return pool.Do(context.Background(), func(i *plugin.Instance) error { return f(context.Background(), i) })
}

func TestRealForeignGuestsAnswerEveryFunctionOfTheirWorld(t *testing.T) { eachForeign(t, answerAll) }

func answerAll(t *testing.T, prefix string, pool *plugin.Pool, registry *record.Registry, log *logtest.Journal) {
	err := do(t, pool, func(ctx context.Context, i *plugin.Instance) error {
		d, err := i.Describe(ctx)
		require.NoError(t, err)
		if len(d.Components) != 4 || d.Documentation != "Größe: a plugin made with wit-bindgen." ||
			cmp.Diff(d.Components[0].Settings[0].Rules, []wit.Rule{{Required: wit.Chosen},
				{Group: d.Components[0].Settings[0].Rules[1].Group}, {Order: wit.Ptr(int32(1))},
				{Width: wit.Ptr(uint8(2))}}) != "" {
			t.Errorf("described itself as %+v", d)
		}
		q, err := i.Validate(ctx, prefix+"Append", []wit.Setting{{Name: "text", Value: "x"}}, false, nil, nil)
		require.NoError(t, err)
		if done := *q.Done; len(done) != 2 || len(done[0].Errors) != 1 || *done[1].Value != "x" {
			t.Errorf("validated as %+v", *q.Done)
		}
		_, err = i.Validate(ctx, prefix+"None", nil, true, []byte{1}, []wit.Response{{Tag: "t", Status: 200}})
		if f, ok := err.(*wit.Fault); !ok || f.Kind != wit.FaultConfig || !strings.Contains(f.Message, prefix+"None") {
			t.Errorf("an unknown component: %v", err)
		}
		_, err = i.Prepare(ctx, nil)
		if f, ok := err.(*wit.Fault); !ok || f.Kind != wit.FaultUnsupported {
			t.Errorf("an empty chain: %v", err)
		}
		context, err := i.Prepare(ctx, []wit.Stage{{Component: prefix + "Append",
			Settings: []wit.Setting{{Name: "field", Value: "Name"},
				{Name: "text", Value: "€"}}}})
		require.NoError(t, err)
		appendText(ctx, t, i, context, registry)
		return nil
	})
	require.NoError(t, err)
	assert.Contains(t, log.String(), "prepared "+prefix+"Append")
}

func appendText(ctx context.Context, t *testing.T, i *plugin.Instance, context []byte,
	registry *record.Registry) {
	schema, err := registry.Intern([]wit.Node{
		{Kind: wit.Structure, Name: wit.Ptr("T"), Members: []wit.Member{{Name: "Id", Node: 1},
			{Name: "Name", Node: 2}}},
		{Kind: wit.Int32}, {Kind: wit.Text, Optional: true}})
	require.NoError(t, err)
	for round := range 3 {
		b := &record.Batch{Registry: registry, Topics: []string{"a", "b"}}
		for n := range 500 {
			var name any = strings.Repeat("ü", n%40)
			if n%7 == 0 {
				name = nil
			}
			start := uint32(len(b.Data))
			b.Data, err = datum.Append(b.Data, schema.Nodes, 0, datum.Record{int32(n), name})
			require.NoError(t, err)
			b.Rows = append(b.Rows, wit.Row{Origin: uint32(n), Topic: uint32(n % 2), Partition: -1, Offset: int64(n),
				Timestamp: -1, Value: wit.Datum{Form: wit.Structured, Schema: schema.ID, Start: start,
					Size: uint32(len(b.Data)) - start}})
		}
		b.Rows[13].Value.Size-- // bytes that are no value of the schema
		faults, err := i.Apply(ctx, context, b)
		require.NoError(t, err)
		if len(faults) != 1 || faults[0].Origin != 13 || !strings.HasSuffix(faults[0].ErrorClass, ".Error") ||
			len(b.Rows) != 499 {
			t.Fatalf("round %d: %d rows, faults %+v", round, len(b.Rows), faults)
		}
		for _, row := range b.Rows {
			n := int(row.Origin)
			v, _, err := datum.Read(schema.Nodes, 0, b.Bytes(row.Value))
			require.NoError(t, err)
			want := datum.Record{int32(n), strings.Repeat("ü", n%40) + "€"}
			if n%7 == 0 {
				want[1] = nil
			}
			if diff := cmp.Diff(any(want), v); diff != "" || row.Topic != uint32(n%2) || row.Offset != int64(n) {
				t.Fatalf("row %d: %s", n, diff)
			}
		}
	}
}

// Each guest writes every example of wit/encoding.md by itself, from the page alone.
func TestRealForeignGuestsWriteTheExamplesOfThePage(t *testing.T) { eachForeign(t, writeExamples) }

func writeExamples(t *testing.T, prefix string, pool *plugin.Pool, registry *record.Registry, _ *logtest.Journal) {
	var want [][]byte
	for _, m := range regexp.MustCompile(
		"(?m)^\\| .+ \\| `([0-9a-f ]+)` \\|$|dynamic\\s+null:\\s+`([0-9a-f ]+)`").FindAllStringSubmatch(page(t), -1) {
		b, err := hex.DecodeString(strings.ReplaceAll(m[1]+m[2], " ", ""))
		require.NoError(t, err)
		want = append(want, b)
	}
	err := do(t, pool, func(ctx context.Context, i *plugin.Instance) error {
		context, err := i.Prepare(ctx, []wit.Stage{{Component: prefix + "Examples"}})
		require.NoError(t, err)
		b := &record.Batch{Registry: registry, Topics: []string{"t"}, Rows: make([]wit.Row, len(want))}
		_, err = i.Apply(ctx, context, b)
		require.NoError(t, err)
		for n, row := range b.Rows {
			v, _, err := datum.Read(registry.Get(row.Value.Schema).Nodes, 0, b.Bytes(row.Value))
			if err != nil || !bytes.Equal(v.([]byte), want[n]) {
				t.Errorf("example %d: the guest wrote % x, the page has % x (%v)", n+1, v, want[n], err)
			}
		}
		return nil
	})
	if err != nil || len(want) != 28 {
		t.Fatalf("%d examples, %v", len(want), err)
	}
}

func TestRealForeignGuestsEchoAndTest(t *testing.T) { eachForeign(t, echoAndTest) }

func echoAndTest(t *testing.T, prefix string, pool *plugin.Pool, registry *record.Registry, _ *logtest.Journal) {
	err := do(t, pool, func(ctx context.Context, i *plugin.Instance) error {
		echo, err := i.Prepare(ctx, []wit.Stage{{Component: prefix + "Echo"}})
		require.NoError(t, err)
		value := datum.AppendText([]byte{datum.TagText}, "Größe")
		headers := datum.AppendHeaders(nil, []datum.Header{{Name: "h", Form: wit.Raw, Value: []byte{0xff}}})
		b := &record.Batch{Registry: registry, Topics: []string{"lower", "UPPER"},
			Data: append(append([]byte{}, value...),
				headers...)}
		for n := range 10 {
			b.Rows = append(b.Rows, wit.Row{Origin: uint32(n), Topic: uint32(n % 2), Timestamp: int64(n),
				Value:   wit.Datum{Form: wit.Dynamic, Size: uint32(len(value))},
				Headers: wit.Datum{Form: wit.Raw, Start: uint32(len(value)), Size: uint32(len(headers))}})
		}
		_, err = i.Apply(ctx, echo, b)
		require.NoError(t, err)
		for n, row := range b.Rows {
			if !bytes.Equal(b.Bytes(row.Value), value) || !bytes.Equal(b.Bytes(row.Headers), headers) ||
				row.Timestamp != int64(n) {
				t.Errorf("row %d came back as %+v", n, row)
			}
		}
		upper, err := i.Prepare(ctx, []wit.Stage{{Component: prefix + "Upper"}})
		require.NoError(t, err)
		matches, _, err := i.Test(ctx, upper, b)
		for n, m := range matches {
			if m != (n%2 == 1) {
				t.Errorf("row %d of topic %s: %v", n, b.Topics[n%2], m)
			}
		}
		return err
	})
	require.NoError(t, err)
}

func page(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../wit/encoding.md")
	require.NoError(t, err)
	return string(text)
}

// What a panic in Rust says gets into the log, and the stack of its trap has the names of functions.
func TestRealRustPanicIsLogged(t *testing.T) {
	log, registry := new(logtest.Journal), record.NewRegistry()
	pool := foreignGuest(t, "rust-transform", "rust.", registry, log)
	err := do(t, pool, func(ctx context.Context, i *plugin.Instance) error {
		context, err := i.Prepare(ctx, []wit.Stage{{Component: "rust.Append", Settings: []wit.Setting{{Name: "field",
			Value: "Name"},
			{Name: "text", Value: "panic!"}}}})
		require.NoError(t, err)
		b := &record.Batch{Registry: registry, Topics: []string{"a"}, Rows: []wit.Row{{Partition: -1, Timestamp: -1}}}
		_, err = i.Apply(ctx, context, b)
		return err
	})
	assert.Error(t, err, "rust_transform")
	if !strings.Contains(log.String(), "asked to panic in a batch of 1 rows") || !strings.Contains(log.String(),
		"src/lib.rs:") {
		t.Errorf("expected the panic and its place in the log, found %s", log.String())
	}
}
