package decode

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/plugins/odata/datetime"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// parseSchema reads a row schema in the syntax of golden files, one column per line:
//
//	ID Edm.Int32 key
//	Name Edm.String?             optional
//	Price Edm.Decimal?(10,2)     precision and scale, 0: any precision
//	Day Edm.DateTime? date
//	Address complex? {
//	  …
//	}
//	Items many {                 or one
//	  …
//	}
//	Tags list {                  its only column is an item
//	  item Edm.String?
//	}
//	Gone blank?
//	known A B C
//
// Words after a column: key, watch, date, micros, float64, int64, hidden, inline, target=…, members=A,B, flags=A,B, and
// the ways of rounding.
func parseSchema(t testing.TB, text string) *RowSchema {
	t.Helper()
	lines := strings.Split(text, "\n")
	schema := parseColumns(t, &lines, "Row")
	schema.KeySchema = 7
	schema.ValueSchema = 8
	require.NoError(t, schema.Init())
	return schema
}

var roundings = map[string]edm.Rounding{"half_even": edm.RoundHalfEven, "half_up": edm.RoundHalfUp,
	"half_down": edm.RoundHalfDown, "up": edm.RoundUp, "down": edm.RoundDown, "floor": edm.RoundFloor,
	"ceiling": edm.RoundCeiling}

var forms = map[string]Mapping{"date": DateMapping, "micros": MicrosMapping, "float64": Float64Mapping,
	"int64": Int64Mapping}

func parseColumns(t testing.TB, lines *[]string, name string) *RowSchema {
	t.Helper()
	schema := &RowSchema{Name: name}
	hidden := 0
	for len(*lines) > 0 {
		line := (*lines)[0]
		*lines = (*lines)[1:]
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if words[0] == "}" {
			break
		}
		if words[0] == "known" {
			schema.Ignored = append(schema.Ignored, words[1:]...)
			continue
		}
		if words[0] == "tail" {
			schema.KeyTail = []byte(words[1])
			continue
		}
		column := Column{Name: words[0]}
		kind, facets, _ := strings.Cut(words[1], "(")
		if strings.HasSuffix(kind, "?") {
			column.Optional = true
			kind = kind[:len(kind)-1]
		}
		if facets != "" {
			_, err := fmt.Sscanf(facets, "%d,%d)", &column.Precision, &column.Scale)
			require.NoError(t, err, "schema line", line)
		}
		switch kind {
		case "complex", "one", "many":
			column.Kind = map[string]ColumnKind{"complex": Complex, "one": NavigationToOne,
				"many": NavigationToMany}[kind]
			column.Nested = parseColumns(t, lines, column.Name)
		case "list":
			column.Kind = Collection
			column.Nested = parseColumns(t, lines, column.Name)
			column.Nested.Columns[0].Name = ""
		case "blank":
			column.Kind = Synthetic
		default:
			for column.Type = edm.Binary; column.Type <= edm.Geo && column.Type.String() != kind; column.Type++ {
			}
			require.True(t, column.Type <= edm.Geo, "schema line %q: unknown type", line)
		}
		for _, w := range words[2:] {
			target, ok := strings.CutPrefix(w, "target=")
			rounding, isRounding := roundings[w]
			members, isEnum := strings.CutPrefix(w, "members=")
			flags, isFlags := strings.CutPrefix(w, "flags=")
			switch {
			case isEnum, isFlags:
				column.Enum = &edm.EnumType{Members: strings.Split(members, ","), Flags: isFlags}
				if isFlags {
					column.Enum.Members = strings.Split(flags, ",")
				}
			case w == "inline":
				column.Inline = true
			case ok:
				column.Target = target
			case isRounding:
				column.Rounding = rounding
			case w == "key":
				schema.Keys = append(schema.Keys, len(schema.Columns))
			case w == "watch":
				schema.Tracked = append(schema.Tracked, len(schema.Columns))
			case w == "hidden":
				hidden++
			case w == "{": // nested properties follow
			default:
				column.Mapping = forms[w]
				require.True(t, column.Mapping != 0, "schema line %q: unknown word %s", line, w)
			}
		}
		schema.Columns = append(schema.Columns, column)
	}
	schema.ValueColumns = len(schema.Columns) - hidden
	return schema
}

// render formats an output's rows as text.
func render(t testing.TB, schema *RowSchema, output *Output) string {
	var b strings.Builder
	type line struct {
		origin uint32
		text   string
	}
	var lines []line
	for k, r := range output.Rows {
		var s strings.Builder
		v := output.Data[r.Value.Start : r.Value.Start+r.Value.Size]
		if r.Key.Size > 0 {
			key := &RowSchema{}
			for _, i := range schema.Keys {
				c := schema.Columns[i]
				c.Optional = false
				key.Columns = append(key.Columns, c)
			}
			text, rest := renderStruct(t, key, len(key.Columns), output.Data[r.Key.Start:r.Key.Start+r.Key.Size])
			s.WriteString("key " + text)
			if len(rest) > 0 {
				s.WriteString("+" + string(rest))
			}
			s.WriteString(" ")
		}
		text, rest := renderStruct(t, schema, schema.ValueColumns, v)
		require.True(t, len(rest) == 0, "row %d: %d unread bytes", r.RowIndex, len(rest))
		s.WriteString("value " + text)
		for n, i := range schema.Tracked {
			w := output.Tracked[k*len(schema.Tracked)+n]
			text, _ := renderColumn(t, &schema.Columns[i], output.Data[w.Start:w.Start+w.Size])
			s.WriteString(" watched " + text)
		}
		lines = append(lines, line{r.RowIndex, s.String()})
	}
	for _, rowError := range output.RowErrors {
		lines = append(lines, line{rowError.RowIndex, "fault " + rowError.Error.Message + "\n  raw " +
			string(output.Data[rowError.RawStart:rowError.RawStart+rowError.RawSize])})
	}
	for _, tombstone := range output.Tombstones {
		s := "deleted " + tombstone.Ref + strings.TrimSuffix(" "+tombstone.Reason, " ")
		for _, key := range tombstone.Keys {
			s += " " + key.Name + "=" + key.Text
		}
		if tombstone.Timed {
			s += " at " + time.UnixMilli(tombstone.When).UTC().Format(time.RFC3339Nano)
		}
		lines = append(lines, line{tombstone.RowIndex, s})
	}
	for _, link := range output.Links {
		lines = append(lines, line{link.RowIndex, "link " + link.Relationship + " of " + link.Source})
	}
	for n := range uint32(len(lines)) {
		found := 0
		for _, x := range lines {
			if x.origin == n {
				if slices.Contains(output.Partial, n) {
					x.text += " partial"
				}
				fmt.Fprintf(&b, "%d %s\n", n, x.text)
				found++
			}
		}
		assert.True(t, found == 1, "row number %d is present %d times", n, found)
	}
	return b.String()
}

