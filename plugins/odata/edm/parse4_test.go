package edm_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/wit"
)

// document4 returns a document of v4 with a schema N, alias A.
func document4(schema string) []byte {
	return []byte(`<edmx:Edmx Version="4.0" xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx">` +
		`<edmx:Reference Uri="x"><edmx:Include Namespace="Org.OData.Core.V1" Alias="Core"/>` +
		`<edmx:Include Namespace="Org.OData.Capabilities.V1" Alias="Capabilities"/>` +
		`<edmx:Include Namespace="com.sap.vocabularies.Common.v1" Alias="Common"/></edmx:Reference><edmx:DataServices>` +
		`<Schema Namespace="N" Alias="A" xmlns="http://docs.oasis-open.org/odata/ns/edm">` + schema +
		`</Schema></edmx:DataServices></edmx:Edmx>`)
}

// typeOf returns the type N.T of a document with these members of the type.
func typeOf(t *testing.T, members, others string) (*edm.Model, *edm.StructuredType) {
	t.Helper()
	model, err := edm.Parse(document4(`<EntityType Name="T">`+members+`</EntityType>`+others), edm.V4)
	require.NoError(t, err, members)
	return model, model.Structure("N.T")
}

// A document of another version of OData names that version.
func TestDocumentsOfAnotherVersion(t *testing.T) {
	for _, test := range []struct {
		name     string
		document string
		dialect  *edm.Dialect
		want     string
	}{
		{"v4 for v2", string(document4("")), edm.V2, "expected $metadata of OData v2, found metadata of a v4 service"},
		{"v4 for the zero dialect", string(document4("")), nil, "found metadata of a v4 service"},
		{"v2 for v4", odd, edm.V4, "expected $metadata of OData v4, found metadata of a v2 service"},
	} {
		_, err := edm.Parse([]byte(test.document), test.dialect)
		assert.Error(t, err, test.want, test.name)
	}
}

// Each form of an annotation is read, by namespace and by alias. Values that depend on data are ignored.
func TestAnnotationForms(t *testing.T) {
	const restriction = `<Annotation Term="Capabilities.CountRestrictions"><Record>%s</Record></Annotation>`
	for _, test := range []struct {
		name       string
		inline     string // in the set
		outside    string // in the schema
		isFalse    bool   // not countable
		isComputed bool   // the property P
	}{
		{name: "none"},
		{name: "attribute", inline: fmt.Sprintf(restriction, `<PropertyValue Property="Countable" Bool="false"/>`),
			isFalse: true},
		{name: "element", isFalse: true,
			inline: fmt.Sprintf(restriction, `<PropertyValue Property="Countable"><Bool> false </Bool></PropertyValue>`)},
		{name: "true", inline: fmt.Sprintf(restriction, `<PropertyValue Property="Countable" Bool="true"/>`)},
		{name: "path", inline: fmt.Sprintf(restriction, `<PropertyValue Property="Countable" Path="P"/>`)},
		{name: "expression", inline: fmt.Sprintf(restriction,
			`<PropertyValue Property="Countable"><Not><Bool>false</Bool></Not></PropertyValue>`)},
		{name: "nested record", inline: fmt.Sprintf(restriction, `<PropertyValue Property="Other"><Record>`+
			`<PropertyValue Property="Countable" Bool="false"/></Record></PropertyValue>`)},
		{name: "other vocabulary", inline: strings.Replace(fmt.Sprintf(restriction,
			`<PropertyValue Property="Countable" Bool="false"/>`), "Capabilities.", "Core.", 1)},
		{name: "qualified", inline: strings.Replace(fmt.Sprintf(restriction,
			`<PropertyValue Property="Countable" Bool="false"/>`), "><Record", ` Qualifier="Q"><Record`, 1)},
		{name: "outside, by alias", outside: `<Annotations Target="A.C/S">` + fmt.Sprintf(restriction,
			`<PropertyValue Property="Countable" Bool="false"/>`) + `</Annotations>`, isFalse: true},
		{name: "outside, by namespaces", isFalse: true, outside: `<Annotations Target="N.C/S">` +
			strings.Replace(fmt.Sprintf(restriction, `<PropertyValue Property="Countable" Bool="false"/>`),
				`"Capabilities.`, `"Org.OData.Capabilities.V1.`, 1) + `</Annotations>`},
		{name: "of another set", outside: `<Annotations Target="A.C/Other">` + fmt.Sprintf(restriction,
			`<PropertyValue Property="Countable" Bool="false"/>`) + `</Annotations>`},
		{name: "tag", outside: `<Annotations Target="A.T/P"><Annotation Term="Core.Computed"/></Annotations>`,
			isComputed: true},
		{name: "tag with a path", outside: `<Annotations Target="A.T/P"><Annotation Term="Core.Computed" Path="P"/>` +
			`</Annotations>`},
		{name: "tag with an expression", outside: `<Annotations Target="A.T/P"><Annotation Term="Core.Computed">` +
			`<If><Path>P</Path><Bool>true</Bool></If></Annotation></Annotations>`},
		{name: "annotated tag", outside: `<Annotations Target="A.T/P"><Annotation Term="Core.Computed">` +
			`<Annotation Term="Core.Description" String="x"/></Annotation></Annotations>`, isComputed: true},
		{name: "repeated default", isFalse: true,
			inline: fmt.Sprintf(restriction, `<PropertyValue Property="Countable" Bool="false"/>`),
			outside: `<Annotations Target="A.C/S">` + fmt.Sprintf(restriction,
				`<PropertyValue Property="Countable" Bool="true"/>`) + `</Annotations>`},
	} {
		model, structure := typeOf(t, `<Property Name="P" Type="Edm.Int32"/>`, test.outside+
			`<EntityContainer Name="C"><EntitySet Name="S" EntityType="A.T">`+test.inline+`</EntitySet></EntityContainer>`)
		assert.Equal(t, test.isFalse, !model.Set("S").Countable, test.name, "not countable")
		assert.Equal(t, test.isComputed, !structure.Property("P").Updatable, test.name, "computed")
	}
}

