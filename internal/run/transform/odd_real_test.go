//go:build real

package transform

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
)

// oddText returns an unusual value of a setting: empty, blank, with Java's or Unicode's whitespace around it, lists
// with gaps, paths that do not end.
func (c chance) oddText() string {
	return c.pick("", " ", "\t", "\u00a0", "\u3000", "ä", "😀", "id", " id ", "\u00a0id", "\x01id", "id\n", "ID", "a.b",
		"`a.b`", "`id`", "id.", ".id", "nested.id", "nested..id", "`", "``", "`id", "id`", "nested.`id`", "`nested`.id",
		"`nested`id", "`a`.b`", "`a\\`.b`", "\\`id\\`", "*", ",", ",,", "id,", ",id", "id,,name", "id,id", "id, name",
		"id ,name", "id:", ":id", ":", "id:name:at", "id:name", "id:name,name:id", "id:id", "id:x,id:y", "id:x,name:x",
		"null", "true", "FALSE", "yes", "0", "1", "-1", "+1", "1.5", "1e3", "0x10", "007", "1_000", "2147483647",
		"2147483648", "-2147483649", "9223372036854775808", "1L", "٣", "NaN", "org.apache.kafka.connect.data.Timestamp",
		strings.Repeat("n", 300), "$", "$0", "$1", "${topic}", "${timestamp}", "\\", "(", "[", "a|b", "\"q\"", "'q'",
		"'", "yyyy", "int8", "x:int8", "\t\n", " , ", "id, ,name", "id,name,id", "id,,id", ",id,", "ID,id", "h,h",
		"NULL", "TRUE ", "+7", "1E400", "-2147483648", "99999999999999999999", "V1", "v2", "V3", "V2 ", "V1,V2", "MOVE",
		"Copy", "drop", "string", "String", "STRING", "unix", "date", "Date", " Date", "Timestamp", "time", "seconds",
		"Seconds", "SECONDS", "ms", "id:INT8", "id:int8:int16", ":int8", "::", "id:bytes", "id:array", "id:map",
		"id:struct", "id:foo", "INT8", "int8,int16", "int8,id:int8", "id:int8,id:int16", "id:int8,name", "bytes",
		"array", "struct", "foo", "id:a,name:a", "id:a:b", "id:a,b", "a:id,id:a", " id : a ", "id?", "id!", "?", "!",
		"id??", "id!?", "id?!", "id ?", "yyyy'", "''", "b", "QQ", "XXXX", "yyyy-MM-ddTHH", "é", "[a", "a{2,1}", "a|",
		"${x}", "`id`x", "x`id`", "`a.b`.c", "`id`.", "`i`d`", "`i\\`d`", ".", "..", "[1", "{a", "\"q", "[1,a]", "{1:2",
		"{", "a\nb", "a\tb")
}

// settingNames contains the settings of each transform by class, without the package; classes whose name ends in $
// exist for keys and for values.
var settingNames = map[string][]string{
	"Cast$":         {"spec", "replace.null.with.default"},
	"DropHeaders":   {"headers"},
	"ExtractField$": {"field", "field.syntax.version", "replace.null.with.default"},
	"Filter":        {},
	"Flatten$":      {"delimiter"},
	"HeaderFrom$":   {"fields", "headers", "operation", "replace.null.with.default"},
	"HoistField$":   {"field"},
	"InsertField$": {"topic.field", "partition.field", "offset.field", "timestamp.field", "static.field",
		"static.value", "replace.null.with.default"},
	"InsertHeader":        {"header", "value.literal"},
	"MaskField$":          {"fields", "replacement", "replace.null.with.default"},
	"RegexRouter":         {"regex", "replacement"},
	"ReplaceField$":       {"exclude", "include", "renames", "replace.null.with.default"},
	"SetSchemaMetadata$":  {"schema.name", "schema.version", "replace.null.with.default"},
	"TimestampConverter$": {"field", "target.type", "format", "unix.precision", "replace.null.with.default"},
	"TimestampRouter":     {"topic.format", "timestamp.format"},
	"ValueToKey":          {"fields", "replace.null.with.default"},
}

