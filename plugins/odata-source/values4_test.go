package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
)

// TestOddValuesOfV4: a value is read exactly, or its row is an error that says what was expected.
func TestOddValuesOfV4(t *testing.T) {
	const enums = `<EnumType Name="E"><Member Name="A"/><Member Name="B"/></EnumType>` +
		`<EnumType Name="F" IsFlags="true"><Member Name="A" Value="1"/><Member Name="B" Value="2"/></EnumType>`
	const digits40 = "1234567890123456789012345678901234567890"
	const instant = `"2024-02-29T23:59:59.123456789012+02:00"`
	for _, test := range []struct {
		typeName string // may have facets
		text     string
		settings []string
		value    string // "" means an error of the row
		problem  string
	}{
		{typeName: `N.E"`, text: `"B"`, value: "B"},
		{typeName: `N.E"`, text: `"C"`, problem: "expected a member of the enumeration type in $metadata"},
		{typeName: `N.E"`, text: `7`, problem: "expected a member of the enumeration type in $metadata"},
		{typeName: `N.F"`, text: `"A,B"`, value: "A,B"},
		{typeName: `N.F"`, text: `"A,C"`, problem: "expected a member of the enumeration type in $metadata"},
		{typeName: `Edm.Double"`, text: `"INF"`, value: "+Inf"},
		{typeName: `Edm.Double"`, text: `"-INF"`, value: "-Inf"},
		{typeName: `Edm.Double"`, text: `"NaN"`, value: "NaN"},
		{typeName: `Edm.Double"`, text: `-0.0`, value: "-0"},
		{typeName: `Edm.Double"`, text: digits40, value: "1.2345678901234568e+39"},
		{typeName: `Edm.Double"`, text: `1e400`, problem: "expected Edm.Double"},
		{typeName: `Edm.Decimal" Precision="38" Scale="3"`, text: `"INF"`, problem: "expected Edm.Decimal"},
		{typeName: `Edm.Decimal" Precision="38" Scale="3"`, text: digits40,
			problem: "precision 38 and scale 3"},
		{typeName: `Edm.Decimal" Precision="38" Scale="3"`, text: `"` + digits40 + `"`,
			problem: "sap.odata#00.decimal.mapping = primitive reads it as a double"},
		{typeName: `Edm.Int64"`, text: digits40, problem: "expected Edm.Int64"},
		{typeName: `Edm.Int64"`, text: `"9007199254740995"`, value: "9007199254740995"},
		{typeName: `Edm.Int64"`, text: `9007199254740995`, value: "9007199254740995"},
		{typeName: `Edm.DateTimeOffset" Precision="12"`, text: instant, value: "1709243999123"},
		{typeName: `Edm.DateTimeOffset" Precision="12"`, text: instant, value: "1709243999123456",
			settings: []string{"sap.odata#00.timestamp.precision=micros"}},
		{typeName: `Edm.Date"`, text: `"0000-01-01"`, problem: "expected Edm.Date of the years 1 to 9999"},
		{typeName: `Edm.TimeOfDay"`, text: `"24:00:00"`, problem: "expected Edm.TimeOfDay"},
		{typeName: `Edm.String"`, text: `{"a":1}`, problem: "expected Edm.String"},
		{typeName: `Edm.String" Nullable="false"`, text: `null`,
			problem: "sap.odata#00.nullable = lenient accepts it"},
		{typeName: `Collection(Edm.String)"`, text: `["a",null]`, value: "[a <nil>]"},
		{typeName: `Collection(Edm.String)"`, text: `["a"],"U@odata.nextLink":"X(1)/U?$skip=1"`,
			problem: "expected all items of the collection, found a link to further ones"},
	} {
		name := test.typeName + " " + test.text
		metadata := metadata4("K", numberKey+`<Property Name="U" Type="`+test.typeName+`/>`, enums)
		s := answer4(metadata, func(*http.Request) string {
			return `{"@odata.context":"$metadata#X","@odata.count":1,"value":[{"K":1,"U":` + test.text + `}]}`
		})
		load, err := newLoad4(t, s, setOf("/s", "X", test.settings...)...)
		require.NoError(t, err, name)
		load.piece = 1
		load.readAll(nil)
		if test.value != "" {
			assert.Equal(t, []string{"[1 " + test.value + "]"}, load.values, name)
			continue
		}
		assert.True(t, len(load.values) == 0 && len(load.faults) == 1 &&
			strings.Contains(load.faults[0].Error.Message, test.problem),
			"%s: expected an error with %q, found %v, %v", name, test.problem, load.values, load.faults)
	}
}

// TestOddKeysOfV4: a row with any characters in its key is read again by its key, and deleted by its id.
func TestOddKeysOfV4(t *testing.T) {
	metadata := metadata4("K", `<Property Name="K" Type="Edm.String" Nullable="false"/><Property Name="V" Type="Edm.Int32"/>`)
	for key, segment := range map[string]string{"a/b": "a%2Fb", "100%": "100%25", "50%25": "50%2525", "O'Neil": "O''Neil",
		"a''b": "a''''b", "a b+c&d?e#f": "a%20b%2Bc%26d%3Fe%23f", "ä": "%C3%A4", "": "", `"q"`: "%22q%22", "a,b=(c)": "a%2Cb%3D%28c%29"} {
		member := fmt.Sprintf(`"K":%q`, key)
		items := "{" + member + `,"V":1}`
		path := ""
		follower := newFollowerOf(sourceconfig.V4, t, answer4(metadata, func(r *http.Request) string {
			if r.URL.Path == "/s/X" {
				return `{"value":[` + items + `],"@odata.deltaLink":"X?$deltatoken=D"}`
			}
			path, _, _ = strings.Cut(r.URL.RequestURI(), "?")
			return `{"@odata.context":"$metadata#X/$entity",` + member + `,"V":3}`
		}), deltaSetOf("/s", "X")...)
		require.NoError(t, follower.catchUp(start))
		items = "{" + member + "}"
		require.NoError(t, follower.catchUp(poll))
		row := follower.state["["+key+"]"]
		assert.True(t, path == "/s/X('"+segment+"')" && row["V"] == "3", "%s: expected the row again, found %v by %s", key, row, path)
		items = `{"@odata.context":"$metadata#X/$deletedEntity","id":"X('` + segment + `')","reason":"deleted"}`
		require.NoError(t, follower.catchUp(poll))
		assert.True(t, len(follower.state) == 0 && len(follower.faults) == 0, "%s: expected no row, found %v, %v", key,
			follower.state, follower.faults)
	}
}
