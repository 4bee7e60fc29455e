package edm_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/sdk/go/pack"
)

// odd is a document with constructs that real services use and the specification hardly mentions.
const odd = `<?xml version="1.0"?>
<!-- a comment -->
<x:Edmx Version="1.0" xmlns:x="http://schemas.microsoft.com/ado/2007/06/edmx" xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata">
 <x:DataServices m:DataServiceVersion="2.0">
  <Schema Namespace="A.B" Alias="Self" xmlns="http://schemas.microsoft.com/ado/2006/04/edm">
   <ComplexType Name="Dim"><Property Name="W" Type="Edm.Double"/></ComplexType>
   <EntityType Name="Base" Abstract="true"><Key><PropertyRef Name="ID"/></Key><Property Name="ID" Type="Edm.Guid" Nullable="false"/></EntityType>
   <EntityType Name="Thing" BaseType="Self.Base" m:HasStream="true">
    <Property Name="Size" Type="Self.Dim" Nullable="false"/>
    <Property Name="Text" Type="Edm.String" MaxLength="Max"><Documentation><Summary>&lt;b&gt;</Summary></Documentation></Property>
    <NavigationProperty Name="Gone" Relationship="Self.Nowhere" FromRole="a" ToRole="b"/>
    <NavigationProperty Name="Items" Relationship="Self.Items" FromRole="a" ToRole="b"/>
   </EntityType>
   <Association Name="Items"><End Role="a" Type="Self.Thing" Multiplicity="1"/><End Role="b" Type="Self.Thing" Multiplicity="*"/></Association>
   <Annotations Target="x" xmlns="http://docs.oasis-open.org/odata/ns/edm"><EntityType Name="NotOurs"/></Annotations>
  </Schema>
  <Schema Namespace="Other" xmlns="http://schemas.microsoft.com/ado/2009/11/edm">
   <EntityContainer Name="C"><EntitySet Name="Things" EntityType="A.B.Thing"/></EntityContainer>
  </Schema>
 </x:DataServices>
</x:Edmx>`

// Inherited keys, aliases, documentation, dangling associations and foreign annotations are read or skipped.
func TestOddDocument(t *testing.T) {
	model, err := edm.Parse([]byte("\ufeff"+odd), edm.V2)
	require.NoError(t, err)
	thing := model.Structure(model.Set("Things").Type)
	require.True(t, thing != nil, "the set's type is missing")
	assert.True(t, thing.Stream && cmp.Equal(thing.Key, []string{"ID"}) && len(thing.Properties) == 3,
		"expected a media entity with inherited key and 3 properties, found %+v", thing)
	p := thing.Property("Text")
	assert.True(t, p.Length == -1 && p.Type.Primitive == edm.String, "expected a text without limit, found %+v", p)
	n := thing.Navigation("Items")
	assert.True(t, n.Target == "A.B.Thing" && n.Many, "expected many of A.B.Thing, found %+v", n)
	n = thing.Navigation("Gone")
	assert.True(t, n.Target == "", "expected a dangling association, found %+v", n)
	assert.Equal(t, 3, len(model.Structures), "types")
}

// A document that is no $metadata of OData v2 is rejected with the reason.
func TestRejectedDocuments(t *testing.T) {
	truncated := odd[:strings.Index(odd, "<EntitySet")]
	circular := strings.Replace(odd, `Name="Base" Abstract="true"`, `Name="Base" BaseType="A.B.Thing"`, 1)
	for _, test := range []struct {
		name     string
		document string
		message  string
	}{
		{"empty", "", "expected an element"},
		{"HTML", "<html><body>Logon</body></html>", "expected a $metadata document (edmx:Edmx), found <html>"},
		{"no schema", "<edmx:Edmx xmlns:edmx='x'><edmx:DataServices/></edmx:Edmx>", "expected a Schema"},
		{"truncated", truncated, "the document ends inside of"},
		{"circular base types", circular, "form a circle"},
		{"document type", "<!DOCTYPE x [<!ENTITY a 'b'>]><x/>", "no document type"},
	} {
		_, err := edm.Parse([]byte(test.document), edm.V2)
		assert.Error(t, err, test.message, test.name)
	}
}