// Each known term has its effect on the set, or on the properties of its type.
func TestAnnotationTerms(t *testing.T) {
	record := func(term, content string) string {
		return `<Annotation Term="Capabilities.` + term + `"><Record>` + content + `</Record></Annotation>`
	}
	flag := func(term, property, value string) string {
		return record(term, `<PropertyValue Property="`+property+`" Bool="`+value+`"/>`)
	}
	paths := func(content string) string { return `<Collection>` + content + `</Collection>` }
	const p = `<PropertyPath>P</PropertyPath>`
	for _, test := range []struct {
		annotation string
		want       string
	}{
		{`<Annotation Term="Capabilities.TopSupported" Bool="false"/>`, "top"},
		{`<Annotation Term="Capabilities.SkipSupported" Bool="false"/>`, "page"},
		{flag("ReadRestrictions", "Readable", "false"), "address"},
		{flag("InsertRestrictions", "Insertable", "false"), "create"},
		{flag("UpdateRestrictions", "Updatable", "false"), "update"},
		{flag("DeleteRestrictions", "Deletable", "false"), "delete"},
		{flag("ChangeTracking", "Supported", "true"), "track"},
		{flag("FilterRestrictions", "RequiresFilter", "true"), "filter"},
		{flag("FilterRestrictions", "Filterable", "false"), "K unfiltered P unfiltered"},
		{flag("SortRestrictions", "Sortable", "false"), "K unsorted P unsorted"},
		{record("FilterRestrictions", `<PropertyValue Property="NonFilterableProperties">`+paths(p)+`</PropertyValue>`),
			"P unfiltered"},
		{record("SortRestrictions", `<PropertyValue Property="NonSortableProperties">`+paths(p)+`</PropertyValue>`),
			"P unsorted"},
		{record("SortRestrictions", `<PropertyValue Property="NonSortableProperties">`+paths("")+`</PropertyValue>`), ""},
		{`<Annotation Term="Core.OptimisticConcurrency">` + paths(p) + `</Annotation>`, "P etag"},
		{`<Annotation Term="Core.OptimisticConcurrency">` + paths("") + `</Annotation>`, "K etag"},
		{`<Annotation Term="Common.Label" String="Things"/>`, "label Things"},
	} {
		model, structure := typeOf(t, `<Key><PropertyRef Name="K"/></Key><Property Name="K" Type="Edm.Int32"/>`+
			`<Property Name="P" Type="Edm.Int32"/>`, `<EntityContainer Name="C"><EntitySet Name="S" EntityType="A.T">`+
			test.annotation+`</EntitySet></EntityContainer>`)
		assert.Equal(t, test.want, describeRestrictions(model.Set("S"), structure), test.annotation)
	}
}

