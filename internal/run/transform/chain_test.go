package transform

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

func oddPlugin(t testing.TB, version string) []byte {
	return guesttest.Bytes(t, "./testdata/guests/odd", "main.version="+version)
}

// newNumberedBatch returns rows with n from 0 up, alternating between two topics.
func newNumberedBatch(t testing.TB, reg *record.Registry, rows int) *record.Batch {
	s, err := reg.Intern([]wit.SchemaNode{{Kind: wit.Struct, Fields: []wit.Field{{Name: "n", Node: 1}, {Name: "s",
		Node: 2}}}, {Kind: wit.Int64}, {Kind: wit.String}})
	require.NoError(t, err)
	b := &record.Batch{Registry: reg, Topics: []string{"even", "odd"}}
	for i := range rows {
		// Several rows may have the same row index.
		b.Rows = append(b.Rows, wit.Row{RowIndex: uint32(1000 + i/3), Topic: uint32(i % 2), Partition: -1,
			Offset: int64(i), Timestamp: -1, Value: appendValue(t, b, s, connectdata.Struct{int64(i), "-"})})
	}
	return b
}

// rowTexts returns the rows as topic, number and text, and the added fields. It checks their row index and offset.
func rowTexts(t testing.TB, b *record.Batch) []string {
	var list []string
	for _, r := range b.Rows {
		v, _, err := connectdata.Read(b.Registry.Get(r.Value.Schema).Nodes, 0, b.Bytes(r.Value))
		require.NoError(t, err)
		list = append(list, fmt.Sprint(b.Topics[r.Topic], v))
		n := v.(connectdata.Struct)[0].(int64)
		require.True(t, r.RowIndex == uint32(1000+n/3) && r.Offset == n,
			"row %d: expected the row index %d and its offset, found %d and %d", n, 1000+n/3, r.RowIndex, r.Offset)
	}
	return list
}

// settingsOf returns settings that are visible to every version; pairs are their names and values.
func settingsOf(pairs ...string) func(plugin.Info) []wit.Setting {
	var settings []wit.Setting
	for i := 0; i < len(pairs); i += 2 {
		settings = append(settings, wit.Setting{Name: pairs[i], Value: pairs[i+1]})
	}
	return func(plugin.Info) []wit.Setting { return settings }
}

// mark returns a transform of the plugin odd that appends a text and the first digit of its version.
func mark(text string) Stage {
	return Stage{Alias: "mark" + text, Class: "test.Mark", Settings: settingsOf("text", text)}
}

// managerWithOdd loads the plugins smt and odd.
func managerWithOdd(t testing.TB) (*plugin.Manager, *record.Registry) {
	t.Helper()
	m, reg, _ := manager(t, map[string][]byte{"odd.wasm": oddPlugin(t, "1.0.0")})
	return m, reg
}

func insert(name, value string) Stage {
	return newStage("insert-"+name, "InsertField$Value", "static.field", name, "static.value", value)
}

