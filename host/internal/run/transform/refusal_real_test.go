//go:build real

package transform

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
)

// base is settings that each transform and predicate takes.
var base = map[string]map[string]string{
	"Cast$Value":               {"spec": "id:int8"},
	"DropHeaders":              {"headers": "h"},
	"ExtractField$Value":       {"field": "id"},
	"Filter":                   {},
	"Flatten$Value":            {},
	"HeaderFrom$Value":         {"fields": "id", "headers": "h", "operation": "move"},
	"HoistField$Value":         {"field": "id"},
	"InsertField$Value":        {"static.field": "id", "static.value": "x"},
	"InsertHeader":             {"header": "h", "value.literal": "1"},
	"MaskField$Value":          {"fields": "id"},
	"RegexRouter":              {"regex": "a", "replacement": "b"},
	"ReplaceField$Value":       {"exclude": "id"},
	"SetSchemaMetadata$Value":  {"schema.name": "N"},
	"TimestampConverter$Value": {"target.type": "string", "format": "yyyy", "field": "id"},
	"TimestampRouter":          {},
	"ValueToKey":               {"fields": "id"},

	"predicates.HasHeaderKey":      {"name": "h"},
	"predicates.TopicNameMatches":  {"pattern": "a"},
	"predicates.RecordIsTombstone": {},
}

// oddValues are values of settings: empty and blank, lists with gaps and with an item twice, numbers at their bounds,
// words of enumerations in another case, types that Cast does not take, expressions and patterns that do not end.
var oddValues = []string{"", " ", "\t\n", "\u00a0", ",", ",,", " , ", "id,", ",id", "id,,name", "id, ,name", "id,id",
	"id,name,id", "id,,id", ",id,", " id , id ", "ID,id", "id", " id ", "h,h", "null", "NULL", "true", "True", "TRUE ", "yes", "1", "0",
	"-1", "+7", " 7 ", "1.5", "1e3", "1E400", "0x10", "007", "2147483647", "2147483648", "-2147483648", "-2147483649",
	"99999999999999999999", "NaN", "٣", "V1", "v2", "V3", "V2 ", "V1,V2", "MOVE", "Copy", "drop", "string", "String",
	"STRING", "unix", "date", "Date", " Date", "Timestamp", "time", "seconds", "Seconds", "SECONDS", "ms", "id:int8",
	"id:INT8", "id:int8:int16", "id:", ":int8", ":", "::", "id:bytes", "id:array", "id:map", "id:struct", "id:foo",
	"int8", "INT8", "int8,int16", "int8,id:int8", "id:int8,id:int16", "id:int8,name", "bytes", "array", "struct",
	"foo", "id:a", "id:a,id:b", "id:a,name:a", "id:a,", "id:a:b", "id:a,b", "a:id,id:a", " id : a ", "id?", "id!", "?",
	"!", "id??", "id!?", "id?!", "id ?", "yyyy", "yyyy'", "''", "b", "QQ", "XXXX", "yyyy-MM-ddTHH", "é", "(", "[a",
	"a{2,1}", "*", "\\", "a|", "$", "$1", "${x}", "$0", "`", "`id", "`id`", "``", "id.", ".id", "id..a", "`id`x",
	"x`id`", "`a.b`.c", "`id`.", "\\`id", "`i`d`", "`i\\`d`", ".", "..", "[1", "{a", "\"q", "[1,a]", "{1:2", "[", "{",
	"a\nb", "a\tb", "😀"}

// everyRefusal is each transform and predicate without settings, and with each option missing and of each odd value.
func everyRefusal() (heads []string) {
	for _, class := range slices.Sorted(maps.Keys(base)) {
		add := func(settings map[string]string) {
			var of any = settings
			if settings["type"] = kafka + class; strings.HasPrefix(class, "predicates.") {
				of = map[string]any{"type": kafka + "Filter", "predicate": settings}
			}
			text, _ := json.Marshal(of)
			heads = append(heads, "stage "+string(text)+`
record {"topic":"orders","timestamp":5,"value":{"schema":null,"payload":{"id":"7"}}}`)
		}
		add(map[string]string{})
		list, isTransform := options[strings.TrimSuffix(class, "Value")]
		if !isTransform {
			list = slices.Sorted(maps.Keys(base[class]))
		}
		for _, option := range list {
			without := maps.Clone(base[class])
			delete(without, option)
			add(without)
			for _, v := range oddValues {
				with := maps.Clone(base[class])
				with[option] = v
				add(with)
				other, paired := map[string]string{"include": "exclude", "headers": "fields"}[option]
				if paired && isTransform { // both name the same
					with := maps.Clone(with)
					with[other] = v
					add(with)
				}
			}
		}
	}
	return heads
}

// Each setting that Kafka's class refuses is refused, with the same text, and no other is.
func TestRealEveryRefusal(t *testing.T) {
	tried, _, _, refused := compareSome(t, everyRefusal(), 1000)
	if refused < tried/5 || refused > tried*4/5 {
		t.Errorf("expected a fifth to be refused and a fifth not to, found %d of %d", refused, tried)
	}
}
