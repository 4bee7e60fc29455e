//go:build real

package transform

import (
	"encoding/json"
	"maps"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
)

var (
	textValue   = regexp.MustCompile(`"[^"\\]*"([,}\]])`)
	numberValue = regexp.MustCompile(`:(-?[0-9.]+)([,}\]])`)
	memberName  = regexp.MustCompile(`"([a-zöß.]+)":`)
)

// vary returns a value that differs slightly from another. The schema usually stays the same.
func (c chance) vary(value string) string {
	schema, payload, ok := strings.Cut(value, `,"payload":`)
	if !ok {
		return value
	}
	// replaceOne replaces one of the matches of the expression.
	replaceOne := func(text string, expression *regexp.Regexp, replacement string) string {
		matches := expression.FindAllStringIndex(text, -1)
		if len(matches) == 0 {
			return text
		}
		m := matches[c.IntN(len(matches))]
		return text[:m[0]] + expression.ReplaceAllString(text[m[0]:m[1]], replacement) + text[m[1]:]
	}
	for range 1 + c.IntN(2) {
		switch c.IntN(12) {
		case 0, 1:
			payload = replaceOne(payload, textValue, c.pick(`""`, `"ä"`, `"2024-02-29"`, `"17"`, `"AQID"`,
				`"`+strings.Repeat("x", c.IntN(300))+`"`, `"`+strings.Repeat("y", 5000*c.IntN(3))+`"`)+"$1")
		case 2, 3:
			payload = replaceOne(payload, numberValue, ":"+c.pick("0", "-1", "63", "64", "127", "1.5", "100")+"$2")
		case 4, 5:
			payload = replaceOne(payload, numberValue, ":null$2")
		case 6:
			payload = replaceOne(payload, textValue, "null$1")
		case 7:
			if strings.Contains(schema, "null") { // another name of at least as many bytes
				payload = replaceOne(payload, memberName, c.pick(`"ie":`, `"names":`, `"$1$1":`, `"nestee":`, `"id":`,
					`"name":`))
			}
		case 8:
			payload = replaceOne(payload, numberValue, ":"+c.pick("{}", "[]", "[1]", `{"id":1}`, `"x"`, "true",
				"1.5")+"$2")
		case 9:
			if payload != "null}" {
				payload = strings.Replace(payload, "{", `{"id":`+c.pick("1", `"x"`, "null")+`,`, 1)
			}
		case 10:
			payload = replaceOne(payload, textValue, c.pick("true", "false", "7", "[]", "{}", "1e3")+"$1")
		case 11:
			if c.oneIn(4) {
				schema = replaceOne(schema, regexp.MustCompile(`"optional":(true|false)`),
					`"optional":`+c.pick("true", "false"))
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
	rows := 0
	different := 0
	transformed := 0
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
		together := newSimilarRows(t, g, base, options, reg)
		results := together.apply(t, c)
		c.Close()
		for i, got := range results {
			rows++
			if strings.HasPrefix(got, "topic") {
				transformed++
			}
			if want := together.want[i]; got != want {
				different++
				if different <= 10 {
					t.Errorf("%srow %d of\n%s\n(-alone +together):\n%s", head.String(), i,
						strings.Join(together.values, "\n"), cmp.Diff(want, got))
				}
			}
		}
	}
	t.Logf("%d rows, %d of them transformed, %d differ", rows, transformed, different)
	assert.AtLeast(t, rows/4, transformed, "a quarter of the rows to be transformed: of", rows)
}

// similarRows are rows of one batch, the result that each has alone, and their values.
type similarRows struct {
	batch  *record.Batch
	want   []string
	values []string
}

// newSimilarRows returns twelve rows that differ slightly from a record.
func newSimilarRows(t *testing.T, g chance, base golden, options Options, reg *record.Registry) *similarRows {
	t.Helper()
	s := &similarRows{batch: base.batch(t, reg)}
	s.batch.Rows = nil
	for len(s.batch.Rows) < 12 {
		row := golden{stages: base.stages, record: maps.Clone(base.record)}
		if !g.oneIn(4) {
			row.record["value"] = json.RawMessage(g.vary(string(base.record["value"])))
		}
		for _, name := range []string{"partition", "timestamp", "offset"} {
			if g.oneIn(12) {
				row.record[name] = json.RawMessage(g.pick("0", "7", "1700000000000"))
				if name == "partition" {
					row.record[name] = json.RawMessage("3")
				}
			}
		}
		_, err := jsonConverter(t, reg).Decode(t.Context(), "t", row.record["value"], &record.Batch{Registry: reg})
		if err != nil {
			row.record["value"] = base.record["value"] // not a valid record
		}
		s.add(t, row, options, reg)
	}
	return s
}

// add copies a row into the batch, and applies a new chain to it alone.
func (s *similarRows) add(t *testing.T, alone golden, options Options, reg *record.Registry) {
	t.Helper()
	b := alone.batch(t, reg)
	row := b.Rows[0]
	for _, d := range []*wit.ValueSlice{&row.Key, &row.Value, &row.Headers} {
		content := b.Bytes(*d)
		d.Start = uint32(len(s.batch.Data))
		s.batch.Data = append(s.batch.Data, content...)
		if d.Encoding == wit.WithSchema {
			s.batch.Retain(reg.Get(d.Schema))
		}
	}
	row.RowIndex = uint32(len(s.batch.Rows))
	s.batch.Rows = append(s.batch.Rows, row)
	c, err := New(t.Context(), options)
	require.NoError(t, err)
	defer c.Close()
	rowErrs, err := c.Apply(t.Context(), b)
	require.NoError(t, err)
	s.want = append(s.want, outcome(t, b, rowErrs))
	s.values = append(s.values, string(alone.record["value"]))
}

// apply returns the result of each row when a chain is applied to all of them.
func (s *similarRows) apply(t *testing.T, c *Chain) (results []string) {
	t.Helper()
	rowErrs, err := c.Apply(t.Context(), s.batch)
	require.NoError(t, err)
	rows := s.batch.Rows
	failed := map[uint32][]wit.RowError{}
	for _, f := range rowErrs {
		failed[f.RowIndex] = append(failed[f.RowIndex], f)
	}
	for i := range s.want {
		s.batch.Rows = nil
		for _, row := range rows {
			if row.RowIndex == uint32(i) {
				s.batch.Rows = append(s.batch.Rows, row)
			}
		}
		results = append(results, outcome(t, s.batch, failed[uint32(i)]))
	}
	return results
}

// A batch that is sent to a plugin in several calls, each of which returns less than its limit, does not grow without
// limit.
func TestRealGrowthOfABatchIsBounded(t *testing.T) {
	const markBytes = 8 << 20
	m, reg := managerWithOdd(t)
	c := open(t, m, 1, mark(strings.Repeat("m", markBytes)))
	_, err := c.Apply(t.Context(), newNumberedBatch(t, reg, 2))
	require.NoError(t, err)
	_, err = c.Apply(t.Context(), newNumberedBatch(t, reg, maxGrowth/markBytes+2))
	assert.True(t, err != nil && strings.Contains(err.Error(), "at most 268435456 bytes more than the batch") &&
		strings.Contains(err.Error(), "transforms.mark"), "expected an error, found %.300v", err)
}
