package chaintest

import "strings"

// A fileCase is a file of tests and parts of the failures that it must result in. Without parts, all its tests pass.
type fileCase struct {
	file string
	want []string
}

const mask = `settings:
  transforms: [mask]
  transforms.mask:
    type: org.apache.kafka.connect.transforms.MaskField$Value
    fields: secret
tests:
- name: x
`

// comparedRecords holds files whose results equal, or differ from, the records that the file expects.
var comparedRecords = map[string]fileCase{
	"good": {
		file: mask + `  records:
  - {topic: t, value: {a: 1, secret: s}, becomes: {value: {a: 1.0, secret: ""}}}`,
	},
	"order of names": {
		file: mask + `  records:
  - {topic: t, value: {a: 1, secret: s}, becomes: {value: {secret: "", a: 1}}}`,
	},
	"no value": {
		file: mask + `  records:
  - {topic: t, key: null, value: {secret: null}, becomes: {value: {secret: null}, key: null}}`,
	},
	"another value": {
		file: mask + `  records:
  - topic: t
    value: {a: 1, secret: s}
    becomes:
      value:
        a: 2
        secret: ""`,
		want: []string{"x_test.yaml:13: value (- expected, + found):", "-   \"a\": 2,", "+   \"a\": 1,"},
	},
	"a text is no number": {
		file: mask + `  records:
  - {topic: t, value: {a: "1", secret: s}, becomes: {value: {a: 1, secret: ""}}}`,
		want: []string{"x_test.yaml:9", `+   "a": "1"`},
	},
	"another topic": {
		file: mask + `  records:
  - {topic: t, value: {secret: s}, becomes: {topic: u}}`,
		want: []string{"x_test.yaml:9: topic: expected u, found t"},
	},
	"not dropped": {
		file: mask + `  records:
  - {topic: t, value: {secret: s}, becomes: dropped}`,
		want: []string{`x_test.yaml:9: expected the record to be dropped, found a record`, `value {"secret":""}`},
	},
	"two records": {
		file: mask + `  records:
  - {topic: t, value: {secret: s}, becomes: [{value: null}, {value: null}]}`,
		want: []string{"expected 2 records, found a record"},
	},
	"no error": {
		file: mask + `  records:
  - {topic: t, value: {secret: s}, becomes: {error: oh}}`,
		want: []string{`x_test.yaml:9: expected an error with "oh", found a record`},
	},
	"an error": {
		file: mask + `  records:
  - {topic: t, value: 7, becomes: {value: 7}}`,
		want: []string{"expected a record, found an error of transform mask: " +
			"org.apache.kafka.connect.errors.DataException: Only Map"},
	},
	"expected error": {
		file: mask + `  records:
  - {topic: t, value: 7, becomes: {error: Only Map, stage: mask, class: DataException}}`,
	},
	"another error": {
		file: mask + `  records:
  - {topic: t, value: 7, becomes: {error: Only Struct}}
  - {topic: t, value: 7, becomes: {error: Only, stage: other}}
  - {topic: t, value: 7, becomes: {error: Only, class: Exception}}`,
		want: []string{`9: expected an error with "Only Struct", found`, "10: expected an error of transform other",
			"11: expected an error of class Exception"},
	},
	"schema": {
		file: mask + `  records:
  - topic: t
    value: &v
      schema: {type: struct, fields: [{field: d, type: bytes, name: org.apache.kafka.connect.data.Decimal, version: 1,
        parameters: {scale: "2"}}, {field: secret, type: string}]}
      payload: {d: 1.50, secret: s}
    becomes:
      value:
        schema: {type: struct, fields: [{field: d, type: bytes, name: org.apache.kafka.connect.data.Decimal, version: 1,
          parameters: {scale: "2"}}, {field: secret, type: string}]}
        payload: {d: 1.5, secret: ""}
  - {topic: t, value: *v, becomes: {value: {d: 1.5, secret: ""}}}`,
	},
	"another schema": {
		file: mask + `  records:
  - topic: t
    value: {schema: {type: struct, fields: [{field: secret, type: string}]}, payload: {secret: s}}
    becomes:
      value: {schema: {type: struct, fields: [{field: secret, type: string, optional: true}]}, payload: {secret: ""}}`,
		want: []string{"x_test.yaml:12: value", `-         "optional": true`, `+         "optional": false`},
	},
	"headers": {
		file: mask + `  records:
  - topic: t
    value: {}
    headers: [{name: h, value: 1}, {name: i, value: null}]
    becomes: {headers: [{name: h, value: 1}, {name: i, value: null}]}
  - topic: t
    value: {}
    headers: [{name: h, value: 1}]
    becomes: {headers: []}
  - topic: t
    value: {}
    headers: [{name: h, value: 1}]
    becomes: {headers: [{name: h, value: 2}]}`,
		want: []string{`16: headers: expected [], found ["h"]`, "20: header h (- expected, + found):"},
	},
	"no headers": {
		file: mask + `  records:
  - {topic: t, value: {}, becomes: {headers: []}}
  - {topic: t, value: {}, becomes: {headers: [{name: h, value: 1}]}}`,
		want: []string{`10: headers: expected ["h"], found []`},
	},
	"dates without schema": {
		file: `settings:
  transforms: [d]
  transforms.d: {type: TimestampConverter$Value, field: d, target.type: Timestamp, format: yyyy-MM-dd}
tests:
- name: x
  records:
  - {topic: t, value: {d: 1970-01-02, e: [1]}, becomes: {value: {d: 86400000, e: [1]}}}
  - {topic: t, value: {d: 1970-01-02}, becomes: {value: {d: 0}}}`,
		want: []string{`8: value`, `+   "d": 86400000`},
	},
	"a name twice": {
		file: mask + `  records:
  - {topic: t, value: {a: 1, a: 2}, becomes: {value: {a: 2}}}`,
		want: []string{`9: the name "a" is there twice`},
	},
}

