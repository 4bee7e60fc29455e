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

func odd(t testing.TB, version string) []byte {
	return guesttest.Bytes(t, "./testdata/guests/odd", "main.version="+version)
}

// numbered returns rows with n from 0 up, alternating between two topics.
func numbered(t testing.TB, reg *record.Registry, rows int) *record.Batch {
	s, err := reg.Intern([]wit.SchemaNode{{Kind: wit.Struct, Fields: []wit.Field{{Name: "n", Node: 1}, {Name: "s",
		Node: 2}}}, {Kind: wit.Int64}, {Kind: wit.String}})
	require.NoError(t, err)
	b := &record.Batch{Registry: reg, Topics: []string{"even", "odd"}}
	for i := range rows {
		// Several rows may have the same row index.
		b.Rows = append(b.Rows, wit.Row{RowIndex: uint32(1000 + i/3), Topic: uint32(i % 2), Partition: -1,
			Offset: int64(i), Timestamp: -1, Value: structured(t, b, s, connectdata.Struct{int64(i), "-"})})
	}
	return b
}

// texts returns the rows as topic, number and text, and the added fields.
func texts(t testing.TB, b *record.Batch) []string {
	var list []string
	for _, r := range b.Rows {
		v, _, err := connectdata.Read(b.Registry.Get(r.Value.Schema).Nodes, 0, b.Bytes(r.Value))
		require.NoError(t, err)
		list = append(list, fmt.Sprint(b.Topics[r.Topic], v))
		if n := v.(connectdata.Struct)[0].(int64); r.RowIndex != uint32(1000+n/3) || r.Offset != n {
			t.Fatalf("row %d has row index %d, offset %d", n, r.RowIndex, r.Offset)
		}
	}
	return list
}

// given returns settings that are visible to every version, in pairs.
func given(pairs ...string) func(plugin.Info) []wit.Setting {
	var all []wit.Setting
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, wit.Setting{Name: pairs[i], Value: pairs[i+1]})
	}
	return func(plugin.Info) []wit.Setting { return all }
}

func mark(text string) Stage {
	return Stage{Alias: "mark" + text, Class: "test.Mark", Settings: given("text", text)}
}

// withOdd also loads the plugin of odd transforms.
func withOdd(t testing.TB) (*plugin.Manager, *record.Registry) {
	t.Helper()
	m, reg, _ := manager(t, map[string][]byte{"odd.wasm": odd(t, "1.0.0")})
	return m, reg
}

func insert(name, value string) Stage {
	return benched("insert-"+name, "InsertField$Value", "static.field", name, "static.value", value)
}

