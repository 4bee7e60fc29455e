package setting

import (
	"slices"
	"strings"
	"testing"
)

// A class that no plugin has leads to those that were meant: misspelt, without $Key or $Value, escaped for a shell, or
// of another vendor.
func TestNearestClasses(t *testing.T) {
	const kafka = "org.apache.kafka.connect.transforms."
	var offered []string
	for _, name := range []string{"Cast", "ExtractField", "Flatten", "HeaderFrom", "HoistField", "InsertField",
		"MaskField", "ReplaceField", "SetSchemaMetadata", "TimestampConverter"} {
		offered = append(offered, kafka+name+"$Key", kafka+name+"$Value")
	}
	for _, name := range []string{"DropHeaders", "Filter", "InsertHeader", "RegexRouter", "TimestampRouter",
		"ValueToKey"} {
		offered = append(offered, kafka+name)
	}
	offered = append(offered, "org.culvert.transforms.ToTombstone")
	offered = append(offered, "org.example.Connector") // without Connector its name is empty, which is similar to none
	slices.Sort(offered)
	for class, want := range map[string]string{
		"InsertFeld$Value":                                       "InsertField$Value",
		"insertfield$value":                                      "InsertField$Key InsertField$Value",
		kafka + "InsertField":                                    "InsertField$Key InsertField$Value",
		kafka + `ExtractField\$Key`:                              "ExtractField$Key",
		"Cats$Value":                                             "Cast$Value",
		"io.confluent.connect.transforms.Filter$Value":           "Filter",
		"io.confluent.connect.transforms.Drop$Key":               "DropHeaders",
		"io.confluent.connect.transforms.ReplaceField$Value":     "ReplaceField$Value",
		"io.confluent.connect.transforms.MessageTimestampRouter": "TimestampRouter",
		"io.confluent.connect.transforms.TopicRegexRouter":       "RegexRouter",
		"org.example.None":                                       "",
		"":                                                       "",
		strings.Repeat("x", 9):                                   "",
	} {
		var got []string
		for _, name := range NearestClasses(class, offered) {
			got = append(got, name[strings.LastIndexByte(name, '.')+1:])
		}
		if found := strings.Join(got, " "); !strings.HasPrefix(found, want) || (want == "" && found != "") {
			t.Errorf("%s: expected %q first, found %q", class, want, found)
		}
	}
}