// checkedSettings holds files whose settings are wrong, or are expected to be.
var checkedSettings = map[string]fileCase{
	"misspelt prefix": {
		file: mask + `  settings: {transfroms.mask.fields: a}
  records:
  - {topic: t, value: {a: b}, becomes: {value: {a: b}}}`,
		want: []string{"8: transfroms.mask.fields: unknown setting; the nearest known one is transforms.mask.fields"},
	},
	"misspelt option": {
		file: mask + `  settings: {transforms.mask.replacment: z}
  records:
  - {topic: t, value: {secret: a}, becomes: {value: {secret: ""}}}`,
		want: []string{"8: transforms.mask.replacment: ", "unknown setting; the nearest known one is replacement"},
	},
	"misspelt alias": {
		file: mask + `  settings: {transforms.maks.replacement: z}
  records:
  - {topic: t, value: {secret: a}, becomes: {value: {secret: ""}}}`,
		want: []string{"8: transforms.maks.replacement: ", `transforms does not name "maks"`},
	},
	"refused when it is configured": {
		file: `settings: {transforms: i, transforms.i.type: InsertField$Value}
tests: [{name: x, refused: "transforms.i.type: No field insertion configured"}]`,
	},
	"refused for what is missing": {
		file: `settings: {transforms: i, transforms.i.type: InsertField$Value}
tests:
- {name: y, settings: {transforms.i.static.field: a}, refused: "transforms.i.static.value: Invalid value null"}`,
	},
	"refused": {
		file: mask + `  settings: {transforms.mask.fields: ""}
  refused: Configuration 'fields' must not be empty`,
	},
	"refused otherwise": {
		file: mask + `  settings: {transforms.mask.type: Mask}
  refused: Empty list`,
		want: []string{`expected the settings to be refused with "Empty list", found`, "MaskField"},
	},
	"not refused": {
		file: mask + `  refused: x`,
		want: []string{`expected the settings to be refused with "x", found nothing wrong`},
	},
	"bad settings": {
		file: mask + `  settings: {transforms.mask.fields: ""}
  records:
  - {topic: t, becomes: dropped}`,
		want: []string{"x_test.yaml:8: transforms.mask.fields"},
	},
}

// unusableFiles holds files that are rejected before a test runs.
var unusableFiles = map[string]fileCase{
	"bad value": {
		file: mask + `  records:
  - {topic: t, value: {schema: {type: string}, payload: 7}, becomes: dropped}`,
		want: []string{"x_test.yaml:9: value: "},
	},
	"unknown name": {
		file: mask + "  recods: []",
		want: []string{`8: a test has no "recods": expected name, settings, records, refused`},
	},
	"nothing compared": {
		file: mask + "  records:\n  - {topic: t, becomes: {}}",
		want: []string{"nothing would be compared"},
	},
	"nothing expected": {file: mask + "  records:\n  - {topic: t}", want: []string{"9: expected becomes"}},
	"nothing done":     {file: mask, want: []string{"7: expected either records or refused"}},
	"no tests":         {file: "settings: {transforms: x}", want: []string{"expected a list of tests"}},
	"no transforms": {
		file: "tests: [{name: x, refused: y}]",
		want: []string{"expected connector: FILE or settings:"},
	},
	"no connector": {
		file: "connector: nowhere.properties\ntests: [{name: x, refused: y}]",
		want: []string{"x_test.yaml:1: connector: ", "nowhere.properties"},
	},
	"no YAML":       {file: "a: [", want: []string{"expected tests in YAML"}},
	"empty":         {file: "", want: []string{"the file is empty"}},
	"a tab":         {file: "settings:\n\ta: b", want: []string{"2: expected tests in YAML: found "}},
	"two documents": {file: "settings: {a: b}\n---\nx: y", want: []string{"2: expected one document"}},
	"hexadecimal": {
		file: mask + "  records:\n  - {topic: t, value: 0x10, becomes: dropped}",
		want: []string{"expected a number as JSON writes it"},
	},
	"itself": {
		file: mask + "  records:\n  - {topic: t, value: &a [*a], becomes: dropped}",
		want: []string{"at most 1000 levels"},
	},
	"aliases": {
		file: mask + "  records:\n" + strings.Join(expandingRecords(), "\n"),
		want: []string{"expected at most 1000000 values"},
	},
	"long texts": {file: mask + "  records:\n" + longTexts, want: []string{"expected at most 67108864 bytes"}},
	"twice": {
		file: mask + "  refused: x\n- name: x\n  refused: x",
		want: []string{`9: a test of the name "x" stands in line 7`},
	},
}

// longTexts holds records that are short, and too long once their aliases are expanded.
var longTexts = "  - {topic: t, value: &a " + strings.Repeat("x", 900_000) + ", becomes: dropped}\n" +
	"  - {topic: t, value: [" + strings.Repeat("*a, ", 99) + "*a], becomes: dropped}"

// expandingRecords returns short records that expand to many values.
func expandingRecords() []string {
	list := []string{"  - {topic: t, value: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1], becomes: dropped}"}
	for i := range 7 {
		alias := "*a" + string(rune('0'+i))
		values := strings.Repeat(alias+", ", 9) + alias
		list = append(list, "  - {topic: t, value: &a"+string(rune('1'+i))+" ["+values+"], becomes: dropped}")
	}
	return list
}
