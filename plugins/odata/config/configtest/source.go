package configtest

import (
	"maps"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/wit"
)

// Northwind is the path of the demo service's Northwind.
const Northwind = "/V2/Northwind/Northwind.svc"

// Source returns the smallest configuration of a source connector, followed by more settings, each as name=value.
func Source(more ...string) (list []wit.Setting) {
	host := []string{"sap.odata.host.protocol=http", "sap.odata.host.address=127.0.0.1", "sap.odata.host.port=8080"}
	for _, line := range append(host, more...) {
		name, value, _ := strings.Cut(line, "=")
		list = append(list, wit.Setting{Name: name, Value: value})
	}
	return list
}

// Set returns the settings of one entity set of Northwind.
func Set(number, name string) []string {
	prefix := "sap.odata#" + number + "."
	return []string{prefix + "service=" + Northwind, prefix + "entityset=" + name, prefix + "topic=t" + number}
}

// Condition returns the settings of a filter condition of the set 00. high is optional: only its first value is used.
func Condition(number, property, option, low string, high ...string) []string {
	prefix := "sap.odata#00.filter#" + number + "."
	lines := []string{prefix + "property=" + property, prefix + "option=" + option, prefix + "low=" + low}
	if len(high) > 0 {
		lines = append(lines, prefix+"high="+high[0])
	}
	return lines
}

// Offset returns a stored offset from fields as encoding/json reads them. Nulls, arrays and objects are left out.
func Offset(fields map[string]any) (offset []wit.OffsetEntry) {
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		switch v := fields[name].(type) {
		case string:
			offset = append(offset, wit.StringEntry(name, v))
		case float64:
			offset = append(offset, wit.IntegerEntry(name, int64(v)))
		case bool:
			offset = append(offset, wit.BooleanEntry(name, v))
		}
	}
	return offset
}