// A decimal has its declared scale, 0 if it only has a precision, and the fallback if its scale is variable or unknown.
func TestDecimals(t *testing.T) {
	for _, test := range []struct {
		facets string
		scale  int
	}{
		{`Precision="13" Scale="3"`, 3},
		{`Precision="13"`, 0},
		{``, 6},
		{`Precision="13" Scale="variable"`, 6},
		{`Precision="13" sap:variable-scale="true"`, 6},
		{`Scale="0"`, 0},
	} {
		document := `<Schema Namespace="N" xmlns:sap="http://www.sap.com/Protocols/SAPData"><ComplexType Name="T">` +
			`<Property Name="P" Type="Edm.Decimal" ` + test.facets + `/></ComplexType></Schema>`
		model, err := edm.Parse([]byte(document), edm.V2)
		require.NoError(t, err)
		decimal := model.Structure("N.T").Property("P")
		found := (edm.Options{ScaleFallback: 6}).DecimalScale(decimal)
		assert.True(t, found == test.scale, "%q: expected scale %d, found %d", test.facets, test.scale, found)
	}
}

// Types that only other versions have are rejected by name.
func TestForeignTypes(t *testing.T) {
	for _, name := range []string{"Edm.Stream", "Edm.Date", "Edm.Duration", "Edm.Geography"} {
		document := `<Schema Namespace="N"><ComplexType Name="T"><Property Name="P" Type="` + name +
			`"/></ComplexType></Schema>`
		model, err := edm.Parse([]byte(document), edm.V2)
		require.NoError(t, err)
		_, err = model.ValueSchema(model.Structure("N.T"), edm.Options{})
		assert.Error(t, err, "its type "+name+" is neither a type of OData v2", name)
	}
}

// A pack keeps the fields of properties that [edm.Pack] writes, which one property or another has here. Truncated packs
// are rejected.
func TestPackKeepsUsedFields(t *testing.T) {
	flags := &edm.EnumType{Members: []string{"X", "Y"}, Flags: true}
	mapping := edm.FeedMapping{Path: "SyndicationTitle", Namespace: "n", Keep: true}
	structure := &edm.StructuredType{Namespace: "N", Name: "T", Stream: true, Open: true, Key: []string{"A"},
		LeftOut: []string{"S"},
		Properties: []edm.Property{
			{Name: "A", Type: edm.Type{Primitive: edm.Decimal, Name: "Edm.Decimal"}, Nullable: true, Length: 1,
				Precision: 2, Scale: 3, VariableScale: true, Etag: true, FeedMapping: &mapping},
			{Name: "B", Type: edm.Type{Name: "N.C", Collection: true}, Length: -1, Precision: -1, Scale: -1,
				Sortable: true},
			{Name: "C", Type: edm.Type{Primitive: edm.Time, Name: "Edm.Time"}, Filterable: true},
			{Name: "D", Type: edm.Type{Primitive: edm.Int64, Name: "Edm.Int64"}, Creatable: true},
			{Name: "E", Type: edm.Type{Primitive: edm.Guid, Name: "Edm.Guid"}, Updatable: true},
			{Name: "F", Type: edm.Type{Primitive: edm.String, Name: "Edm.String"}, Semantics: "change-mode"},
			{Name: "G", Type: edm.Type{Primitive: edm.Enum, Name: "N.E", Collection: true, Enum: flags}},
			{Name: "G2", Type: edm.Type{Primitive: edm.Enum, Name: "N.E2", Enum: &edm.EnumType{Members: []string{"X"}}}},
			{Name: "G3", Type: edm.Type{Primitive: edm.Enum, Name: "N.E", Enum: flags}},
			{Name: "H", Type: edm.Type{Primitive: edm.Geo, Name: "Edm.Geography"}},
		}}
	packed := edm.Pack(nil, []*edm.StructuredType{structure})
	r := pack.NewReader(packed)
	structures := edm.Unpack(r, edm.V2).Structures
	require.True(t, r.Done() && len(structures) == 1, "expected one structure, found %d", len(structures))
	diff := cmp.Diff(structure, structures[0], cmpopts.IgnoreUnexported(edm.StructuredType{}))
	assert.True(t, diff == "", "(-packed +unpacked)\n%s", diff)
	enum := structures[0].Property("G").Type.Enum
	assert.True(t, enum != nil && enum == structures[0].Property("G3").Type.Enum, "expected one enumeration, found two")
	for n := range packed {
		r := pack.NewReader(packed[:n])
		require.True(t, edm.Unpack(r, edm.V2) == nil || !r.Done(), "expected %d of %d bytes to be rejected", n,
			len(packed))
	}
}

