//go:build real

package real

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"maps"
	"math/big"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
)

// entityModel has the types of a service's metadata. It compares entities of the service with records.
type entityModel struct {
	// types has the types of properties, by the set's name and by the qualified name of a structured type.
	types map[string]map[string]string
	keys  map[string][]string // the names of the keys, by the set's name
}

// metadataProperty is a property or a navigation property of v4.
type metadataProperty struct {
	Name string `xml:",attr"`
	Type string `xml:",attr"`
}

// readMetadata reads the metadata of an OData service of any version.
func readMetadata(t *testing.T, metadata []byte) entityModel {
	t.Helper()
	type set struct {
		Name string `xml:",attr"`
		Type string `xml:"EntityType,attr"`
	}
	type structuredType struct {
		Name string `xml:",attr"`
		Keys []struct {
			Name string `xml:",attr"`
		} `xml:"Key>PropertyRef"`
		Properties  []metadataProperty `xml:"Property"`
		Navigations []metadataProperty `xml:"NavigationProperty"`
	}
	var document struct {
		Schemas []struct {
			Namespace  string `xml:",attr"`
			Sets       []set  `xml:"EntityContainer>EntitySet"`
			Singletons []struct {
				Name string `xml:",attr"`
				Type string `xml:",attr"`
			} `xml:"EntityContainer>Singleton"`
			Types       []structuredType `xml:"EntityType"`
			Complex     []structuredType `xml:"ComplexType"`
			Definitions []struct {
				Name string `xml:",attr"`
				Type string `xml:"UnderlyingType,attr"`
			} `xml:"TypeDefinition"`
		} `xml:"DataServices>Schema"`
	}
	require.NoError(t, xml.Unmarshal(metadata, &document))
	m := entityModel{types: map[string]map[string]string{}, keys: map[string][]string{}}
	definitions := map[string]string{}
	for _, schema := range document.Schemas {
		for _, d := range schema.Definitions {
			definitions[schema.Namespace+"."+d.Name] = d.Type
		}
		for _, typ := range append(schema.Types, schema.Complex...) {
			name := schema.Namespace + "." + typ.Name
			m.types[name] = map[string]string{}
			for _, p := range append(typ.Properties, typ.Navigations...) {
				if p.Type == "" {
					continue // a navigation property of v2
				}
				m.types[name][p.Name] = p.Type
				if definition := definitions[p.Type]; definition != "" {
					m.types[name][p.Name] = definition
				}
			}
			for _, k := range typ.Keys {
				m.keys[name] = append(m.keys[name], k.Name)
			}
		}
	}
	for _, schema := range document.Schemas {
		for _, s := range schema.Singletons {
			schema.Sets = append(schema.Sets, set(s))
		}
		for _, s := range schema.Sets {
			m.types[s.Name] = m.types[s.Type]
			m.keys[s.Name] = m.keys[s.Type]
		}
	}
	return m
}

// capRow is an entity or a record's value, each property as a text that is the same for equal values; nil is null.
type capRow map[string]*string

// textFunc returns a value of a primitive type or an enumeration as text.
type textFunc func(t *testing.T, edm string, v any) *string

// row returns an object of a type with its values as texts, without names that are not in the metadata.
func (m entityModel) row(t *testing.T, typ string, object map[string]any, primitive textFunc) capRow {
	t.Helper()
	r := capRow{}
	for name, v := range object {
		if edm := m.types[typ][name]; edm != "" {
			r[name] = m.text(t, edm, v, primitive)
		}
	}
	return r
}

// text returns a value as text.
func (m entityModel) text(t *testing.T, edm string, v any, primitive textFunc) *string {
	t.Helper()
	item, isMany := strings.CutPrefix(strings.TrimSuffix(edm, ")"), "Collection(")
	var content any
	switch {
	case v == nil:
		return nil
	case isMany:
		var items []*string
		for _, member := range v.([]any) {
			items = append(items, m.text(t, item, member, primitive))
		}
		content = items
	case m.types[edm] != nil:
		row := m.row(t, edm, v.(map[string]any), primitive)
		maps.DeleteFunc(row, func(_ string, text *string) bool { return text == nil }) // or left out by the service
		content = row
	default:
		return primitive(t, edm, v)
	}
	encoded, err := json.Marshal(content)
	require.NoError(t, err)
	text := string(encoded)
	return &text
}

// rowsByKey returns entities by their keys.
func (m entityModel) rowsByKey(t *testing.T, set string, entities []map[string]any) map[string]capRow {
	t.Helper()
	byKey := map[string]capRow{}
	for _, entity := range entities {
		r := m.row(t, set, entity, textOfJSON)
		byKey[m.key(set, r)] = r
	}
	require.Equal(t, len(entities), len(byKey), set, "keys")
	return byKey
}

func (m entityModel) key(set string, r capRow) string {
	var parts []string
	for _, k := range m.keys[set] {
		parts = append(parts, *r[k])
	}
	return strings.Join(parts, "|")
}

// topic reads a topic by `culvert consume` and returns its records' values by their keys.
func (m entityModel) topic(t *testing.T, p *e2etest.Place, set, topic string) map[string]capRow {
	t.Helper()
	return m.rowsOfRecords(t, set, topic, p.Documents(topic, "--data", p.Data))
}

