package convert

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/convert/conversion"
	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/internal/record"
)

// A hostileRecord is a document that is expensive to read, and a part of the error. Without it the document is read.
type hostileRecord struct {
	document string
	want     string
}

// Documents of some hundred bytes to some megabytes are read in linear time.
func TestHostileRecordsAreReadInTime(t *testing.T) {
	for _, records := range []map[string]hostileRecord{hostileNumbers(), hostileMembers(), hostileSchemas()} {
		for name, c := range records {
			t.Run(name, func(t *testing.T) {
				endsInTime(t, func(ctx context.Context) { checkRead(ctx, t, c) })
			})
		}
	}
}

func checkRead(ctx context.Context, t *testing.T, c hostileRecord) {
	b := &record.Batch{Registry: record.NewRegistry()}
	settings := []string{"schemas.enable", "false"}
	if strings.HasPrefix(c.document, `{"schema"`) {
		settings = nil
	}
	_, err := newConverter(t, ClassJSON, b.Registry, settings...).Decode(ctx, "t", []byte(c.document), b)
	assert.True(t, c.want != "" || err == nil, "expected no error, found %.300v", err)
	assert.True(t, c.want == "" || (err != nil && strings.Contains(err.Error(), c.want) && fault.Class(err) != ""),
		"expected %q, found %.300v", c.want, err)
	if err != nil && len(err.Error()) > 10_000 {
		t.Errorf("expected an error of at most 10000 bytes, found %d", len(err.Error()))
	}
	assert.AtMost(t, 4*conversion.MaxDecodedBytes, cap(b.Data), "bytes to be allocated")
}

// inEnvelope returns a document with the schema.
func inEnvelope(schema, payload string) string {
	return `{"schema":` + schema + `,"payload":` + payload + `}`
}

// items returns n items, separated by commas.
func items(n int, item func(i int) string) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(item(i))
	}
	return b.String()
}

func repeatedItems(n int, item string) string { return items(n, func(int) string { return item }) }

// wideStruct is the schema of a struct of 9,000 optional members.
func wideStruct() string {
	return `{"type":"struct","fields":[` + items(9_000, func(i int) string {
		return fmt.Sprintf(`{"type":"int8","optional":true,"field":"f%d"}`, i)
	}) + `]}`
}

func hostileNumbers() map[string]hostileRecord {
	decimal := func(scale string) string {
		return `{"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"` +
			scale + `"}}`
	}
	return map[string]hostileRecord{
		"scale of 10^8":   {inEnvelope(decimal("100000000"), "1"), "expected a scale from -1000 to 1000"},
		"scale of 2^31-1": {inEnvelope(decimal("2147483647"), "0"), "expected a scale from -1000 to 1000"},
		"scale out of 64 bits": {inEnvelope(decimal("99999999999999999999"), "0"),
			"expected a scale from -1000 to 1000"},
		"scale below 0": {inEnvelope(decimal("-2147483648"), "1e30000"), "expected a scale from -1000 to 1000"},
		"exponent":      {inEnvelope(decimal("2"), "1e32000"), "more than 4096 bytes"},
		"exponent of 0": {inEnvelope(decimal("1000"), "0e32000"), ""},
		"places":        {inEnvelope(decimal("2"), "1e-32000"), "Decimal value has mismatching scale"},
		"zeros behind":  {inEnvelope(decimal("0"), "1"+strings.Repeat("0", 500)+"e-500"), ""},
		"digits":        {inEnvelope(decimal("2"), strings.Repeat("9", 4<<20)), "a number of at most 1000 digits"},
		"zeros before":  {inEnvelope(decimal("2"), strings.Repeat("0", 4<<20)+"1"), "a number of at most 1000 digits"},
		"base64": {inEnvelope(decimal("2"), `"`+strings.Repeat("MTIz", 1<<20)+`"`),
			"more than 4096 bytes"},
		"a long integer": {strings.Repeat("9", 4<<20), "a number of at most 1000 digits"},
	}
}

