package main

import (
	"cmp"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
)

// metadata4 returns metadata of v4 of a set X whose entities have a key and properties, with further types.
func metadata4(key, properties string, types ...string) string {
	return `<edmx:Edmx Version="4.0" xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx"><edmx:DataServices>` +
		`<Schema Namespace="N" Alias="A" xmlns="http://docs.oasis-open.org/odata/ns/edm">` + strings.Join(types, "") +
		`<EntityType Name="T"><Key><PropertyRef Name="` + key + `"/></Key>` + properties + `</EntityType>` +
		`<EntityContainer Name="C"><EntitySet Name="X" EntityType="N.T"/></EntityContainer></Schema>` +
		`</edmx:DataServices></edmx:Edmx>`
}

// numberKey is a property K.
const numberKey = `<Property Name="K" Type="Edm.Int32" Nullable="false"/>`

// answer4 returns a service of v4 that answers each request for rows with a body.
func answer4(metadata string, body func(r *http.Request) string) http.Handler {
	return withMetadata(metadata, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("OData-Version", "4.0")
		w.Header().Set("Content-Type", "application/json;odata.metadata=minimal;IEEE754Compatible=true")
		fmt.Fprint(w, body(r))
	})
}

// newLoad4 is [newLoad] of the class for v4. err is the error of opening it.
func newLoad4(t *testing.T, s http.Handler, settings ...string) (load *fullLoad, err error) {
	load = newUnopened(t, s)
	load.class = sourceconfig.V4
	return load, load.open(settings...)
}

// expectError checks that an error contains a text and is one sentence for users, or that there is none.
func expectError(t *testing.T, subject string, err error, message string) {
	t.Helper()
	assert.True(t, errorContains(err, message) && (err == nil || !strings.Contains(err.Error(), "\n")),
		"%s: expected %q, found %v", subject, message, err)
}

const noDeltaLink = "expected a delta link at the end of the load, found none"

// TestOddAnswersOfV4: each answer that cannot be read to its end fails the load, with a message that says what it is.
// Empty messages mean that the load ends.
func TestOddAnswersOfV4(t *testing.T) {
	page := func(members string) string {
		return `{"@odata.context":"$metadata#X","value":[{"K":1},{"K":2}` + members + `}`
	}
	for name, test := range map[string]struct {
		body    string
		message string
		delta   string // "" means the same message in delta mode
	}{
		"v2":               {body: `{"d":{"results":[{"K":1}]}}`, message: "found a response of OData v2 (d)"},
		"v3":               {body: `{"odata.metadata":"$metadata#X","value":[]}`, message: "found a response of OData v3"},
		"Atom":             {body: `<feed xmlns="http://www.w3.org/2005/Atom"/>`, message: "expected JSON, found XML"},
		"HTML":             {body: `<html><body>Log on</body></html>`, message: "expected JSON, found HTML"},
		"service document": {body: `{"@odata.context":"$metadata","value":[{"name":"X"}]}`, message: "a service document"},
		"link beside a delta link": {message: "form a loop",
			body: page(`],"@odata.nextLink":"X?$skiptoken=2","@odata.deltaLink":"X?$deltatoken=D"`)},
		"link to itself": {body: page(`],"@odata.nextLink":"X"`), message: "form a loop"},
		"another host": {body: page(`],"@odata.nextLink":"http://other.example/s/X"`),
			message: "name that host in the setting sap.odata.link.hosts"},
		"link that is a number": {body: page(`],"@odata.nextLink":7`), message: `expected a link in @odata.nextLink, found "7"`},
		"error behind rows": {body: page(`],"@odata.error":{"code":"500","message":"cancelled"}`),
			message: "found an error among them"},
		"error in front": {body: `{"error":{"message":"no"},"value":[{"K":1}]}`, message: "found an error among them"},
		"error alone":    {body: `{"error":{"code":"5","message":"no"}}`, message: "found an error document"},
		"cut off":        {body: page(``)[:50], message: "expected the rest of the page, found its end"},
		"gateway":        {body: `{"fault":{"faultstring":"no route"}}`, message: "none of the set's properties"},
		"empty":          {message: "expected the rest of the page, found its end"},
		"null":           {body: `null`, message: "expected '{' at the start of JSON"},
		"array":          {body: `[{"K":1}]`, message: "expected an object with the rows in value, found an array"},
		"empty array":    {body: `[]`, message: "expected an object with the rows in value, found an array"},
		"rows twice":     {body: `{"value":[{"K":1}],"value":[{"K":2}]}`, message: "expected rows once"},
		"tombstone": {body: page(`,{"@removed":{"reason":"deleted"},"@id":"X(3)"}]`),
			message: "the feed contains deleted entries, which only delta mode reads", delta: noDeltaLink},
		"no delta link": {body: page(`]`), delta: "sap.odata#00.cursor.property, a property that grows with each change"},
	} {
		for _, piece := range []int{1, 1000} {
			s := answer4(metadata4("K", numberKey), func(*http.Request) string { return test.body })
			load, err := newLoad4(t, s, setOf("/s", "X")...)
			require.NoError(t, err)
			load.piece = piece
			_, err = load.run(0, nil)
			expectError(t, name, err, test.message)
			follower := newFollowerOf(sourceconfig.V4, t, s, deltaSetOf("/s", "X")...)
			follower.piece = piece
			expectError(t, name+" in delta mode", follower.catchUp(start), cmp.Or(test.delta, test.message))
		}
	}
}