// open opens a chain until the test ends; limit is the number of rows per call. Zero means as many as fit.
func open(t testing.TB, m *plugin.Manager, limit int, stages ...Stage) *Chain {
	t.Helper()
	c, err := New(t.Context(), Options{Manager: m, Connector: "c", Stages: stages, BatchRows: limit})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// good applies a chain to a batch and checks that no row fails.
func good(t testing.TB, c *Chain, b *record.Batch) {
	t.Helper()
	if faults, err := c.Apply(t.Context(), b); err != nil || len(faults) > 0 {
		t.Fatal(err, faults)
	}
}

func run(t *testing.T, m *plugin.Manager, b *record.Batch, limit int, stages ...Stage) []wit.RowError {
	t.Helper()
	faults, err := open(t, m, limit, stages...).Apply(t.Context(), b)
	require.NoError(t, err)
	return faults
}

// An appended field is written into the space that the host leaves after each value (valueRoom of internal/plugin),
// which is as much as the plugin requests (kernel.Room): values keep their position in the call's data, and all of the
// data is returned.
func TestAppendedFieldsUseReservedSpace(t *testing.T) {
	m, reg, _ := manager(t, nil)
	c := open(t, m, 0, fieldStages[0])
	for call := range 2 { // the first row of a schema, and those after it in the same call, take another code path
		b := tenFields(t, reg, 3, 200)
		good(t, c, b)
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
	m, reg := withOdd(t)
	odds := benched("x", "InsertField$Value", "topic.field", "t")
	odds.Predicate = &Predicate{Alias: "p", Class: "test.Odd"}
	evens := odds
	evens.Negate = true
	byTopic := when(mark("m"), false, "TopicNameMatches", "pattern", "od+")
	drop := Stage{Alias: "f", Class: "Filter", Predicate: &Predicate{Alias: "p", Class: "test.Odd"}}
	for _, limit := range []int{1, 2, 5, 500} {
		for name, x := range map[string]struct {
			stages []Stage
			want   []string
		}{
			"odd":     {[]Stage{odds}, []string{"even[0 -]", "odd[1 - odd]", "even[2 -]", "odd[3 - odd]"}},
			"negated": {[]Stage{evens}, []string{"even[0 - even]", "odd[1 -]", "even[2 - even]", "odd[3 -]"}},
			"topic":   {[]Stage{byTopic}, []string{"even[0 -]", "odd[1 -m1]", "even[2 -]", "odd[3 -m1]"}},
			"drop":    {[]Stage{drop, mark("a")}, []string{"even[0 -a1]", "even[2 -a1]"}},
			"in a chain": {[]Stage{insert("i", "1"), odds, insert("j", "2"), mark("z")}, []string{"even[0 -z1 1 2]",
				"odd[1 -z1 1 odd 2]", "even[2 -z1 1 2]", "odd[3 -z1 1 odd 2]"}},
		} {
			b := numbered(t, reg, 4)
			if faults := run(t, m, b, limit, x.stages...); len(faults) > 0 {
				t.Errorf("%s: %v", name, faults)
			}
			assert.Equal(t, x.want, texts(t, b), fmt.Sprintf("%s, %d rows a call", name, limit))
		}
	}
}

// Rows that were created from one row keep their order if a predicate of another plugin matches only some of them, and
// if one of them fails, the error names that row.
func TestSplitRowsKeepTheirOrder(t *testing.T) {
	m, reg, _ := manager(t, map[string][]byte{"odd.wasm": odd(t, "1.0.0"),
		"split.wasm": guesttest.Bytes(t, "./testdata/guests/split")})
	split := Stage{Alias: "s", Class: "test.Split"}
	of := func(s Stage) Stage { return when(s, false, "TopicNameMatches", "pattern", "odd") }
	want := []string{"even[0 -]", "odd[0 -m1]", "even[0 -]", "odd[0 -m1]", "even[1 -]", "odd[1 -m1]", "even[1 -]",
		"odd[1 -m1]"}
	for _, limit := range []int{1, 2, 3, 500} {
		b := numbered(t, reg, 2)
		if faults := run(t, m, b, limit, split, of(mark("m"))); len(faults) > 0 {
			t.Error(faults)
		}
		assert.Equal(t, want, texts(t, b), fmt.Sprint(limit, " rows a call"))
		b = numbered(t, reg, 10)
		var at []string
		faults := run(t, m, b, limit, split, of(Stage{Alias: "t", Class: "test.Trap"}))
		for _, f := range faults {
			at = append(at, fmt.Sprint(f.RowIndex, " in stage ", f.Stage))
		}
		assert.Equal(t, []string{"5 in stage 1", "6 in stage 1", "8 in stage 1"}, at, fmt.Sprint(limit, " rows a call"))
		assert.Contains(t, faults[0].Error.Message, "exited with code 7")
		assert.Equal(t, "eight is refused", faults[2].Error.Message)
		assert.Equal(t, 4*7, len(b.Rows), limit, "rows a call: all parts of 7 rows")
	}
}

// Errors of any stage name the original row and the stage in the whole chain; the other rows continue.
func TestErrorsNameRowAndStage(t *testing.T) {
	m, reg := withOdd(t)
	filter := when(Stage{Alias: "f", Class: "Filter"}, false, "TopicNameMatches", "pattern", "even")
	conditional := insert("i", "1")
	conditional.Predicate = &Predicate{Alias: "p", Class: "test.Odd"}
	offset := when(benched("o", "InsertField$Value", "partition.field", "p!"), false, "TopicNameMatches", "pattern",
		"none")
	for _, limit := range []int{1, 4, 500} {
		b := numbered(t, reg, 20)
		before := append([]wit.Row(nil), b.Rows...)
		c := open(t, m, limit, filter, conditional, Stage{Alias: "t", Class: "test.Trap"}, offset)
		faults, err := c.Apply(t.Context(), b)
		require.NoError(t, err)
		var got []string
		for _, f := range faults {
			got = append(got, fmt.Sprint(f.RowIndex, " ", f.Stage, " ", f.ErrorClass[strings.LastIndexByte(f.ErrorClass,
				'.')+1:]))
			assert.Equal(t, before[f.RowIndex], c.Input(f.RowIndex), f.RowIndex, "the original row")
		}
		// 5 makes the plugin trap and is processed alone in the end; 13 fails the predicate.
		assert.Equal(t, []string{"5 2 ConnectException", "13 1 DataException"}, got, fmt.Sprint(limit, " rows a call"))
		want := []string{"odd[1 - 1]", "odd[3 - 1]", "odd[7 - 1]", "odd[9 - 1]", "odd[11 - 1]", "odd[15 - 1]",
			"odd[17 - 1]", "odd[19 - 1]"}
		assert.Equal(t, want, texts(t, b), fmt.Sprint(limit, " rows a call"))
	}
}

// An error of a stage names the stage's plugin, in chains of several plugins.
func TestErrorsHaveThePluginOfTheStage(t *testing.T) {
	m, reg := withOdd(t)
	c := open(t, m, 0, insert("i", "1"), Stage{Alias: "t", Class: "test.Trap"})
	failure := errors.New("no")
	var smt, odd *Error
	if !errors.As(c.Named(0, failure), &smt) || !errors.As(c.Named(1, failure), &odd) ||
		!strings.HasPrefix(smt.Plugin, "smt ") || !strings.HasPrefix(odd.Plugin, "odd ") || !errors.Is(odd, failure) {
		t.Errorf("expected the plugins smt and odd, found %v and %v", smt, odd)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	_, err := c.Apply(ended, numbered(t, reg, 1))
	if !errors.As(err, &smt) || !strings.HasPrefix(smt.Plugin, "smt ") {
		t.Errorf("expected an error of the plugin smt, found %v", err)
	}
	_, err = New(t.Context(), Options{Manager: m, Connector: "c", Stages: []Stage{insert("i", "1"),
		benched("o", "InsertField$Value", "partition.fields", "p")}})
	if !errors.As(err, &smt) {
		t.Errorf("expected an error of the plugin smt, found %v", err)
	}
}

// A row of which another plugin rejects one part fails as a whole, as it does if its own plugin rejects the part: half
// an order would be worse than none.
func TestRowFailsAsAWhole(t *testing.T) {
	m, reg := withOdd(t)
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
				Value: structured(t, b, s, connectdata.Struct{items})})
		}
		split := benched("split", "", "field", "l", "extract", "true")
		split.Class = "org.culvert.transforms.Split"
		faults := run(t, m, b, limit, split, Stage{Alias: "t", Class: "test.Trap"})
		if len(faults) != 2 || faults[0].RowIndex != 1 || faults[1].RowIndex != 2 || len(b.Rows) != 3 {
			t.Errorf("%d rows a call: expected the three rows of the first, found %d, %v", limit, len(b.Rows), faults)
		}
		for _, r := range b.Rows {
			assert.Equal(t, 0, r.RowIndex, limit, "rows a call: no part of row")
		}
	}
}

