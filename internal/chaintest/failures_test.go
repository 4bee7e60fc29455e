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
	"good": {mask + `  records:
  - {topic: t, value: {a: 1, secret: s}, becomes: {value: {a: 1.0, secret: ""}}}`, nil},
	"order of names": {mask + `  records:
  - {topic: t, value: {a: 1, secret: s}, becomes: {value: {secret: "", a: 1}}}`, nil},
	"no value": {mask + `  records:
  - {topic: t, key: null, value: {secret: null}, becomes: {value: {secret: null}, key: null}}`, nil},
	"another value": {mask + `  records:
  - topic: t
    value: {a: 1, secret: s}
    becomes:
      value:
        a: 2
        secret: ""`, []string{"x_test.yaml:13: value (- expected, + found):", "-   \"a\": 2,", "+   \"a\": 1,"}},
	"a text is no number": {mask + `  records:
  - {topic: t, value: {a: "1", secret: s}, becomes: {value: {a: 1, secret: ""}}}`,
		[]string{"x_test.yaml:9", `+   "a": "1"`}},
	"another topic": {mask + `  records:
  - {topic: t, value: {secret: s}, becomes: {topic: u}}`, []string{"x_test.yaml:9: topic: expected u, found t"}},
	"not dropped": {mask + `  records:
  - {topic: t, value: {secret: s}, becomes: dropped}`,
		[]string{`x_test.yaml:9: expected the record to be dropped, found a record`, `value {"secret":""}`}},
	"two records": {mask + `  records:
  - {topic: t, value: {secret: s}, becomes: [{value: null}, {value: null}]}`,
		[]string{"expected 2 records, found a record"}},
	"no error": {mask + `  records:
  - {topic: t, value: {secret: s}, becomes: {error: oh}}`,
		[]string{`x_test.yaml:9: expected an error with "oh", found a record`}},
	"an error": {mask + `  records:
  - {topic: t, value: 7, becomes: {value: 7}}`,
		[]string{"expected a record, found an error of transform mask: " +
			"org.apache.kafka.connect.errors.DataException: Only Map"}},
	"expected error": {mask + `  records:
  - {topic: t, value: 7, becomes: {error: Only Map, stage: mask, class: DataException}}`, nil},
	"another error": {mask + `  records:
  - {topic: t, value: 7, becomes: {error: Only Struct}}
  - {topic: t, value: 7, becomes: {error: Only, stage: other}}
  - {topic: t, value: 7, becomes: {error: Only, class: Exception}}`,
		[]string{`9: expected an error with "Only Struct", found`, "10: expected an error of transform other",
			"11: expected an error of class Exception"}},
	"schema": {mask + `  records:
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
  - {topic: t, value: *v, becomes: {value: {d: 1.5, secret: ""}}}`, nil},
	"another schema": {mask + `  records:
  - topic: t
    value: {schema: {type: struct, fields: [{field: secret, type: string}]}, payload: {secret: s}}
    becomes:
      value: {schema: {type: struct, fields: [{field: secret, type: string, optional: true}]}, payload: {secret: ""}}`,
		[]string{"x_test.yaml:12: value", `-         "optional": true`, `+         "optional": false`}},
	"headers": {mask + `  records:
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
		[]string{`16: headers: expected [], found ["h"]`, "20: header h (- expected, + found):"}},
	"no headers": {mask + `  records:
  - {topic: t, value: {}, becomes: {headers: []}}
  - {topic: t, value: {}, becomes: {headers: [{name: h, value: 1}]}}`,
		[]string{`10: headers: expected ["h"], found []`}},
	"dates without schema": {`settings:
  transforms: [d]
  transforms.d: {type: TimestampConverter$Value, field: d, target.type: Timestamp, format: yyyy-MM-dd}
tests:
- name: x
  records:
  - {topic: t, value: {d: 1970-01-02, e: [1]}, becomes: {value: {d: 86400000, e: [1]}}}
  - {topic: t, value: {d: 1970-01-02}, becomes: {value: {d: 0}}}`, []string{`8: value`, `+   "d": 86400000`}},
	"a name twice": {mask + `  records:
  - {topic: t, value: {a: 1, a: 2}, becomes: {value: {a: 2}}}`, []string{`9: the name "a" is there twice`}},
}

// checkedSettings holds files whose settings are wrong, or are expected to be.
var checkedSettings = map[string]fileCase{
	"misspelt prefix": {mask + `  settings: {transfroms.mask.fields: a}
  records:
  - {topic: t, value: {a: b}, becomes: {value: {a: b}}}`,
		[]string{"8: transfroms.mask.fields: unknown setting; the nearest known one is transforms.mask.fields"}},
	"misspelt option": {mask + `  settings: {transforms.mask.replacment: z}
  records:
  - {topic: t, value: {secret: a}, becomes: {value: {secret: ""}}}`,
		[]string{"8: transforms.mask.replacment: ", "unknown setting; the nearest known one is replacement"}},
	"misspelt alias": {mask + `  settings: {transforms.maks.replacement: z}
  records:
  - {topic: t, value: {secret: a}, becomes: {value: {secret: ""}}}`,
		[]string{"8: transforms.maks.replacement: ", `transforms does not name "maks"`}},
	"refused when it is configured": {`settings: {transforms: i, transforms.i.type: InsertField$Value}
tests: [{name: x, refused: "transforms.i.type: No field insertion configured"}]`, nil},
	"refused for what is missing": {`settings: {transforms: i, transforms.i.type: InsertField$Value}
tests:
- {name: y, settings: {transforms.i.static.field: a}, refused: "transforms.i.static.value: Invalid value null"}`, nil},
	"refused": {mask + `  settings: {transforms.mask.fields: ""}
  refused: Configuration 'fields' must not be empty`, nil},
	"refused otherwise": {mask + `  settings: {transforms.mask.type: Mask}
  refused: Empty list`, []string{`expected the settings to be refused with "Empty list", found`, "MaskField"}},
	"not refused": {mask + `  refused: x`,
		[]string{`expected the settings to be refused with "x", found nothing wrong`}},
	"bad settings": {mask + `  settings: {transforms.mask.fields: ""}
  records:
  - {topic: t, becomes: dropped}`, []string{"x_test.yaml:8: transforms.mask.fields"}},
}

// unusableFiles holds files that are rejected before a test runs.
var unusableFiles = map[string]fileCase{
	"bad value": {mask + `  records:
  - {topic: t, value: {schema: {type: string}, payload: 7}, becomes: dropped}`, []string{"x_test.yaml:9: value: "}},
	"unknown name": {mask + "  recods: []",
		[]string{`8: a test has no "recods": expected name, settings, records, refused`}},
	"nothing compared": {mask + "  records:\n  - {topic: t, becomes: {}}", []string{"nothing would be compared"}},
	"nothing expected": {mask + "  records:\n  - {topic: t}", []string{"9: expected becomes"}},
	"nothing done":     {mask, []string{"7: expected either records or refused"}},
	"no tests":         {"settings: {transforms: x}", []string{"expected a list of tests"}},
	"no transforms":    {"tests: [{name: x, refused: y}]", []string{"expected connector: FILE or settings:"}},
	"no connector": {"connector: nowhere.properties\ntests: [{name: x, refused: y}]",
		[]string{"x_test.yaml:1: connector: ", "nowhere.properties"}},
	"no YAML":       {"a: [", []string{"expected tests in YAML"}},
	"empty":         {"", []string{"the file is empty"}},
	"a tab":         {"settings:\n\ta: b", []string{"2: expected tests in YAML: found "}},
	"two documents": {"settings: {a: b}\n---\nx: y", []string{"2: expected one document"}},
	"hexadecimal": {mask + "  records:\n  - {topic: t, value: 0x10, becomes: dropped}",
		[]string{"expected a number as JSON writes it"}},
	"itself":     {mask + "  records:\n  - {topic: t, value: &a [*a], becomes: dropped}", []string{"at most 1000 levels"}},
	"aliases":    {mask + "  records:\n" + strings.Join(expandingRecords(), "\n"), []string{"expected at most 1000000 values"}},
	"long texts": {mask + "  records:\n" + longTexts, []string{"expected at most 67108864 bytes"}},
	"twice": {mask + "  refused: x\n- name: x\n  refused: x",
		[]string{`9: a test of the name "x" stands in line 7`}},
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