func describeRestrictions(set *edm.Set, structure *edm.StructuredType) string {
	var words []string
	add := func(isSet bool, word string) {
		if isSet {
			words = append(words, word)
		}
	}
	add(!set.Topable, "top")
	add(!set.Pageable, "page")
	add(!set.Addressable, "address")
	add(!set.Creatable, "create")
	add(!set.Updatable, "update")
	add(!set.Deletable, "delete")
	add(set.ChangeTracking, "track")
	add(set.RequiresFilter, "filter")
	for _, p := range structure.Properties {
		add(!p.Filterable, p.Name+" unfiltered")
		add(!p.Sortable, p.Name+" unsorted")
		add(p.Etag, p.Name+" etag")
	}
	add(set.Label != "", "label "+set.Label)
	return strings.Join(words, " ")
}

// Types of v4 become the types of Connect.
func TestSchemasOfV4(t *testing.T) {
	const others = `<TypeDefinition Name="D1" UnderlyingType="A.D2" Precision="5"/>` +
		`<TypeDefinition Name="D2" UnderlyingType="Edm.Decimal" Precision="9" Scale="2"/>` +
		`<TypeDefinition Name="L1" UnderlyingType="N.L2"/><TypeDefinition Name="L2" UnderlyingType="A.L1"/>` +
		`<EnumType Name="E"><Member Name="A"/></EnumType><ComplexType Name="X"/><ComplexType Name="O" OpenType="true"/>` +
		`<ComplexType Name="Circle"><Property Name="C" Type="A.Circle"/></ComplexType>` +
		`<ComplexType Name="Items"><Property Name="C" Type="Collection(A.Items)"/></ComplexType>`
	for _, test := range []struct {
		property string // attributes
		want     string // kind and name, or a part of the error
	}{
		{`Type="Edm.Date"`, "int32 Date"},
		{`Type="Edm.TimeOfDay"`, "int32 Time"},
		{`Type="Edm.DateTimeOffset" Precision="12"`, "int64 Timestamp"},
		{`Type="Edm.Duration"`, "text"},
		{`Type="Edm.Guid"`, "text"},
		{`Type="Edm.Binary"`, "bytes"},
		{`Type="A.E"`, "text"},
		{`Type="Edm.GeometryCollection"`, "text"},
		{`Type="Edm.Decimal"`, "bytes Decimal scale=6"},
		{`Type="Edm.Decimal" Precision="7"`, "bytes Decimal scale=0 connect.decimal.precision=7"},
		{`Type="Edm.Decimal" Precision="7" Scale="variable"`, "bytes Decimal scale=7"},
		{`Type="Edm.Decimal" Scale="variable"`, "bytes Decimal scale=6"},
		{`Type="Edm.Decimal" Precision="7" Scale="floating"`, "text"},
		{`Type="A.D1"`, "bytes Decimal scale=2 connect.decimal.precision=5"},
		{`Type="N.D2" Scale="3"`, "bytes Decimal scale=3 connect.decimal.precision=9"},
		{`Type="Collection(A.D1)"`, "array of bytes"},
		{`Type="Collection(Edm.Int32)"`, "array of int32"},
		{`Type="Collection(A.X)"`, "array of structure"},
		{`Type="Edm.Stream"`, "nothing"},
		{`Type="A.L1"`, "property P of N.T: its type N.L"},
		{`Type="A.O"`, "property P of N.T: its type N.O is open"},
		{`Type="Collection(A.O)"`, "property P of N.T: its type N.O is open"},
		{`Type="A.Circle"`, "complex types nest in a circle at N.Circle"},
		{`Type="A.Items"`, "complex types nest in a circle at N.Items"},
		{`Type="Edm.Untyped"`, "its type Edm.Untyped is neither a type of OData v4 nor declared"},
		{`Type="Edm.PrimitiveType"`, "its type Edm.PrimitiveType is neither"},
		{`Type="Collection(Edm.EntityType)"`, "its type Edm.EntityType is neither"},
		{`Type="Edm.DateTime"`, "its type Edm.DateTime is neither a type of OData v4"},
		{`Type="Edm.Enum"`, "its type Edm.Enum is neither"},
		{`Type="B.X"`, "its type B.X is neither"},
	} {
		model, structure := typeOf(t, `<Property Name="P" Nullable="false" `+test.property+`/>`, others)
		nodes, err := model.ValueSchema(structure, edm.Options{ScaleFallback: 6})
		if err != nil {
			assert.Error(t, err, test.want, test.property)
			continue
		}
		assert.Equal(t, test.want, describeValue(nodes), test.property)
	}
}