var classNames = slices.Sorted(maps.Keys(settingNames))

// validValue returns a valid value of an option.
func (c chance) validValue(option string) string {
	switch option {
	case "spec":
		if c.oneIn(2) {
			return c.kind()
		}
		return c.name() + ":" + c.kind() + c.pick("", ","+c.name()+":"+c.kind())
	case "headers":
		return c.header() + c.pick("", ","+c.header())
	case "fields", "exclude", "include":
		return c.names()
	case "operation":
		return c.pick("move", "copy", "MOVE", "Copy", "drop")
	case "field.syntax.version":
		return c.pick("V1", "V2", "v2")
	case "replace.null.with.default":
		return c.pick("true", "false")
	case "delimiter":
		return c.pick(".", "_", "", "::", "ä", "😀", "`", "\\", "$", " . ")
	case "value.literal":
		return c.literal(2)
	case "replacement":
		return c.pick("1", "-7", "1.5", "300", "x", "$0", "$1", "99999999999", "1e400", "0.1", "-0", "$1y", "${n}",
			"a$2", `\$1`, `\`, "$", "${", "$10", `\x`, "17", "-2.75", "1e2", "0x10", " 5 ", "1.", ".5", "+3")
	case "regex":
		return c.expression()
	case "renames":
		return c.name() + ":" + c.pick("n3", "n4", c.name())
	case "schema.version":
		return c.pick("1", "0", "-5", "7")
	case "target.type":
		return c.pick("string", "unix", "Date", "Time", "Timestamp")
	case "format", "timestamp.format":
		return c.pick("yyyy-MM-dd", "yyyyMMddHHmmssSSS", "EEE, d MMM yyyy HH:mm:ss Z", "yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
			"hh:mm a", "Y-'W'ww-u",
			c.datePattern(), "yyyy-MM-dd'", "''", "QQ", "yyyy-MM-ddTHH:mm", "b", "é", "yyyy'x'é")
	case "unix.precision":
		return c.pick("seconds", "milliseconds", "microseconds", "nanoseconds")
	case "topic.format":
		return c.pick("${topic}-${timestamp}", "${timestamp}", "x", "${topic}${topic}")
	case "static.value":
		return c.pick("SAP", "", "ä", " x ")
	case "name":
		return c.header()
	case "pattern":
		return c.expression()
	}
	return c.name()
}

// stage returns a transform with valid settings. If odd is not zero, one setting in odd has an unusual value, and one
// in eight is missing. Only the first stage may give two entries of a map the same name: which of them counts depends
// on the positions in Kafka's hash table, and so on the stages before.
func (c chance) stage(first bool, odd int) string {
	class := classNames[c.IntN(len(classNames))]
	s := map[string]any{"type": kafka + strings.TrimSuffix(class, "$")}
	if strings.HasSuffix(class, "$") {
		s["type"] = kafka + class + c.side()
	}
	set := func(fields map[string]any, option string) {
		switch {
		case odd > 0 && c.oneIn(8): // the option is missing
		case odd > 0 && c.oneIn(odd):
			fields[option] = c.oddText()
		case odd == 0 && (option == "regex" || option == "pattern"): // a pattern with every group
			fields[option] = c.pick("(.)(.*)", "(or)(ders)", "(.*)-(.*)", "[a-z]+(.)(.)", "(x.*|a.*)(?<n>s)", "(")
		case !first && option == "renames":
			fields[option] = c.name() + ":" + c.pick("m3", "m4", "")
		case !first && option == "delimiter":
			fields[option] = "_"
		case option != "replace.null.with.default" || c.oneIn(3):
			fields[option] = c.validValue(option)
		}
	}
	for _, option := range settingNames[class] {
		if class != "InsertField$" || option == "static.value" || c.oneIn(3) {
			set(s, option)
		}
	}
	if _, ok := s["include"]; ok && !c.oneIn(4) {
		delete(s, "include")
	}
	if class == "HeaderFrom$" && (odd == 0 || !c.oneIn(4)) { // must have as many headers as fields
		if fields, ok := s["fields"].(string); ok {
			s["headers"] = strings.Repeat("h,", strings.Count(fields, ",")) + c.header()
		}
	}
	if class == "Filter" || c.oneIn(6) {
		p := map[string]any{"type": kafka + "predicates." + c.pick("RecordIsTombstone", "HasHeaderKey",
			"TopicNameMatches")}
		switch {
		case strings.HasSuffix(p["type"].(string), "HasHeaderKey"):
			set(p, "name")
		case strings.HasSuffix(p["type"].(string), "TopicNameMatches"):
			set(p, "pattern")
		}
		s["negate"] = c.oneIn(2)
		s["predicate"] = p
	}
	text, _ := json.Marshal(s)
	return string(text)
}

// edge returns a value of a type, preceded by its schema without its end, at the limits of the type and of the other
// types that Cast converts it to.
func (c chance) edge() (schema, payload string) {
	whole := func() string {
		return c.pick("0", "1", "-1", "127", "128", "-128", "-129", "255", "256", "32767", "32768", "-32769", "65536",
			"2147483647", "2147483648", "-2147483648", "-2147483649", "4294967296", "16777217", "9007199254740993",
			"9223372036854775807", "-9223372036854775808", "1700000000000", "-62135596800001", "253402300800000",
			"-62167219200001", "86400000", "-1000", "999", "-999")
	}
	real := func() string {
		return c.pick("0.0", "-0.0", "0.5", "-0.5", "1.5", "-1.5", "2.5", "127.9", "128.0", "-128.9", "-129.0",
			"32768.5", "2147483647.0", "2147483648.0", "9.223372036854775807E18", "1.0E19", "-1.0E19", "1.0E300",
			"4.9E-324", "1.4E-45", "3.4028235E38", "3.5E38", "1.0E7", "1.0E-3", "9999999.0", "0.001", "9.999E-4",
			"16777217.0", "0.1", "1.0E10", "123456789.125", "1.17549435E-38", "2.2250738585072014E-308")
	}
	text := func() string {
		return strconv.Quote(c.pick("", " ", "0", "-0", "1", "127", "128", "-129", "+5", " 7 ", "7\t", "1.0", "1.5",
			"-1.5", "1e3", "1E-2", "0x1p3", "0x10", "NaN", "nan", "Infinity", "-Infinity", "inf", "true", "TRUE",
			" true", "false", "yes", "t", "1f", "1d", "1L", "1_000", "٣", "2147483648", "9223372036854775808", "1e400",
			"1e-400", "2024-02-29", "2023-02-29", "2024-13-45", "24:00:00", "10:11:12.345", "2024-02-29 10:11:12.345",
			"20240229", "1-1-1", "12345-01-01", "-1-01-01", "2024-02-29T10:11:12Z", "2024-02-29T10:11:12.345+01:00",
			"1700000000000", "ä", "\u0660", "\u00a0", "1\u00a0", "Thu, 29 Feb 2024 23:59:60 +0000",
			"a longer text, of more than sixty-four bytes so that its length takes two of them", c.numeral(),
			c.numeral()))
	}
	switch c.IntN(15) {
	case 0:
		return `"type":"int8"`, c.pick("0", "1", "-1", "127", "-128")
	case 1:
		return `"type":"int16"`, c.pick("0", "127", "128", "-129", "32767", "-32768")
	case 2:
		return `"type":"int32"`, c.pick("0", "128", "-129", "32768", "2147483647", "-2147483648", "16777217")
	case 3:
		return `"type":"int64"`, whole()
	case 4:
		return `"type":"float"`, c.pick("0.0", "-0.0", "0.5", "-1.5", "127.9", "128.0", "-129.0", "3.4028235E38",
			"1.4E-45", "1.0E10", "16777216.0", "1.0E7", "0.001", "0.1", "9.2233720E18", "1.17549435E-38")
	case 5:
		return `"type":"double"`, real()
	case 6:
		return `"type":"boolean"`, c.pick("true", "false")
	case 7, 8:
		return `"type":"string"`, text()
	case 9:
		return `"type":"bytes"`, c.pick(`""`, `"AQID"`, `"MTI="`, `"dHJ1ZQ=="`, `"/w=="`)
	case 10:
		scale := c.pick("0", "2", "-2", "10", "30")
		return c.logical("bytes", "Decimal") + `,"parameters":{"scale":"` + scale + `"}`, c.pick(`"AA=="`, `"AQ=="`,
			`"/w=="`, `"f/8="`, `"gAA="`, `"AIAAAAA="`, `"f/////////8="`, `"AP//////////////////"`)
	case 11:
		return c.logical("int32", "Date"), c.pick("0", "-1", "19782", "2932896", "2932897", "-719163", "-719164",
			"-141428", "-141429", "2147483647", "-2147483648")
	case 12:
		return c.logical("int32", "Time"), c.pick("0", "86399999", "43200000", "1")
	case 13:
		return c.logical("int64", "Timestamp"), whole()
	}
	return c.pick(`"type":"array","items":{"type":"int32","optional":true}`,
		`"type":"map","keys":{"type":"string","optional":false},"values":{"type":"string","optional":true}`), "null"
}

// datum returns a key or value of any type, null, or with fields of any type, optional and with defaults.
func (c chance) datum() string {
	if c.oneIn(3) {
		return everyDatum()[c.IntN(len(everyDatum()))]
	}
	member := func(extra string) (string, string) {
		schema, payload := c.edge()
		optional := payload == "null" || c.oneIn(2)
		if payload != "null" && !strings.Contains(schema, "Decimal") && c.oneIn(5) {
			schema += `,"default":` + payload
		}
		if optional && c.oneIn(4) {
			payload = "null"
		}
		return fmt.Sprintf(`{%s,"optional":%t%s}`, schema, optional, extra), payload
	}
	var names []string
	for _, name := range []string{"id", "name", "at", "a.b", "a", "nested.id", "day", "Größe", "", " ", "nested", "n3",
		"😀", "`"} {
		if c.oneIn(2) {
			names = append(names, name)
		}
	}
	switch c.IntN(12) {
	case 0:
		return `{"schema":null,"payload":null}`
	case 1, 2:
		schema, payload := member("")
		return `{"schema":` + schema + `,"payload":` + payload + `}`
	case 3, 4:
		_, payload := c.edge()
		return `{"schema":null,"payload":` + payload + `}`
	case 5, 6, 7:
		var list []string
		for _, name := range names {
			_, payload := c.edge()
			if name == "nested" {
				_, inner := c.edge()
				payload = c.pick(`{"id":`+inner+`}`, `{"id":{"id":`+inner+`}}`, `{"a.b":`+inner+`,"":1}`, `{}`,
					`[{"id":1}]`, `null`)
			}
			list = append(list, strconv.Quote(name)+":"+payload)
		}
		return `{"schema":null,"payload":{` + strings.Join(list, ",") + `}}`
	}
	var schemas, values []string
	for _, name := range names {
		if name == "" {
			continue // structs have no such field
		}
		schema, payload := member(`,"field":` + strconv.Quote(name))
		if name == "nested" && !c.oneIn(4) {
			inner, value := member(`,"field":` + strconv.Quote(c.pick("id", "a.b", " ", "name")))
			optional := c.oneIn(2)
			var field struct{ Field string }
			_ = json.Unmarshal([]byte(inner), &field)
			schema = fmt.Sprintf(`{"type":"struct","fields":[%s],"optional":%t,"field":"nested"}`, inner,
				optional)
			payload = fmt.Sprintf(`{%q:%s}`, field.Field, value)
			if optional && c.oneIn(3) {
				payload = "null"
			}
		}
		schemas = append(schemas, schema)
		values = append(values, strconv.Quote(name)+":"+payload)
	}
	optional := c.oneIn(3)
	payload := "{" + strings.Join(values, ",") + "}"
	if optional && c.oneIn(4) {
		payload = "null"
	}
	attributes := c.pick("", `,"name":"N"`, `,"version":3`, `,"name":"N","version":1,"doc":"d","parameters":{"p":"q"}`)
	return fmt.Sprintf(`{"schema":{"type":"struct","fields":[%s],"optional":%t%s},"payload":%s}`,
		strings.Join(schemas, ","), optional, attributes, payload)
}

func (c chance) record() string {
	r := fmt.Sprintf(`{"topic":%q`, c.pick("orders", "a.b.c", "ä", "sap-orders", "$1", "\\", "o r", "😀"))
	sink := c.oneIn(3)
	if sink || c.oneIn(2) {
		r += `,"partition":` + c.pick("0", "7", "2147483647")
	}
	if !c.oneIn(4) {
		r += `,"timestamp":` + c.pick("0", "1", "1700000000000", "1709164800000", "9223372036854775807",
			"253402300800000")
	}
	if sink {
		r += `,"offset":` + c.pick("0", "9223372036854775807", "12")
	}
	if !c.oneIn(5) {
		r += `,"key":` + c.datum()
	}
	if c.oneIn(2) {
		list := []string{}
		for range 1 + c.IntN(3) {
			list = append(list, fmt.Sprintf(`[%q,%s]`, c.pick("h", "h", "", "ü", "source"), c.datum()))
		}
		r += `,"headers":[` + strings.Join(list, ",") + `]`
	}
	if c.oneIn(20) {
		return r + "}"
	}
	return r + `,"value":` + c.datum() + "}"
}

// Every transform and predicate with every option valid, unusual or missing, on records of every type at its limits,
// has the same result as Kafka's: the same configuration error, the same failure, the same bytes.
func TestRealOddStages(t *testing.T) {
	g, cases := oracle(t, 7, 3000)
	failed, _, refused := compare(t, cases, func() string {
		return "stage " + g.stage(true, 2+g.IntN(8)) + "\nrecord " + g.record()
	})
	assert.True(t, failed != 0 && refused != 0 && failed+refused <= cases*9/10,
		"expected some to fail, some to be rejected and a tenth to succeed, found %d and %d", failed, refused)
}

// sample is a schema without its end, and values of it in JSON.
type sample struct {
	schema string
	values []string
}

// samples returns a schema of every type of Kafka Connect, with the values at which transforms branch.
func samples() []sample {
	g := chance{}
	named := `"type":"int32","name":"my.Kind","version":2,"doc":"d","parameters":{"p":"q"}`
	inner := `"type":"struct","fields":[{"type":"int32","optional":true,"field":"id"},` +
		`{"type":"string","optional":false,"default":"dd","field":"name"}]`
	return []sample{
		{`"type":"int8"`, []string{"7", "-128"}},
		{`"type":"int16"`, []string{"-129", "32767"}},
		{`"type":"int32"`, []string{"65537", "-2147483648"}},
		{`"type":"int64"`, []string{"1700000000123", "-9223372036854775808", "4294967295"}},
		{`"type":"float"`, []string{"1.5", "-0.0", "3.4028235E38", "1.0E-5"}},
		{`"type":"double"`, []string{"-2.75", "1.0E300", "1.0E7", "0.001", "4.9E-324"}},
		{`"type":"boolean"`, []string{"true", "false"}},
		{`"type":"string"`, []string{`""`, `"12"`, `"2024-02-29"`, `"true"`, `"1e3"`}},
		{`"type":"bytes"`, []string{`""`, `"AQID"`}},
		{named, []string{"5"}},
		{g.logical("bytes", "Decimal") + `,"parameters":{"scale":"2"}`, []string{`"MDk="`, `"/w=="`, `"AA=="`}},
		{g.logical("bytes", "Decimal") + `,"parameters":{"scale":"0"}`, []string{`"MDk="`}},
		{g.logical("int32", "Date"), []string{"19782", "-1", "0"}},
		{g.logical("int32", "Time"), []string{"43200001", "0"}},
		{g.logical("int64", "Timestamp"), []string{"1700000000123", "-1", "1709164800000"}},
		{`"type":"array","items":{"type":"int32","optional":true}`, []string{"[]", "[1,null]"}},
		{`"type":"array","items":{` + inner + `,"optional":false}`, []string{`[{"id":1,"name":"x"}]`}},
		{`"type":"map","keys":{"type":"string","optional":false},"values":{"type":"int32","optional":true}`,
			[]string{"{}", `{"id":1}`}},
		{`"type":"map","keys":{"type":"int32","optional":false},"values":{"type":"string","optional":true}`,
			[]string{`[[1,"a"]]`}},
		{inner, []string{`{"id":1,"name":"x"}`, `{"id":null,"name":"x"}`}},
		{inner + `,"name":"Inner","version":3`, []string{`{"id":1,"name":"x"}`}},
	}
}

// everyDatum contains each sample required, optional, null, with a default and null with a default: as a whole, as a
// field, within a struct that is present and one that is null, and without schema. No struct has a default:
// JsonConverter accepts none.
var everyDatum = sync.OnceValue(func() (list []string) {
	for i, s := range samples() {
		type form struct{ schema, value string }
		var forms []form
		for _, v := range s.values {
			forms = append(forms, form{s.schema + `,"optional":false`, v})
		}
		v := s.values[0]
		forms = append(forms, form{s.schema + `,"optional":true`, v}, form{s.schema + `,"optional":true`, "null"})
		forms = append(forms, form{s.schema + `,"optional":true,"default":` + v, "null"},
			form{s.schema + `,"optional":false,"default":` + v, v},
			form{s.schema + `,"optional":true,"default":` + v, s.values[len(s.values)-1]})
		for _, f := range forms {
			field := `{"schema":{"type":"struct","fields":[{"type":"int32","optional":false,"field":"at"},{` +
				f.schema +
				`,"field":"id"},{"type":"string","optional":true,"field":"name"}],"optional":false,"name":"R","version":1},` +
				`"payload":{"at":1,"id":` + f.value + `,"name":"z"}}`
			nested := func(optional, value string) string {
				return `{"schema":{"type":"struct","fields":[{"type":"struct","fields":[{` + f.schema +
					`,"field":"id"},{"type":"string","optional":true,"field":"a.b"}],"optional":` + optional +
					`,"field":"nested"},{"type":"int32","optional":false,"field":"id"}],"optional":false},"payload":{"nested":` +
					value + `,"id":3}}`
			}
			list = append(list, `{"schema":{`+f.schema+`},"payload":`+f.value+`}`, field,
				nested("false", `{"id":`+f.value+`,"a.b":"x"}`), nested("true", "null"))
		}
		list = append(list, `{"schema":{"type":"struct","fields":[{`+s.schema+`,"optional":false,"field":"id"}],`+
			`"optional":true},"payload":null}`)
		if i != 18 { // without schema, a list of pairs is a list
			for _, v := range s.values {
				list = append(list, `{"schema":null,"payload":`+v+`}`, `{"schema":null,"payload":{"at":1,"id":`+v+`}}`,
					`{"schema":null,"payload":{"nested":{"id":`+v+`,"a.b":null},"id":2}}`,
					`{"schema":null,"payload":{"nested":[`+v+`],"name":{"id":{}}}}`)
			}
		}
	}
	return append(list, `{"schema":null,"payload":null}`, `{"schema":null,"payload":{}}`,
		`{"schema":null,"payload":{"id":null}}`, `{"schema":null,"payload":{"nested":null}}`,
		`{"schema":{"type":"struct","fields":[],"optional":false},"payload":{}}`)
})