// rowsOfRecords returns the values of a topic's records by their keys.
func (m entityModel) rowsOfRecords(t *testing.T, set, topic string, records []map[string]any) map[string]capRow {
	t.Helper()
	rows := map[string]capRow{}
	for _, record := range records {
		value := payload(t, record, "value")
		r := m.row(t, set, value, textOfRecord)
		require.True(t, len(r) == len(value), "%s: expected the properties of the metadata only, found %v", topic,
			record)
		key := m.row(t, set, payload(t, record, "key"), textOfRecord)
		id := m.key(set, r)
		require.True(t, len(key) == len(m.keys[set]) && m.key(set, key) == id,
			"%s: expected key and value of the same entity, found %v", topic, record)
		assert.True(t, rows[id] == nil, "%s: expected one record of %s, found two", topic, id)
		rows[id] = r
	}
	return rows
}

// payload returns the fields of a record's key or value, which may be with a schema.
func payload(t *testing.T, record map[string]any, part string) map[string]any {
	t.Helper()
	envelope, _ := record[part].(map[string]any)
	require.True(t, envelope != nil, "expected a %s with fields, found %v", part, record)
	if fields, ok := envelope["payload"].(map[string]any); ok {
		return fields
	}
	return envelope
}

var (
	v2Date = regexp.MustCompile(`^/Date\((-?\d+)(\+0000)?\)/$`)
	v2Time = regexp.MustCompile(`^PT(\d\d)H(\d\d)M(\d\d)S$`)
)

// textOfJSON returns a value of CAP's JSON as text.
func textOfJSON(t *testing.T, edm string, v any) *string {
	t.Helper()
	if v == nil {
		return nil
	}
	text := fmt.Sprint(v)
	switch edm {
	case "Edm.Decimal":
		return decimalText(t, text)
	case "Edm.Double", "Edm.Single":
		return floatText(t, edm, text)
	case "Edm.DateTime", "Edm.DateTimeOffset":
		if m := v2Date.FindStringSubmatch(text); m != nil {
			return &m[1]
		}
		date, err := time.Parse(time.RFC3339Nano, text)
		require.NoError(t, err)
		text = strconv.FormatInt(date.UnixMilli(), 10)
	case "Edm.Date":
		date, err := time.Parse(time.DateOnly, text)
		require.NoError(t, err)
		text = strconv.FormatInt(date.Unix()/86_400, 10)
	case "Edm.TimeOfDay":
		timeOfDay, err := time.Parse(time.TimeOnly, text)
		require.NoError(t, err)
		text = strconv.FormatInt(timeOfDay.Sub(timeOfDay.Truncate(24*time.Hour)).Milliseconds(), 10)
	case "Edm.Time":
		m := v2Time.FindStringSubmatch(text)
		require.True(t, m != nil, "expected a time, found %s", text)
		ms := 0
		for i, unit := range []int{3_600_000, 60_000, 1000} {
			number, _ := strconv.Atoi(m[i+1])
			ms += number * unit
		}
		text = strconv.Itoa(ms)
	case "Edm.Binary":
		b, err := base64.URLEncoding.DecodeString(text)
		if err != nil {
			b, err = base64.StdEncoding.DecodeString(text)
			require.NoError(t, err)
		}
		text = hex.EncodeToString(b)
	}
	return &text
}

// textOfRecord returns a value of the JSON converter as text.
func textOfRecord(t *testing.T, edm string, v any) *string {
	t.Helper()
	if v == nil {
		return nil
	}
	_, isText := v.(string)
	wantText := edm == "Edm.String" || edm == "Edm.Guid" || edm == "Edm.Binary" || edm == "Edm.Duration" ||
		!strings.HasPrefix(edm, "Edm.") // an enumeration
	require.True(t, isText == wantText, "%s: expected a string: %t, found %v", edm, wantText, v)
	text := fmt.Sprint(v)
	switch edm {
	case "Edm.Decimal":
		return decimalText(t, text)
	case "Edm.Double", "Edm.Single":
		return floatText(t, edm, text)
	case "Edm.Binary":
		b, err := base64.StdEncoding.DecodeString(text)
		require.NoError(t, err)
		text = hex.EncodeToString(b)
	}
	return &text
}

func decimalText(t *testing.T, text string) *string {
	t.Helper()
	r, ok := new(big.Rat).SetString(text)
	require.True(t, ok, "expected a number, found %s", text)
	s := r.RatString()
	return &s
}

func floatText(t *testing.T, edm, text string) *string {
	t.Helper()
	bits := 64
	if edm == "Edm.Single" {
		bits = 32
	}
	f, err := strconv.ParseFloat(text, bits)
	require.NoError(t, err)
	s := strconv.FormatFloat(f, 'g', -1, bits)
	return &s
}

func compareRows(t *testing.T, what string, want, got map[string]capRow) {
	t.Helper()
	assert.Equal(t, len(want), len(got), what, "rows")
	shown := 0
	for key, w := range want {
		if !reflect.DeepEqual(w, got[key]) && shown < 3 {
			t.Errorf("%s: %s (-service +topic)\n%s", what, key, cmp.Diff(w, got[key]))
			shown++
		}
	}
}