// A row that makes a predicate of another plugin panic is found by halving, too; the others keep their order.
func TestTrapsOfPredicatesAreHalved(t *testing.T) {
	m, reg := withOdd(t)
	stage := benched("x", "InsertField$Value", "topic.field", "t")
	stage.Predicate = &Predicate{Alias: "p", Class: "test.Odd"}
	for _, limit := range []int{1, 64, 1000} {
		b := numbered(t, reg, 700)
		faults := run(t, m, b, limit, stage)
		if len(faults) != 2 || faults[0].RowIndex != 13 || faults[1].RowIndex != 666 ||
			!strings.Contains(faults[1].Error.Message, "panic: the number of the beast") ||
			!strings.Contains(faults[1].Error.Message, "main.go:") { // its stack trace
			t.Fatalf("%d rows a call: expected rows 13 and 666, found %v", limit, faults)
		}
		if all := texts(t, b); len(all) != 698 || all[665] != "odd[667 - odd]" {
			t.Errorf("%d rows a call: found %d rows, %s", limit, len(all), all[665])
		}
	}
}

// Adjacent stages of one plugin are called together.
func TestStagesAreGrouped(t *testing.T) {
	m, _, _ := manager(t, map[string][]byte{"odd.wasm": odd(t, "1.0.0")})
	own := when(insert("c", "3"), false, "TopicNameMatches", "pattern", "x")
	other := insert("d", "4")
	other.Predicate = &Predicate{Alias: "q", Class: "test.Odd"}
	pinned := insert("f", "6")
	pinned.Version = "0.1.0"
	c := open(t, m, 0, insert("a", "1"), insert("b", "2"), own, other, insert("e", "5"), pinned, mark("x"), mark("y"))
	var got []string
	for _, g := range c.groups {
		got = append(got, strings.Join(g.aliases, " "))
	}
	assert.Equal(t, []string{"insert-a insert-b insert-c", "insert-d", "insert-e", "insert-f", "markx marky"}, got)
	if s := c.Status()["insert-e"]; s.Plugin != "smt" || s.Version != "0.1.0" {
		t.Errorf("%+v", s)
	}
}

