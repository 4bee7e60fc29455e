//go:build real

package transform

import (
	"encoding/json"
	"maps"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
)

var (
	someText   = regexp.MustCompile(`"[^"\\]*"([,}\]])`)
	someNumber = regexp.MustCompile(`:(-?[0-9.]+)([,}\]])`)
	someMember = regexp.MustCompile(`"([a-zöß.]+)":`)
)

// near returns a value that differs slightly from another. The schema usually stays the same.
func (g chance) near(value string) string {
	schema, payload, has := strings.Cut(value, `,"payload":`)
	if !has {
		return value
	}
	// one replaces one of the matches of the expression with another text.
	one := func(in string, expression *regexp.Regexp, with string) string {
		all := expression.FindAllStringIndex(in, -1)
		if len(all) == 0 {
			return in
		}
		at := all[g.IntN(len(all))]
		return in[:at[0]] + expression.ReplaceAllString(in[at[0]:at[1]], with) + in[at[1]:]
	}
	for range 1 + g.IntN(2) {
		switch g.IntN(12) {
		case 0, 1:
			payload = one(payload, someText, g.of(`""`, `"ä"`, `"2024-02-29"`, `"17"`, `"AQID"`,
				`"`+strings.Repeat("x", g.IntN(300))+`"`, `"`+strings.Repeat("y", 5000*g.IntN(3))+`"`)+"$1")
		case 2, 3:
			payload = one(payload, someNumber, ":"+g.of("0", "-1", "63", "64", "127", "1.5", "100")+"$2")
		case 4, 5:
			payload = one(payload, someNumber, ":null$2")
		case 6:
			payload = one(payload, someText, "null$1")
		case 7:
			if strings.Contains(schema, "null") { // another name of at least as many bytes
				payload = one(payload, someMember, g.of(`"ie":`, `"names":`, `"$1$1":`, `"nestee":`, `"id":`,
					`"name":`))
			}
		case 8:
			payload = one(payload, someNumber, ":"+g.of("{}", "[]", "[1]", `{"id":1}`, `"x"`, "true", "1.5")+"$2")
		case 9:
			if payload != "null}" {
				payload = strings.Replace(payload, "{", `{"id":`+g.of("1", `"x"`, "null")+`,`, 1)
			}
		case 10:
			payload = one(payload, someText, g.of("true", "false", "7", "[]", "{}", "1e3")+"$1")
		case 11:
			if g.in(4) {
				schema = one(schema, regexp.MustCompile(`"optional":(true|false)`), `"optional":`+g.of("true", "false"))
			}
		}
	}
	return schema + `,"payload":` + payload
}

// Similar rows that are sent together have the same results as each alone in a new chain (which is compared with
// Kafka's elsewhere): the loops for equal rows process no different ones.
func TestRealSimilarRowsTogether(t *testing.T) {
	g, cases := oracle(t, 5, 60)
	m, reg, _ := manager(t, nil)
	rows, differ, fine := 0, 0, 0
	for tried := 0; tried < cases; {
		var head strings.Builder
		for stage := range 1 + g.IntN(3) {
			head.WriteString("stage " + g.stage(stage == 0, 0) + "\n")
		}
		base := parseGolden(t, head.String()+"record "+g.record()+"\n-----\n")
		options := Options{Manager: m, Connector: "c", Stages: base.stages}
		c, err := New(t.Context(), options)
		if err != nil || base.record["value"] == nil {
			continue
		}
		tried++
		all := base.batch(t, reg)
		all.Rows = nil
		var want, heads []string
		for len(all.Rows) < 12 {
			one := golden{stages: base.stages, record: maps.Clone(base.record)}
			if !g.in(4) {
				one.record["value"] = json.RawMessage(g.near(string(base.record["value"])))
			}
			for _, name := range []string{"partition", "timestamp", "offset"} {
				if g.in(12) {
					one.record[name] = json.RawMessage(g.of("0", "7", "1700000000000"))
					if name == "partition" {
						one.record[name] = json.RawMessage("3")
					}
				}
			}
			if _, err := jsonConverter(t, reg).Decode(t.Context(), "t", one.record["value"],
				&record.Batch{Registry: reg}); err != nil {
				one.record["value"] = base.record["value"] // not a valid record
			}
			b := one.batch(t, reg)
			row := b.Rows[0]
			for _, d := range []*wit.ValueSlice{&row.Key, &row.Value, &row.Headers} {
				content := b.Bytes(*d)
				d.Start = uint32(len(all.Data))
				all.Data = append(all.Data, content...)
				if d.Encoding == wit.WithSchema {
					all.Retain(reg.Get(d.Schema))
				}
			}
			row.RowIndex = uint32(len(all.Rows))
			all.Rows = append(all.Rows, row)
			alone, err := New(t.Context(), options)
			require.NoError(t, err)
			faults, err := alone.Apply(t.Context(), b)
			require.NoError(t, err)
			alone.Close()
			want, heads = append(want, outcome(t, b, faults)), append(heads, string(one.record["value"]))
		}
		faults, err := c.Apply(t.Context(), all)
		require.NoError(t, err)
		c.Close()
		prepared, failed := all.Rows, map[uint32][]wit.RowError{}
		for _, f := range faults {
			failed[f.RowIndex] = append(failed[f.RowIndex], f)
		}
		for i := range want {
			all.Rows = nil
			for _, row := range prepared {
				if row.RowIndex == uint32(i) {
					all.Rows = append(all.Rows, row)
				}
			}
			rows++
			got := outcome(t, all, failed[uint32(i)])
			if strings.HasPrefix(got, "topic") {
				fine++
			}
			if got != want[i] {
				if differ++; differ <= 10 {
					t.Errorf("%srow %d of\n%s\n(-alone +together):\n%s", head.String(), i, strings.Join(heads, "\n"),
						cmp.Diff(want[i], got))
				}
			}
		}
	}
	t.Logf("%d rows, %d of them transformed, %d differ", rows, fine, differ)
	if fine < rows/4 {
		t.Errorf("expected a quarter of the rows to be transformed, found %d of %d", fine, rows)
	}
}

// A batch that is sent to a plugin in several calls, each of which returns less than its limit, does not grow without
// limit.
func TestRealGrowthOfABatchIsBounded(t *testing.T) {
	const each = 8 << 20
	m, reg := withOdd(t)
	c := open(t, m, 1, mark(strings.Repeat("m", each)))
	_, err := c.Apply(t.Context(), numbered(t, reg, 2))
	require.NoError(t, err)
	_, err = c.Apply(t.Context(), numbered(t, reg, maxGrowth/each+2))
	if err == nil || !strings.Contains(err.Error(), "at most 268435456 bytes more than the batch") ||
		!strings.Contains(err.Error(), "transforms.mark") {
		t.Errorf("expected an error, found %.300v", err)
	}
}