// TestOddMetadataOfV4: what the metadata declare and rows cannot be read by is refused by name, unless it is left out.
func TestOddMetadataOfV4(t *testing.T) {
	property := func(typeName string) string { return numberKey + `<Property Name="U" Type="` + typeName + `"/>` }
	for name, test := range map[string]struct {
		metadata string
		message  string
		// isSelectable means that a selection without the property U is read.
		isSelectable bool
	}{
		"v2":      {metadata: numberKeyMetadata, message: "metadata of a v2 service; use the connector class of OData v2"},
		"untyped": {metadata: metadata4("K", property("Edm.Untyped")), message: "its type Edm.Untyped is neither", isSelectable: true},
		"untyped items": {metadata: metadata4("K", property("Collection(Edm.Untyped)")), message: "its type Edm.Untyped is neither",
			isSelectable: true},
		"type of v2": {metadata: metadata4("K", property("Edm.DateTime")), message: "its type Edm.DateTime is neither",
			isSelectable: true},
		"unknown type": {metadata: metadata4("K", property("M.X")), message: "its type M.X is neither", isSelectable: true},
		"open complex type": {metadata: metadata4("K", property("N.O"), `<ComplexType Name="O" OpenType="true"/>`),
			message: "its type N.O is open", isSelectable: true},
		"open entity type": {metadata: strings.Replace(metadata4("K", property("Edm.String")), `Name="T"`,
			`Name="T" OpenType="true"`, 1), message: "N.T is an open type", isSelectable: true},
		"cyclic complex types": {metadata: metadata4("K", property("N.O"),
			`<ComplexType Name="O"><Property Name="P" Type="A.O"/></ComplexType>`), message: "nest in a circle at N.O",
			isSelectable: true},
		"cyclic definitions": {metadata: metadata4("K", property("N.D"), `<TypeDefinition Name="D" UnderlyingType="N.F"/>`+
			`<TypeDefinition Name="F" UnderlyingType="A.D"/>`), message: "its type N.D is neither", isSelectable: true},
		"cyclic base types": {metadata: strings.Replace(metadata4("K", numberKey, `<EntityType Name="B" BaseType="N.T"/>`),
			`Name="T"`, `Name="T" BaseType="N.B"`, 1), message: "base types of N.B form a circle"},
		"aliases": {metadata: strings.ReplaceAll(metadata4("K", property("A.O"),
			`<ComplexType Name="O"><Property Name="P" Type="Edm.Int32"/></ComplexType>`), `"N.T"`, `"A.T"`)},
	} {
		s := answer4(test.metadata, func(*http.Request) string { return `{"@odata.context":"$metadata#X","value":[]}` })
		_, err := newLoad4(t, s, setOf("/s", "X")...)
		expectError(t, name, err, test.message)
		if test.isSelectable {
			_, err = newLoad4(t, s, setOf("/s", "X", "sap.odata#00.select=K")...)
			expectError(t, name+", not selected", err, "")
		}
	}
	s := answer4(metadata4("K", numberKey), func(*http.Request) string { return "" })
	expectError(t, "v4 at the class for v2", newUnopened(t, s).open(setOf("/s", "X")...),
		"metadata of a v4 service; use the connector class of OData v4")
}
