package decode

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/plugins/odata/datetime"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/scan"
)

// What package kernel reads equals what Go reads, for columns of all types and mappings and texts of all kinds.
func TestKernelReadsLikeGo(t *testing.T) {
	zoned, err := datetime.LoadZone("UTC") // others are not known in Wasm
	require.NoError(t, err)
	columns := []Column{{Type: edm.Decimal, Scale: 3}, {Type: edm.Decimal, Scale: 3, Precision: 5},
		{Type: edm.Decimal, Scale: 20}, {Type: edm.Decimal, Mapping: Float64Mapping},
		{Type: edm.Decimal, Mapping: Int64Mapping},
		{Type: edm.DateTime, Zone: zoned}, {Type: edm.DateTime, Mapping: DateMapping},
		{Type: edm.DateTimeOffset, Mapping: MicrosMapping}}
	for kind := edm.Binary; kind <= edm.Geo; kind++ {
		columns = append(columns, Column{Type: kind})
	}
	texts := []string{"", " ", "true", "false", "null", "tru", "trues", " true", "0", "1", "-0", "007", "00", "12", "128",
		"32768", "2147483648", "9223372036854775808", "-9223372036854775808", "1.5", "-.5", "5.", "12345.678", "1e3",
		"1E-2", "INF", "-INF", "NaN", "YWJj", "ab==", "dHJ1ZQ", "text", "Köln", "PT1H2M3S", "PT01H02M03S", "PT24H00M00S",
		"P1DT1H", "2015-02-28T10:20:30", "2015-02-30T10:20:30", "2015-02-28T10:20:30.1234567", "2015-02-28",
		"2015-02-28T10:20:30Z", "2015-02-30", "0001-01-01", "9999-12-31", "/Date(0)/", "0000-12-31", "2016-02-29", "2015-02-29",
		"1600-03-01", "1900-02-29", "12:34:56", "12:34", "24:00:00", "12:34:56.123456789", "12:34:56Z", "P1DT2H", "-P1Y", "P",
		"2015-02-28T10:20:30+02:00", "/Date(1420070400000)/", "/Date(1420070400000+60)/",
		"/Date()/", "00112233-4455-6677-8899-aabbccddeeff", "00112233-4455-6677-8899-AABBCCDDEEFF",
		"00112233-4455-6677-8899-aabbccddeefg", "00112233-4455-6677-8899-aabbccddeeff0", "-128", "-129", "127", "255", "256",
		"32767", "-32769", "2147483647", "-2147483649", "9223372036854775807", "-9223372036854775809", "99.999", "99.9995",
		"999.99", "-0.0005", "+5", "0x10", "1_0", "1 ", "0.1e-400", "1.7976931348623157e308", "4.9e-324", "1e309",
		"123456789012345678", "0.30000000000000004", "2015-02-28T24:00:00", "2015-02-28T23:59:60",
		"0000-01-01T00:00:00", "0001-01-01T00:00:00", "9999-12-31T23:59:59.999", "10000-01-01T00:00:00",
		"1969-12-31T23:59:59.9999999", "/Date(-62135596800000)/", "/Date(-62135596800001)/", "/Date(253402300799999)/",
		"/Date(253402300800000)/", "PT23H59M59S", "PT60M", "PT1.5S", "-PT1S", strings.Repeat("x", 63),
		strings.Repeat("x", 64), strings.Repeat("7", 300)}
	for _, column := range columns {
		for _, text := range texts {
			for _, optional := range []bool{false, true} {
				column.Name = "C"
				column.Optional = optional
				testKernelReads(t, column, text)
			}
		}
	}
}

// testKernelReads compares a column's text in JSON, quoted and not, and in Atom.
func testKernelReads(t *testing.T, column Column, text string) {
	t.Helper()
	schema := &RowSchema{Name: "T", Columns: []Column{column}, ValueColumns: 1}
	require.NoError(t, schema.Init())
	quoted := `"` + text + `"`
	trimmed := text
	if column.Type != edm.String {
		trimmed = strings.TrimSpace(text)
	}
	pages := map[string]struct{ doc, text, source string }{
		"JSON": {`[{"C":` + quoted + `}]`, text, quoted},
		"Atom": {feedFront + entryFront + "<d:C>" + text + "</d:C>" + entryBack + "</feed>", trimmed, trimmed},
	}
	if end, err := scan.JSONValue([]byte(text+"}"), 0, 1); err == nil && end == len(text) && text != "null" {
		pages["JSON without quotes"] = struct{ doc, text, source string }{`[{"C":` + text + `}]`, text, text}
	}
	for form, page := range pages {
		doc := []byte(page.doc)
		want, problem := new(values).appendColumn(nil, schema, &schema.Columns[0], []byte(page.text),
			[]byte(page.source))
		out, err := decodePieces(newDecoder(schema, doc), doc, cuts{size: len(doc)}, nil)
		subject := fmt.Sprintf("%s of %q in %s", column.Type, text, form)
		found := fmt.Sprintf("%q, %+v", out.Data, out.RowErrors)
		switch {
		case err != nil || len(out.Rows)+len(out.RowErrors) != 1:
			t.Fatalf("%s: %v", subject, err)
		case problem != nil &&
			(len(out.Rows) > 0 || !strings.HasPrefix(out.RowErrors[0].Error.Message, problem.Error())):
			t.Errorf("%s: expected %v, found %s", subject, problem, found)
		case problem == nil && (len(out.Rows) == 0 || !bytes.Equal(out.Data, want)):
			t.Errorf("%s: expected %q, found %s", subject, want, found)
		}
	}
}