func TestNewNamesTheSetting(t *testing.T) {
	m, _, _ := manager(t, nil)
	for want, s := range map[string]Stage{
		"transforms.a.type: ": {Alias: "a", Class: "no.Such"},
		"predicates.p.type, used by transforms.a.predicate: ": {Alias: "a", Class: "Filter",
			Predicate: &Predicate{Alias: "p", Class: "no.Such"}},
		"transforms.a: regex: ": {Alias: "a", Class: "RegexRouter"},
		"transforms.a: stage 0, InsertField$Value: No field insertion": {Alias: "a", Class: "InsertField$Value"},
		"transforms.a.type: transformation Filter: expected version 9.9.9": {Alias: "a", Class: "Filter",
			Version: "9.9.9"},
	} {
		_, err := New(t.Context(), Options{Manager: m, Connector: "c", Stages: []Stage{s}})
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("expected %q, found %v", want, err)
		}
	}
}

// Calls with many rows, which loops in the guest's memory process, have the same results as single rows: rows with and
// without keys, tombstones, rows that share data, and several batches of one chain.
func TestManyRowsEqualSingleRows(t *testing.T) {
	m, reg, _ := manager(t, nil)
	for name, stages := range map[string][]Stage{"appended": fieldStages[:1], "three": fieldStages} {
		many := open(t, m, 0, stages...)
		one := open(t, m, 1, stages...)
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
				for i, c := range []*Chain{many, one} {
					b := *batches[i]
					b.Rows = slices.Clone(b.Rows)
					if faults, err := c.Apply(t.Context(), &b); err != nil || len(faults) > 0 || len(b.Rows) != 300 {
						t.Fatal(name, mixed, faults, err, len(b.Rows))
					}
					for _, r := range b.Rows {
						found[i] = append(found[i], fmt.Sprintf("%d %d %x %d %d %x %x", r.RowIndex, r.Key.Encoding,
							b.Bytes(r.Key), r.Value.Encoding, r.Value.Schema, b.Bytes(r.Value), b.Bytes(r.Headers)))
					}
				}
				if d := cmp.Diff(found[1], found[0]); d != "" {
					t.Fatalf("%s, with %s: (-one by one +many)\n%s", name, mixed, d)
				}
			}
		}
	}
}