// Neither parsing nor deriving schemas panics.
func FuzzParse(f *testing.F) {
	f.Add([]byte(odd))
	f.Fuzz(func(t *testing.T, document []byte) {
		model, err := edm.Parse(document, edm.V2)
		if err != nil {
			return
		}
		for _, s := range model.Structures {
			s = model.Structure(s.QualifiedName())
			model.ValueSchema(s, edm.Options{})
			model.KeySchema(s, edm.Options{})
		}
	})
}

// m:IsDefaultEntityContainer marks the default container, in any notation of true.
func TestDefaultContainer(t *testing.T) {
	for text, isDefault := range map[string]bool{
		"true":  true,
		"True":  true,
		"1":     true,
		"false": false,
		"False": false,
		"0":     false,
	} {
		document := `<Schema Namespace="N" xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata">` +
			`<EntityType Name="T"/><EntityContainer Name="C" m:IsDefaultEntityContainer="` + text + `">` +
			`<EntitySet Name="X" EntityType="N.T"/></EntityContainer></Schema>`
		model, err := edm.Parse([]byte(document), edm.V2)
		assert.True(t, err == nil && len(model.Sets) == 1 && model.Sets[0].Default == isDefault,
			"%s: expected a default container %t, found %+v, %v", text, isDefault, model, err)
	}
}

// The sum of what types inherit is bounded: each type has a copy of it, and a small document may have many types that
// are derived from one large type, or from each other.
func TestInheritedPropertiesAreBounded(t *testing.T) {
	const maxInherited = 100_000
	document := func(properties, derived int, base func(i int) int) []byte {
		var b strings.Builder
		b.WriteString(`<Schema Namespace="N"><EntityType Name="T0">`)
		for i := range properties {
			fmt.Fprintf(&b, `<Property Name="P%d" Type="Edm.String"/>`, i)
		}
		b.WriteString(`</EntityType>`)
		for i := 1; i <= derived; i++ {
			fmt.Fprintf(&b, `<EntityType Name="T%d" BaseType="N.T%d"/>`, i, base(i))
		}
		b.WriteString(`</Schema>`)
		return []byte(b.String())
	}
	baseOfFirst := func(int) int { return 0 }
	ofPrevious := func(i int) int { return i - 1 }
	for _, test := range []struct {
		name       string
		properties int
		derived    int
		base       func(i int) int
		isRejected bool
	}{
		{name: "the limit", properties: 99, derived: maxInherited / 100, base: baseOfFirst},
		{name: "above the limit", properties: 99, derived: maxInherited/100 + 1, base: baseOfFirst, isRejected: true},
		{name: "many types of a large one", properties: 2_000, derived: 500, base: baseOfFirst, isRejected: true},
		{name: "a chain", derived: 446, base: ofPrevious},
		{name: "a longer chain", derived: 447, base: ofPrevious, isRejected: true},
		{name: "a chain without end", derived: 50_000, base: ofPrevious, isRejected: true},
	} {
		model, err := edm.Parse(document(test.properties, test.derived, test.base), edm.V2)
		if (err != nil) != test.isRejected {
			t.Errorf("%s: expected a rejection %t, found %v", test.name, test.isRejected, err)
			continue
		}
		if err != nil {
			const want = "at most 100000 properties, keys and base types together, found more"
			assert.True(t, strings.Contains(err.Error(), want), "%s: expected %s, found %v", test.name, want, err)
			continue
		}
		last := model.Structure(fmt.Sprintf("N.T%d", test.derived))
		assert.Equal(t, test.properties, len(last.Properties), test.name, "properties")
	}
}