// describeValue describes the only field of a row, which is required.
func describeValue(nodes []wit.SchemaNode) string {
	if len(nodes[0].Fields) == 0 {
		return "nothing"
	}
	n := nodes[nodes[0].Fields[0].Node]
	words := kinds[n.Kind]
	if n.Kind == wit.Array {
		words += " of " + kinds[nodes[n.Element].Kind]
	}
	if n.Name != nil {
		words += " " + strings.TrimPrefix(*n.Name, "org.apache.kafka.connect.data.")
	}
	for _, p := range n.Parameters {
		words += " " + p.Name + "=" + p.Value
	}
	return words
}

// The array of a collection is optional in each mode. Its items are optional only if the property is nullable.
func TestItemsOfCollections(t *testing.T) {
	for _, options := range []edm.Options{{}, {Lenient: true}, {Delta: true}} {
		for nullable, isOptional := range map[string]bool{`Nullable="true"`: true, ``: true, `Nullable="false"`: false} {
			model, structure := typeOf(t, `<Property Name="P" Type="Collection(Edm.String)" `+nullable+`/>`, "")
			nodes, err := model.ValueSchema(structure, options)
			require.NoError(t, err, nullable)
			array := nodes[nodes[0].Fields[0].Node]
			assert.True(t, array.Optional && nodes[array.Element].Optional == isOptional,
				"%+v, %s: expected optional items %t, found %+v", options, nullable, isOptional, nodes)
		}
	}
}

// An open type is read only with a projection.
func TestOpenTypes(t *testing.T) {
	model, err := edm.Parse(document4(`<EntityType Name="B" OpenType="true"><Key><PropertyRef Name="K"/></Key>`+
		`<Property Name="K" Type="Edm.Int32"/></EntityType><EntityType Name="T" BaseType="A.B"/>`), edm.V4)
	require.NoError(t, err)
	view := edm.WholeView(model.Structure("N.T"))
	_, err = model.ViewSchema(view, edm.Options{})
	assert.Error(t, err, "N.T is an open type")
	view.Projected = true
	_, err = model.ViewSchema(view, edm.Options{})
	assert.NoError(t, err)
	_, err = model.KeySchema(view.Structure, edm.Options{})
	assert.NoError(t, err)
}

// A key inside of a complex property is rejected once it is used.
func TestKeysWithPaths(t *testing.T) {
	model, structure := typeOf(t, `<Key><PropertyRef Name="Place/City" Alias="City"/></Key>`, "")
	_, err := model.KeySchema(structure, edm.Options{})
	assert.Error(t, err, "the key of N.T contains Place/City")
}

// Documents that are no metadata of v4 are rejected, in time that grows with their size.
func TestBadDocumentsOfV4(t *testing.T) {
	whole := string(document4(`<EntityType Name="T"><Property Name="P" Type="Edm.Int32"/></EntityType>`))
	for name, test := range map[string]struct {
		document string
		want     string
	}{
		"truncated":           {whole[:len(whole)-60], "the document ends inside of"},
		"no schema":           {"<x:Edmx xmlns:x='http://docs.oasis-open.org/odata/ns/edmx'/>", "expected a Schema"},
		"CSDL JSON":           {`{"$Version":"4.01"}`, "expected a tag"},
		"circular base types": {string(document4(`<EntityType Name="T" BaseType="A.T"/>`)), "form a circle"},
	} {
		_, err := edm.Parse([]byte(test.document), edm.V4)
		assert.Error(t, err, test.want, name)
	}
}