// renderPage formats the fields of a page as text.
func renderPage(page Page) string {
	var b strings.Builder
	link := func(name string, l Link) {
		if l.Href != "" {
			fmt.Fprintf(&b, "%s %s", name, l.Href)
			if l.Base != "" {
				fmt.Fprintf(&b, " base %s", l.Base)
			}
			b.WriteString("\n")
		}
	}
	if page.Count >= 0 {
		fmt.Fprintf(&b, "count %d\n", page.Count)
	}
	link("next", page.Next)
	link("delta", page.Delta)
	if page.LongNumber != "" {
		fmt.Fprintf(&b, "long %s\n", page.LongNumber)
	}
	for _, u := range page.Unknown {
		fmt.Fprintf(&b, "unknown %s\n", u)
	}
	return b.String()
}

func renderStruct(t testing.TB, schema *RowSchema, n int, b []byte) (string, []byte) {
	var s []string
	for i := range n {
		var text string
		text, b = renderColumn(t, &schema.Columns[i], b)
		s = append(s, schema.Columns[i].Name+": "+text)
	}
	return "{" + strings.Join(s, ", ") + "}", b
}

func renderColumn(t testing.TB, column *Column, b []byte) (string, []byte) {
	if column.Optional {
		if b[0] == 0 {
			return "null", b[1:]
		}
		require.True(t, b[0] == 2, "column %s: branch number %x", column.Name, b[0])
		b = b[1:]
	}
	switch column.Kind {
	case Complex, NavigationToOne:
		return renderStruct(t, column.Nested, len(column.Nested.Columns), b)
	case NavigationToMany, Collection:
		n, size := connectdata.Number(b)
		b = b[size:]
		var items []string
		for range n {
			var text string
			if column.Kind == Collection {
				text, b = renderColumn(t, &column.Nested.Columns[0], b)
			} else {
				text, b = renderStruct(t, column.Nested, len(column.Nested.Columns), b)
			}
			items = append(items, text)
		}
		if n > 0 {
			require.True(t, b[0] == 0, "column %s: the array does not end", column.Name)
			b = b[1:]
		}
		return "[" + strings.Join(items, ", ") + "]", b
	}
	return renderPrimitive(t, column, b)
}

func renderPrimitive(t testing.TB, column *Column, b []byte) (string, []byte) {
	number := func() int64 {
		n, size := connectdata.Number(b)
		require.True(t, size > 0, "column %s: no number in %x", column.Name, b)
		b = b[size:]
		return n
	}
	block := func() []byte {
		v, size := connectdata.LengthPrefixed(b)
		require.True(t, size > 0, "column %s: no block in %x", column.Name, b)
		b = b[size:]
		return v
	}
	float := func() string {
		u := binary.LittleEndian.Uint64(b)
		b = b[8:]
		return strconv.FormatFloat(math.Float64frombits(u), 'g', -1, 64)
	}
	switch {
	case column.Mapping == DateMapping:
		return time.UnixMilli(number() * datetime.MsPerDay).UTC().Format("2006-01-02"), b
	case column.Mapping == MicrosMapping:
		return time.UnixMicro(number()).UTC().Format(time.RFC3339Nano), b
	case column.Mapping == Float64Mapping:
		return float(), b
	case column.Mapping == Int64Mapping:
		return strconv.FormatInt(number(), 10) + "L", b
	}
	switch column.Type {
	case edm.Date:
		return time.UnixMilli(number() * datetime.MsPerDay).UTC().Format("2006-01-02"), b
	case edm.String, edm.Duration, edm.Enum, edm.Geo:
		return strconv.Quote(string(block())), b
	case edm.Guid:
		return string(block()), b
	case edm.Binary:
		return "x" + hex.EncodeToString(block()), b
	case edm.Boolean:
		return strconv.FormatBool(b[0] == 1), b[1:]
	case edm.Double:
		return float(), b
	case edm.Single:
		u := binary.LittleEndian.Uint32(b)
		b = b[4:]
		return strconv.FormatFloat(float64(math.Float32frombits(u)), 'g', -1, 32) + "f", b
	case edm.Decimal:
		v := connectdata.Unscaled(block())
		return v.String() + "e-" + strconv.Itoa(column.Scale), b
	case edm.DateTime, edm.DateTimeOffset:
		return time.UnixMilli(number()).UTC().Format(time.RFC3339Nano), b
	case edm.Time, edm.TimeOfDay:
		return (time.Duration(number()) * time.Millisecond).String(), b
	}
	return strconv.FormatInt(number(), 10), b
}
