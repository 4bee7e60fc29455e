package bench

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Each row of the page Odd takes its branch: alone in a page it results in what its list specifies.
func TestOddRowsTakeTheirBranch(t *testing.T) {
	for _, format := range []struct {
		Format
		base string
	}{
		{Format: Formats[FormatJSON], base: jsonObject(jsonBase)},
		{Format: Formats[FormatAtom], base: atomEntry(atomProperties)},
		{Format: Formats[FormatJSON4], base: jsonObject(json4Base)},
	} {
		baseResults := format.decodeOdd(t, format.base)
		got := strings.Join(baseResults, " ")
		assert.True(t, got == orderWant, "%s: expected the base row\n%s, found\n%s", format.Name, orderWant, got)
		texts := map[string]bool{format.base: true}
		for _, row := range format.odd() {
			t.Run(format.Name+"/"+row.branch, func(t *testing.T) {
				assert.True(t, !texts[row.text], "expected a text that no other row has, found %s", row.text)
				texts[row.text] = true
				differences := slices.DeleteFunc(format.decodeOdd(t, row.text),
					func(result string) bool { return slices.Contains(baseResults, result) })
				got := strings.Join(differences, " ")
				assert.True(t, got == row.want, "expected\n%q, found\n%q", row.want, got)
			})
		}
	}
}

// decodeOdd returns what a row alone in a page results in: its columns, its error, its deletion, and unknown names.
func (f Format) decodeOdd(t *testing.T, row string) (results []string) {
	t.Helper()
	shapes := f.Shapes(0)
	schema := shapes[len(shapes)-1].Schema
	var out decode.Output
	err := f.NewDecoder(schema).Write([]byte(f.head+row+f.tail), true, &out)
	require.True(t, err == nil && out.Page.Rows == 1 && out.Page.Done &&
		len(out.Rows)+len(out.RowErrors)+len(out.Tombstones) == 1, "expected one row, found %+v, %v", out, err)
	for _, r := range out.Rows {
		var unread []byte
		results, unread = render(schema, out.Data[r.Value.Start:][:r.Value.Size])
		assert.Equal(t, 0, len(unread), "a value without more bytes")
	}
	for _, rowError := range out.RowErrors {
		message, _, _ := strings.Cut(rowError.Error.Message, " (row 0 of the page")
		results = append(results, "error "+message)
		if raw := out.Data[rowError.RawStart:][:rowError.RawSize]; !bytes.Contains(raw, []byte(row[len(row)/2:])) {
			t.Errorf("expected the row in the error's document, found %q", raw)
		}
	}
	for _, tombstone := range out.Tombstones {
		result := "deleted " + tombstone.Ref
		for _, key := range tombstone.Keys {
			result += key.Name + " " + key.Text
		}
		if tombstone.When != 0 {
			result += " at " + time.UnixMilli(tombstone.When).UTC().Format(time.RFC3339)
		}
		results = append(results, result)
	}
	for _, name := range out.Page.Unknown {
		results = append(results, "unknown "+name)
	}
	return results
}

// render returns the columns of an encoded struct as texts, and the bytes after it.
func render(schema *decode.RowSchema, b []byte) (columns []string, unread []byte) {
	for i := range schema.Columns {
		var text string
		text, b = renderColumn(&schema.Columns[i], b)
		columns = append(columns, schema.Columns[i].Name+"="+text)
	}
	return columns, b
}

// renderColumn returns the text of the column that b starts with, and the bytes after it.
func renderColumn(c *decode.Column, b []byte) (string, []byte) {
	if c.Optional {
		if b[0] == 0 {
			return "null", b[1:]
		}
		b = b[1:]
	}
	structure := func() string {
		var columns []string
		columns, b = render(c.Nested, b)
		return "{" + strings.Join(columns, " ") + "}"
	}
	switch {
	case c.Kind == decode.NavigationToMany:
		n, size := connectdata.Number(b)
		b = b[size:]
		var items []string
		for range n {
			items = append(items, structure())
		}
		if n > 0 {
			b = b[1:] // the end of the array
		}
		return "[" + strings.Join(items, " ") + "]", b
	case c.Kind != decode.Primitive:
		return structure(), b
	case c.Type == edm.Boolean:
		return strconv.FormatBool(b[0] == 1), b[1:]
	case c.Type == edm.Double:
		return fmt.Sprint(math.Float64frombits(binary.LittleEndian.Uint64(b))), b[8:]
	case c.Type == edm.String, c.Type == edm.Guid, c.Type == edm.Decimal:
		content, size := connectdata.LengthPrefixed(b)
		if c.Type == edm.Decimal {
			return connectdata.Unscaled(content).String(), b[size:]
		}
		return strconv.Quote(string(content)), b[size:]
	}
	n, size := connectdata.Number(b)
	switch c.Type {
	case edm.Date:
		return time.Unix(n*24*60*60, 0).UTC().Format(time.RFC3339), b[size:]
	case edm.DateTime, edm.DateTimeOffset:
		return time.UnixMilli(n).UTC().Format(time.RFC3339Nano), b[size:]
	}
	return strconv.FormatInt(n, 10), b[size:]
}