func hostileMembers() map[string]hostileRecord {
	wide := wideStruct()
	return map[string]hostileRecord{
		"absent members": {inEnvelope(`{"type":"array","items":`+wide+`}`, "["+repeatedItems(300_000, "{}")+"]"),
			"more than"},
		"unknown members": {inEnvelope(wide, "{"+items(100_000, func(i int) string {
			return fmt.Sprintf(`"u%d":1`, i)
		})+"}"), ""},
		"members out of order": {inEnvelope(wide, "{"+items(100_000, func(i int) string {
			return fmt.Sprintf(`"f%d":1`, 8999-i*7%9000)
		})+"}"), ""},
		"a fault among many members": {inEnvelope(wide, "{"+items(100_000, func(i int) string {
			return fmt.Sprintf(`"f%d":%d`, 8999-i*7%9000, i)
		})+"}"), "does not fit the type INT8"},
		"100,000 names": {"{" + items(100_000, func(i int) string { return fmt.Sprintf(`"n%d":1`, i) }) + "}",
			""},
		"100,000 names twice": {"{" + items(200_000, func(i int) string {
			return fmt.Sprintf(`"n%d":%d`, i%100_000, i)
		}) + "}", ""},
		"one name many times": {"{" + items(100_000, func(i int) string { return fmt.Sprintf(`"n%d":1`, i) }) + "," +
			items(100_000, func(i int) string { return `"n0":"` + strings.Repeat("x", i%3) + `"` }) + "}", ""},
	}
}

func hostileSchemas() map[string]hostileRecord {
	wide := wideStruct()
	structWithDefault := `{"type":"struct","fields":[{"type":"string","field":"a","default":"` +
		strings.Repeat("x", 1<<20) + `"}]}`
	deep := `{"type":"int8"}`
	for range 400 {
		deep = `{"type":"array","items":` + deep + `}`
	}
	growing := `{"type":"string","default":"` + strings.Repeat("x", 1000) + `"}`
	for range 20 {
		growing = `{"type":"struct","fields":[` + strings.TrimSuffix(growing, "}") + `,"field":"a"}]}`
		growing = `{"type":"array","default":[` + repeatedItems(20, "{}") + `],"items":` + growing + `}`
	}
	tuples := `{"type":"map","keys":{"type":"int8"},"values":{"type":"int8"}}`
	for range 90 {
		tuples = `{"type":"map","keys":{"type":"int8"},"values":` + tuples + `}`
	}
	longName := strings.Repeat("n", 30_000)
	longNames := `{"type":"int8"}`
	payload := `"x"`
	for range 90 {
		longNames = `{"type":"struct","fields":[` + strings.TrimSuffix(longNames, "}") + `,"field":"` + longName +
			`"}]}`
		payload = `{"` + longName + `":` + payload + `}`
	}
	return map[string]hostileRecord{
		"defaults": {inEnvelope(`{"type":"array","items":`+structWithDefault+`}`, "["+repeatedItems(300_000, "{}")+"]"),
			"more than"},
		"defaults in defaults": {inEnvelope(growing, "null"), "more than"},
		"deep schema":          {inEnvelope(deep, "[]"), "expected at most 100 nodes in each other"},
		"deep payload":         {inEnvelope(`{"type":"int8"}`, strings.Repeat("[", 900_000)), "nests deeper than 1000"},
		"schema of many fields": {inEnvelope(strings.Replace(wide, "]", `,{"type":"int8","field":"g"},`+
			items(2000, func(i int) string { return fmt.Sprintf(`{"type":"int8","field":"h%d"}`, i) })+"]", 1),
			"{}"), "expected at most 10000 fields"},
		"schema of 5 MB": {inEnvelope(`{"type":"int8","doc":"`+strings.Repeat("x", 5<<20)+`"}`, "1"), "bytes"},
		"error of long names": {inEnvelope(longNames, payload),
			"expected a JSON value for the type INT8, found STRING"},
		"a fault in tuples of tuples": {inEnvelope(tuples, strings.Repeat("[[1,", 90)+"[["+
			strings.TrimSuffix(strings.Repeat("[],", 1<<20), ",")+"]]"+strings.Repeat("]]", 90)),
			"Found invalid map entry, expected length 2 but found :1048576"},
	}
}