// Large documents are parsed in time that grows with their size: many types, aliases, definitions or annotations.
func TestLargeDocumentsOfV4(t *testing.T) {
	repeat := func(count int, format string) string {
		var b strings.Builder
		for i := range count {
			b.WriteString(strings.ReplaceAll(format, "#", fmt.Sprint(i)))
		}
		return b.String()
	}
	for name, schema := range map[string]string{
		"types": repeat(60_000, `<EntityType Name="T#"><Key><PropertyRef Name="K"/></Key><Property Name="K" `+
			`Type="A.D1" Nullable="false"/><Property Name="P" Type="Edm.String" MaxLength="10"/></EntityType>`) +
			`<EntityContainer Name="C">` + repeat(60_000, `<EntitySet Name="S#" EntityType="A.T#"/>`) +
			`</EntityContainer>`,
		"definitions": repeat(100_000, `<TypeDefinition Name="D#" UnderlyingType="A.D1"/>`),
		"annotations": repeat(100_000, `<Annotations Target="A.T/P#"><Annotation Term="Core.Computed"/></Annotations>`),
		"paths": `<EntityType Name="T"/><EntityContainer Name="C"><EntitySet Name="S" EntityType="A.T">` +
			`<Annotation Term="Capabilities.SortRestrictions"><Record><PropertyValue Property="NonSortableProperties">` +
			`<Collection>` + repeat(200_000, `<PropertyPath>P#</PropertyPath>`) + `</Collection></PropertyValue></Record>` +
			`</Annotation></EntitySet></EntityContainer>`,
		"members": `<EnumType Name="E">` + repeat(200_000, `<Member Name="M#"/>`) + `</EnumType>`,
	} {
		start := time.Now()
		model, err := edm.Parse(document4(schema), edm.V4)
		require.NoError(t, err, name)
		for _, s := range model.Structures {
			model.Structure(s.QualifiedName())
		}
		assert.True(t, time.Since(start) < 20*time.Second, "%s took %v", name, time.Since(start))
	}
}

// Derived types have what they inherit, with the annotations of their bases.
func TestInheritanceOfV4(t *testing.T) {
	model, err := edm.Parse(document4(`<EntityType Name="B"><Key><PropertyRef Name="K"/></Key>`+
		`<Property Name="K" Type="Edm.Int32"><Annotation Term="Core.Immutable"/></Property>`+
		`<Property Name="S" Type="Edm.Stream"/></EntityType>`+
		`<EntityType Name="T" BaseType="A.B" HasStream="true"><Property Name="P" Type="Edm.Date"/></EntityType>`), edm.V4)
	require.NoError(t, err)
	derived := model.Structure("N.T")
	assert.True(t, cmp.Equal(derived.Key, []string{"K"}) && cmp.Equal(derived.LeftOut, []string{"S"}) && derived.Stream &&
		derived.Base == "N.B" && !derived.Property("K").Updatable && derived.Property("P") != nil,
		"expected what N.B has, and P, found %+v", derived)
}

// Neither parsing nor deriving schemas panics.
func FuzzParse4(f *testing.F) {
	f.Add(document4(`<EnumType Name="E" IsFlags="true"><Member Name="A"/></EnumType><TypeDefinition Name="D" ` +
		`UnderlyingType="Edm.Decimal" Scale="floating"/><EntityType Name="T" OpenType="true"><Key><PropertyRef Name="K"/>` +
		`</Key><Property Name="K" Type="A.D"/><Property Name="P" Type="Collection(A.E)"/><NavigationProperty Name="V" ` +
		`Type="Collection(A.T)" ContainsTarget="true"/></EntityType><EntityContainer Name="C"><EntitySet Name="S" ` +
		`EntityType="A.T"><NavigationPropertyBinding Path="A.T/V" Target="S"/></EntitySet><Singleton Name="O" ` +
		`Type="A.T"/></EntityContainer><Annotations Target="A.C/S"><Annotation Term="Capabilities.SortRestrictions">` +
		`<Record><PropertyValue Property="NonSortableProperties"><Collection><PropertyPath>P</PropertyPath></Collection>` +
		`</PropertyValue></Record></Annotation></Annotations>`))
	f.Fuzz(func(t *testing.T, document []byte) {
		model, err := edm.Parse(document, edm.V4)
		if err != nil {
			return
		}
		for _, s := range model.Structures {
			s = model.Structure(s.QualifiedName())
			view := edm.WholeView(s)
			view.Projected = true
			model.ViewSchema(view, edm.Options{})
			model.KeySchema(s, edm.Options{})
			for _, set := range model.Sets {
				for i := range s.Navigations {
					model.NavigationTarget(set, &s.Navigations[i])
				}
			}
		}
	})
}