// A new version takes over at a batch boundary if it can prepare the same stages, and does not otherwise.
func TestNewVersionsTakeOver(t *testing.T) {
	dir := t.TempDir()
	put := func(name string, b []byte) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name+".part"), b, 0o644))
		require.NoError(t, os.Rename(filepath.Join(dir, name+".part"), filepath.Join(dir, name)))
	}
	put("odd.wasm", odd(t, "1.0.0"))
	reg := record.NewRegistry()
	m, err := plugin.New(t.Context(), plugin.Options{Folders: []string{dir}, Registry: reg,
		CacheDir: guesttest.Code(t), Watch: true, Debounce: 20 * time.Millisecond})
	require.NoError(t, err)
	t.Cleanup(func() { m.Close() })
	stubborn := mark("s")
	stubborn.Settings = given("text", "s", "old", "1")
	willing := open(t, m, 0, mark("w"))
	unwilling := open(t, m, 0, stubborn)
	aside, err := New(t.Context(), Options{Manager: m, Connector: "beside", Stages: []Stage{mark("a")}, Isolated: true})
	require.NoError(t, err)
	defer aside.Close()
	apply := func(c *Chain) string {
		b := numbered(t, reg, 1)
		good(t, c, b)
		return texts(t, b)[0]
	}
	if apply(willing) != "even[0 -w1]" || apply(unwilling) != "even[0 -s1]" {
		t.Fatal("version 1 does not work")
	}
	put("odd.wasm", odd(t, "2.0.0"))
	require.Until(t, func() bool { return apply(willing) == "even[0 -w2]" }, func() string { return "version 2" })
	require.Until(t, func() bool { apply(unwilling); return unwilling.Status()["marks"].Rejected != "" },
		func() string { return "the rejection" })
	assert.Equal(t, "even[0 -s1]", apply(unwilling), "the previous version continues")
	assert.Equal(t, "even[0 -a1]", apply(aside), "an isolated chain does not take over")
	if s := unwilling.Status()["marks"]; s.Version != "1.0.0" || !strings.Contains(s.Rejected, "no longer known") {
		t.Errorf("%+v", s)
	}
}

// A version that panics soon after it took over is replaced by the previous one, which processes the batch.
func TestVersionThatPanicsIsRolledBack(t *testing.T) {
	m, reg, dir := manager(t, map[string][]byte{"odd.wasm": odd(t, "1.0.0")})
	c := open(t, m, 0, mark("w"))
	good(t, c, numbered(t, reg, 1))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "odd.wasm"), odd(t, "3.0.0"), 0o644))
	require.NoError(t, m.Reload(t.Context()))
	b := numbered(t, reg, 5)
	good(t, c, b)
	assert.Equal(t, "even[4 -w1]", texts(t, b)[4], "result of version 1")
	// The reason has the text of the panic.
	if s := c.Status()["markw"]; s.Version != "1.0.0" || !strings.Contains(s.Rejected, "3 calls broke") ||
		!strings.Contains(s.Rejected, "panic: no version for anybody") {
		t.Errorf("%+v", s)
	}
}

// An isolated chain that makes a plugin trap until it is stopped there does not affect the connector's own chain, and
// starts no trial.
func TestIsolatedChainsDoNotCountForVersions(t *testing.T) {
	m, reg := withOdd(t)
	trap := Stage{Alias: "trap", Class: "test.Trap"}
	own := open(t, m, 0, trap)
	aside, err := New(t.Context(), Options{Manager: m, Connector: "c (samples)", Stages: []Stage{trap}, Isolated: true,
		Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	defer aside.Close()
	stopped := new(plugin.StoppedError)
	for tries := 0; !errors.As(err, &stopped); tries++ {
		b := numbered(t, reg, 6)
		b.Rows = b.Rows[5:]
		_, err = aside.Apply(t.Context(), b)
		if tries > 100 {
			t.Fatal("expected the plugin to be stopped for the isolated chain, found", err)
		}
	}
	good(t, own, numbered(t, reg, 5))
	assert.Equal(t, "", own.Status()["trap"].Rejected)
}

func TestApplyEndsWithItsContext(t *testing.T) {
	m, reg, _ := manager(t, nil)
	c := open(t, m, 0, insert("a", "1"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b := numbered(t, reg, 3)
	if faults, err := c.Apply(ctx, b); !errors.Is(err, context.Canceled) || len(faults) > 0 {
		t.Errorf("an ended context: %v %v", faults, err)
	}
}