// open opens a chain until the test ends; limit is the number of rows per call. Zero means as many as fit.
func open(t testing.TB, m *plugin.Manager, limit int, stages ...Stage) *Chain {
	t.Helper()
	c, err := New(t.Context(), Options{Manager: m, Connector: "c", Stages: stages, BatchRows: limit})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// mustApply applies a chain to a batch and checks that no row fails.
func mustApply(t testing.TB, c *Chain, b *record.Batch) {
	t.Helper()
	rowErrs, err := c.Apply(t.Context(), b)
	require.True(t, err == nil && len(rowErrs) == 0, "expected no error, found %v, %v", err, rowErrs)
}

// run applies stages to a batch and returns the errors of its rows.
func run(t *testing.T, m *plugin.Manager, b *record.Batch, limit int, stages ...Stage) []wit.RowError {
	t.Helper()
	rowErrs, err := open(t, m, limit, stages...).Apply(t.Context(), b)
	require.NoError(t, err)
	return rowErrs
}

// An appended field is written into the space that the host leaves after each value (valueRoom of internal/plugin),
// which is as much as the plugin requests (kernel.Room): values keep their position in the call's data, and all of the
// data is returned.
func TestAppendedFieldsUseReservedSpace(t *testing.T) {
	m, reg, _ := manager(t, nil)
	c := open(t, m, 0, fieldStages[0])
	for call := range 2 { // the first row of a schema, and those after it in the same call, take another code path
		b := tenFields(t, reg, 3, 200)
		mustApply(t, c, b)
		first := b.Rows[0].Value
		second := b.Rows[1].Value
		if between := int(second.Start) - int(first.Start+first.Size); call == 1 && between <= 0 {
			t.Errorf("expected reserved space after the values of the result, found %d bytes", between)
		}
	}
}

// A predicate of one plugin on a transform of another, in both directions and in pieces of every size: the rows keep
// their order.
func TestPredicateOfAnotherPlugin(t *testing.T) {
	m, reg := managerWithOdd(t)
	odds := newStage("x", "InsertField$Value", "topic.field", "t")
	odds.Predicate = &Predicate{Alias: "p", Class: "test.Odd"}
	evens := odds
	evens.Negate = true
	byTopic := onlyIf(mark("m"), "TopicNameMatches", "pattern", "od+")
	drop := Stage{Alias: "f", Class: "Filter", Predicate: &Predicate{Alias: "p", Class: "test.Odd"}}
	for _, limit := range []int{1, 2, 5, 500} {
		for name, c := range map[string]struct {
			stages []Stage
			want   []string
		}{
			"odd": {
				stages: []Stage{odds},
				want:   []string{"even[0 -]", "odd[1 - odd]", "even[2 -]", "odd[3 - odd]"},
			},
			"negated": {
				stages: []Stage{evens},
				want:   []string{"even[0 - even]", "odd[1 -]", "even[2 - even]", "odd[3 -]"},
			},
			"topic": {
				stages: []Stage{byTopic},
				want:   []string{"even[0 -]", "odd[1 -m1]", "even[2 -]", "odd[3 -m1]"},
			},
			"drop": {stages: []Stage{drop, mark("a")}, want: []string{"even[0 -a1]", "even[2 -a1]"}},
			"in a chain": {
				stages: []Stage{insert("i", "1"), odds, insert("j", "2"), mark("z")},
				want:   []string{"even[0 -z1 1 2]", "odd[1 -z1 1 odd 2]", "even[2 -z1 1 2]", "odd[3 -z1 1 odd 2]"},
			},
		} {
			b := newNumberedBatch(t, reg, 4)
			assert.Len(t, 0, run(t, m, b, limit, c.stages...), name, "failed row")
			assert.Equal(t, c.want, rowTexts(t, b), fmt.Sprintf("%s, %d rows a call", name, limit))
		}
	}
}

// Rows that were created from one row keep their order if a predicate of another plugin matches only some of them, and
// if one of them fails, the error names that row.
func TestSplitRowsKeepTheirOrder(t *testing.T) {
	m, reg, _ := manager(t, map[string][]byte{"odd.wasm": oddPlugin(t, "1.0.0"),
		"split.wasm": guesttest.Bytes(t, "./testdata/guests/split")})
	split := Stage{Alias: "s", Class: "test.Split"}
	onOddTopic := func(s Stage) Stage { return onlyIf(s, "TopicNameMatches", "pattern", "odd") }
	want := []string{"even[0 -]", "odd[0 -m1]", "even[0 -]", "odd[0 -m1]", "even[1 -]", "odd[1 -m1]", "even[1 -]",
		"odd[1 -m1]"}
	for _, limit := range []int{1, 2, 3, 500} {
		b := newNumberedBatch(t, reg, 2)
		assert.Len(t, 0, run(t, m, b, limit, split, onOddTopic(mark("m"))), "failed row")
		assert.Equal(t, want, rowTexts(t, b), fmt.Sprint(limit, " rows a call"))
		b = newNumberedBatch(t, reg, 10)
		var failures []string
		rowErrs := run(t, m, b, limit, split, onOddTopic(Stage{Alias: "t", Class: "test.Trap"}))
		for _, f := range rowErrs {
			failures = append(failures, fmt.Sprint(f.RowIndex, " in stage ", f.Stage))
		}
		assert.Equal(t, []string{"5 in stage 1", "6 in stage 1", "8 in stage 1"}, failures,
			fmt.Sprint(limit, " rows a call"))
		assert.Contains(t, rowErrs[0].Error.Message, "exited with code 7")
		assert.Equal(t, "eight is refused", rowErrs[2].Error.Message)
		assert.Equal(t, 4*7, len(b.Rows), limit, "rows a call: all parts of 7 rows")
	}
}

// Errors of any stage name the original row and the stage in the whole chain; the other rows continue.
func TestErrorsNameRowAndStage(t *testing.T) {
	m, reg := managerWithOdd(t)
	filter := onlyIf(Stage{Alias: "f", Class: "Filter"}, "TopicNameMatches", "pattern", "even")
	conditional := insert("i", "1")
	conditional.Predicate = &Predicate{Alias: "p", Class: "test.Odd"}
	offset := onlyIf(newStage("o", "InsertField$Value", "partition.field", "p!"), "TopicNameMatches", "pattern", "none")
	for _, limit := range []int{1, 4, 500} {
		b := newNumberedBatch(t, reg, 20)
		inputs := append([]wit.Row(nil), b.Rows...)
		c := open(t, m, limit, filter, conditional, Stage{Alias: "t", Class: "test.Trap"}, offset)
		rowErrs, err := c.Apply(t.Context(), b)
		require.NoError(t, err)
		var got []string
		for _, f := range rowErrs {
			class := f.ErrorClass[strings.LastIndexByte(f.ErrorClass, '.')+1:]
			got = append(got, fmt.Sprint(f.RowIndex, " ", f.Stage, " ", class))
			assert.Equal(t, inputs[f.RowIndex], c.Input(f.RowIndex), f.RowIndex, "the original row")
		}
		// 5 makes the plugin trap and is processed alone in the end; 13 fails the predicate.
		assert.Equal(t, []string{"5 2 ConnectException", "13 1 DataException"}, got, fmt.Sprint(limit, " rows a call"))
		want := []string{"odd[1 - 1]", "odd[3 - 1]", "odd[7 - 1]", "odd[9 - 1]", "odd[11 - 1]", "odd[15 - 1]",
			"odd[17 - 1]", "odd[19 - 1]"}
		assert.Equal(t, want, rowTexts(t, b), fmt.Sprint(limit, " rows a call"))
	}
}

// An error of a stage names the stage's plugin, in chains of several plugins.
func TestErrorsHaveThePluginOfTheStage(t *testing.T) {
	m, reg := managerWithOdd(t)
	c := open(t, m, 0, insert("i", "1"), Stage{Alias: "t", Class: "test.Trap"})
	failure := errors.New("no")
	var smt, odd *Error
	if !errors.As(c.Named(0, failure), &smt) || !errors.As(c.Named(1, failure), &odd) ||
		!strings.HasPrefix(smt.Plugin, "smt ") || !strings.HasPrefix(odd.Plugin, "odd ") || !errors.Is(odd, failure) {
		t.Errorf("expected the plugins smt and odd, found %v and %v", smt, odd)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := c.Apply(ctx, newNumberedBatch(t, reg, 1))
	assert.True(t, errors.As(err, &smt) && strings.HasPrefix(smt.Plugin, "smt "),
		"expected an error of the plugin smt, found %v", err)
	_, err = New(t.Context(), Options{Manager: m, Connector: "c", Stages: []Stage{insert("i", "1"),
		newStage("o", "InsertField$Value", "partition.fields", "p")}})
	assert.True(t, errors.As(err, &smt), "expected an error of the plugin smt, found %v", err)
}

// A row of which another plugin rejects one part fails as a whole, as it does if its own plugin rejects the part: half
// an order would be worse than none.
func TestRowFailsAsAWhole(t *testing.T) {
	m, reg := managerWithOdd(t)
	s, err := reg.Intern([]wit.SchemaNode{{Kind: wit.Struct, Fields: []wit.Field{{Name: "l", Node: 1}}},
		{Kind: wit.Array, Element: 2}, {Kind: wit.Struct, Fields: []wit.Field{{Name: "n", Node: 3}, {Name: "s",
			Node: 4}}}, {Kind: wit.Int64}, {Kind: wit.String}})
	require.NoError(t, err)
	for _, limit := range []int{1, 2, 500} {
		b := &record.Batch{Registry: reg, Topics: []string{"even"}}
		for first := range 3 { // 0-2, 3-5, 6-8: 5 traps, 8 is rejected
			var items connectdata.List
			for n := range 3 {
				items = append(items, connectdata.Struct{int64(3*first + n), "-"})
			}
			b.Rows = append(b.Rows, wit.Row{RowIndex: uint32(first), Partition: -1, Offset: -1, Timestamp: -1,
				Value: appendValue(t, b, s, connectdata.Struct{items})})
		}
		split := newStage("split", "", "field", "l", "extract", "true")
		split.Class = "org.culvert.transforms.Split"
		rowErrs := run(t, m, b, limit, split, Stage{Alias: "t", Class: "test.Trap"})
		assert.True(t, len(rowErrs) == 2 && rowErrs[0].RowIndex == 1 && rowErrs[1].RowIndex == 2 && len(b.Rows) == 3,
			"%d rows a call: expected the three rows of the first, found %d, %v", limit, len(b.Rows), rowErrs)
		for _, r := range b.Rows {
			assert.Equal(t, 0, r.RowIndex, limit, "rows a call: no part of row")
		}
	}
}

// A row that makes a predicate of another plugin panic is found by halving, too; the others keep their order.
func TestTrapsOfPredicatesAreHalved(t *testing.T) {
	m, reg := managerWithOdd(t)
	stage := newStage("x", "InsertField$Value", "topic.field", "t")
	stage.Predicate = &Predicate{Alias: "p", Class: "test.Odd"}
	for _, limit := range []int{1, 64, 1000} {
		b := newNumberedBatch(t, reg, 700)
		rowErrs := run(t, m, b, limit, stage)
		if len(rowErrs) != 2 || rowErrs[0].RowIndex != 13 || rowErrs[1].RowIndex != 666 ||
			!strings.Contains(rowErrs[1].Error.Message, "panic: the number of the beast") ||
			!strings.Contains(rowErrs[1].Error.Message, "main.go:") { // its stack trace
			t.Fatalf("%d rows a call: expected rows 13 and 666, found %v", limit, rowErrs)
		}
		if rows := rowTexts(t, b); len(rows) != 698 || rows[665] != "odd[667 - odd]" {
			t.Errorf("%d rows a call: expected 698 rows and odd[667 - odd], found %d, %s", limit, len(rows), rows[665])
		}
	}
}

// Adjacent stages of one plugin are called together.
func TestStagesAreGrouped(t *testing.T) {
	m, _, _ := manager(t, map[string][]byte{"odd.wasm": oddPlugin(t, "1.0.0")})
	samePlugin := onlyIf(insert("c", "3"), "TopicNameMatches", "pattern", "x")
	otherPlugin := insert("d", "4")
	otherPlugin.Predicate = &Predicate{Alias: "q", Class: "test.Odd"}
	pinned := insert("f", "6")
	pinned.Version = "0.1.0"
	c := open(t, m, 0, insert("a", "1"), insert("b", "2"), samePlugin, otherPlugin, insert("e", "5"), pinned,
		mark("x"), mark("y"))
	var got []string
	for _, g := range c.groups {
		got = append(got, strings.Join(g.aliases, " "))
	}
	assert.Equal(t, []string{"insert-a insert-b insert-c", "insert-d", "insert-e", "insert-f", "markx marky"}, got)
	s := c.Status()["insert-e"]
	assert.True(t, s.Plugin == "smt" && s.Version == "0.1.0", "expected smt 0.1.0, found %+v", s)
}

func TestNewNamesTheSetting(t *testing.T) {
	m, _, _ := manager(t, nil)
	for prefix, s := range map[string]Stage{
		"transforms.a.type: ": {Alias: "a", Class: "no.Such"},
		"predicates.p.type, used by transforms.a.predicate: ": {Alias: "a", Class: "Filter",
			Predicate: &Predicate{Alias: "p", Class: "no.Such"}},
		"transforms.a: regex: ": {Alias: "a", Class: "RegexRouter"},
		"transforms.a: stage 0, InsertField$Value: No field insertion": {Alias: "a", Class: "InsertField$Value"},
		"transforms.a.type: transformation Filter: expected version 9.9.9": {Alias: "a", Class: "Filter",
			Version: "9.9.9"},
	} {
		_, err := New(t.Context(), Options{Manager: m, Connector: "c", Stages: []Stage{s}})
		assert.True(t, err != nil && strings.HasPrefix(err.Error(), prefix),
			"expected an error that begins with %q, found %v", prefix, err)
	}
}

// Calls with many rows, which loops in the guest's memory process, have the same results as single rows: rows with and
// without keys, tombstones, rows that share data, and several batches of one chain.
func TestManyRowsEqualSingleRows(t *testing.T) {
	m, reg, _ := manager(t, nil)
	for name, stages := range map[string][]Stage{"appended": fieldStages[:1], "three": fieldStages} {
		batchChain := open(t, m, 0, stages...)
		rowChain := open(t, m, 1, stages...)
		for _, mixed := range []string{"nothing", "keys", "tombstones", "a shared key"} {
			batches := [2]*record.Batch{}
			for i := range batches {
				b := tenFields(t, reg, 300, 200)
				key := wit.ValueSlice{Encoding: wit.Schemaless, Start: uint32(len(b.Data)), Size: 1}
				b.Data = append(b.Data, connectdata.TagTrue)
				for n := range b.Rows {
					switch {
					case mixed == "keys":
						b.Rows[n].Key = wit.ValueSlice{Encoding: wit.Schemaless, Start: uint32(len(b.Data)), Size: 1}
						b.Data = append(b.Data, connectdata.TagTrue+byte(n%2)-1)
					case mixed == "tombstones" && n%100 == 50:
						b.Rows[n].Value = wit.ValueSlice{}
					case mixed == "a shared key":
						b.Rows[n].Key = key
					}
				}
				batches[i] = b
			}
			for range 2 {
				var found [2][]string
				for i, c := range []*Chain{batchChain, rowChain} {
					b := *batches[i]
					b.Rows = slices.Clone(b.Rows)
					rowErrs, err := c.Apply(t.Context(), &b)
					require.True(t, err == nil && len(rowErrs) == 0 && len(b.Rows) == 300,
						"%s, with %s: expected 300 rows, found %d, %v, %v", name, mixed, len(b.Rows), rowErrs, err)
					for _, r := range b.Rows {
						found[i] = append(found[i], fmt.Sprintf("%d %d %x %d %d %x %x", r.RowIndex, r.Key.Encoding,
							b.Bytes(r.Key), r.Value.Encoding, r.Value.Schema, b.Bytes(r.Value), b.Bytes(r.Headers)))
					}
				}
				d := cmp.Diff(found[1], found[0])
				require.True(t, d == "", "%s, with %s: (-one by one +many)\n%s", name, mixed, d)
			}
		}
	}
}

// A new version takes over at a batch boundary if it can prepare the same stages, and does not otherwise.
func TestNewVersionsTakeOver(t *testing.T) {
	dir := t.TempDir()
	writePlugin := func(name string, b []byte) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name+".part"), b, 0o644))
		require.NoError(t, os.Rename(filepath.Join(dir, name+".part"), filepath.Join(dir, name)))
	}
	writePlugin("odd.wasm", oddPlugin(t, "1.0.0"))
	reg := record.NewRegistry()
	m, err := plugin.New(t.Context(), plugin.Options{Folders: []string{dir}, Registry: reg,
		CacheDir: guesttest.Code(t), Watch: true, Debounce: 20 * time.Millisecond})
	require.NoError(t, err)
	t.Cleanup(func() { m.Close() })
	incompatible := mark("s")
	incompatible.Settings = settingsOf("text", "s", "old", "1")
	upgradable := open(t, m, 0, mark("w"))
	pinned := open(t, m, 0, incompatible)
	isolated, err := New(t.Context(), Options{Manager: m, Connector: "other", Stages: []Stage{mark("a")},
		Isolated: true})
	require.NoError(t, err)
	defer isolated.Close()
	apply := func(c *Chain) string {
		b := newNumberedBatch(t, reg, 1)
		mustApply(t, c, b)
		return rowTexts(t, b)[0]
	}
	require.True(t, apply(upgradable) == "even[0 -w1]" && apply(pinned) == "even[0 -s1]",
		"expected the marks of version 1")
	writePlugin("odd.wasm", oddPlugin(t, "2.0.0"))
	require.Until(t, func() bool { return apply(upgradable) == "even[0 -w2]" }, func() string { return "version 2" })
	require.Until(t, func() bool {
		apply(pinned)
		return pinned.Status()["marks"].Rejected != ""
	}, func() string { return "the rejection" })
	assert.Equal(t, "even[0 -s1]", apply(pinned), "the previous version continues")
	assert.Equal(t, "even[0 -a1]", apply(isolated), "an isolated chain does not take over")
	if s := pinned.Status()["marks"]; s.Version != "1.0.0" || !strings.Contains(s.Rejected, "no longer known") {
		t.Errorf("expected version 1.0.0 and a rejection because of a setting, found %+v", s)
	}
}

// A version that panics soon after it took over is replaced by the previous one, which processes the batch.
func TestVersionThatPanicsIsRolledBack(t *testing.T) {
	m, reg, dir := manager(t, map[string][]byte{"odd.wasm": oddPlugin(t, "1.0.0")})
	c := open(t, m, 0, mark("w"))
	mustApply(t, c, newNumberedBatch(t, reg, 1))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "odd.wasm"), oddPlugin(t, "3.0.0"), 0o644))
	require.NoError(t, m.Reload(t.Context()))
	b := newNumberedBatch(t, reg, 5)
	mustApply(t, c, b)
	assert.Equal(t, "even[4 -w1]", rowTexts(t, b)[4], "result of version 1")
	// The reason has the text of the panic.
	if s := c.Status()["markw"]; s.Version != "1.0.0" || !strings.Contains(s.Rejected, "3 calls broke") ||
		!strings.Contains(s.Rejected, "panic: no version for anybody") {
		t.Errorf("expected version 1.0.0 and a rejection because of the panic, found %+v", s)
	}
}

// An isolated chain that makes a plugin trap until it is stopped there does not affect the connector's own chain, and
// starts no trial.
func TestIsolatedChainsDoNotCountForVersions(t *testing.T) {
	m, reg := managerWithOdd(t)
	trap := Stage{Alias: "trap", Class: "test.Trap"}
	chain := open(t, m, 0, trap)
	isolated, err := New(t.Context(), Options{Manager: m, Connector: "c (samples)", Stages: []Stage{trap},
		Isolated: true, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	defer isolated.Close()
	stopped := new(plugin.StoppedError)
	for tries := 0; !errors.As(err, &stopped); tries++ {
		b := newNumberedBatch(t, reg, 6)
		b.Rows = b.Rows[5:]
		_, err = isolated.Apply(t.Context(), b)
		require.True(t, tries <= 100, "expected the plugin to be stopped for the isolated chain, found %v", err)
	}
	mustApply(t, chain, newNumberedBatch(t, reg, 5))
	assert.Equal(t, "", chain.Status()["trap"].Rejected, "why the version is rejected")
}

func TestApplyEndsWithItsContext(t *testing.T) {
	m, reg, _ := manager(t, nil)
	c := open(t, m, 0, insert("a", "1"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b := newNumberedBatch(t, reg, 3)
	if rowErrs, err := c.Apply(ctx, b); !errors.Is(err, context.Canceled) || len(rowErrs) > 0 {
		t.Errorf("expected the error of the context, found %v, %v", rowErrs, err)
	}
}
