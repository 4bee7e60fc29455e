package completeness

import (
	"net/url"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	"github.com/culvert-project/culvert/wit"
)

// wire is the form of a service's documents and options in a version of OData.
type wire struct {
	class       *sourceconfig.Component
	countOption string
	refusal     string // the body of an error
	version     wit.Header
	// Parts of a page: its start, its members, and its end.
	begin     string
	context   string // may be empty
	count     string // with %d
	rows      string // the name
	nextLink  string // with %s
	deltaLink string // with %s
	end       string
	expanded  string // the member E of a row
	// schema is the metadata document. Its verbs are the references of the key, the properties, and further members of
	// the container.
	schema string
}

const (
	v2Refusal = `{"error":{"code":"X/400","message":{"lang":"en","value":"not supported"}}}`
	v4Refusal = `{"error":{"code":"X/400","message":"not supported"}}`
	typesOfV2 = `<EntityType Name="T"><Key>%s</Key><Property Name="V" Type="Edm.Int32" Nullable="false"/>%s` +
		`<NavigationProperty Name="E" Relationship="N.R" FromRole="F" ToRole="E"/></EntityType>` +
		typeOfE + `<Association Name="R"><End Role="F" Type="N.T" Multiplicity="1"/>` +
		`<End Role="E" Type="N.U" Multiplicity="*"/></Association>`
	typesOfV4 = `<EntityType Name="T"><Key>%s</Key><Property Name="V" Type="Edm.Int32" Nullable="false"/>%s` +
		`<NavigationProperty Name="E" Type="Collection(N.U)"/></EntityType>` + typeOfE
	typeOfE = `<EntityType Name="U"><Key><PropertyRef Name="U"/></Key>` +
		`<Property Name="U" Type="Edm.Int32" Nullable="false"/></EntityType>`
	container = `<EntityContainer Name="C"><EntitySet Name="X" EntityType="N.T"/>%s</EntityContainer></Schema>`
)

var v2Wire = &wire{
	class:       sourceconfig.V2,
	countOption: "$inlinecount",
	refusal:     v2Refusal,
	version:     wit.Header{Name: "dataserviceversion", Value: "2.0"},
	begin:       `{"d":{`,
	count:       `"__count":"%d"`,
	rows:        `"results":`,
	nextLink:    `"__next":"%s"`,
	deltaLink:   `"__delta":"X?!deltatoken='%s'"`,
	end:         "}}",
	expanded:    `"E":{"results":[]},`,
	schema:      `<Schema Namespace="N">` + typesOfV2 + container,
}

var v4Wire = &wire{
	class:       sourceconfig.V4,
	countOption: "$count",
	refusal:     v4Refusal,
	version:     wit.Header{Name: "odata-version", Value: "4.0"},
	begin:       `{`,
	context:     `"@odata.context":"$metadata#X"`,
	count:       `"@odata.count":%d`,
	rows:        `"value":`,
	nextLink:    `"@odata.nextLink":"%s"`,
	deltaLink:   `"@odata.deltaLink":"X?$deltatoken=%s"`,
	end:         "}",
	expanded:    `"E":[],`,
	schema: `<edmx:Edmx Version="4.0" xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx"><edmx:DataServices>` +
		`<Schema Namespace="N" xmlns="http://docs.oasis-open.org/odata/ns/edm">` + typesOfV4 + container +
		`</edmx:DataServices></edmx:Edmx>`,
}

// wireOf returns the form of a service's documents.
func wireOf(d *description) *wire {
	if d[version] == "v4" {
		return v4Wire
	}
	return v2Wire
}

// TestPagesOfBothVersions: a service writes the same page in the form of its version of OData.
func TestPagesOfBothVersions(t *testing.T) {
	for name, test := range map[string]struct {
		options string
		page    string
	}{
		"v2": {options: "$expand=E&$inlinecount=allpages", page: `{"d":{"__count":"2","results":` +
			`[{"V":1,"E":{"results":[]},"K":10}],"__next":"X?$inlinecount=allpages&$expand=E&$skiptoken=10"}}`},
		"v4": {options: "$expand=E&$count=true", page: `{"@odata.context":"$metadata#X","@odata.count":2,` +
			`"value":[{"V":1,"E":[],"K":10}],"@odata.nextLink":"X?$count=true&$expand=E&$skiptoken=10"}`},
	} {
		options, _ := url.ParseQuery(test.options)
		d := defaults()
		d[version] = name
		s := newService(d, variant{rows: 2, page: 1})
		assert.Equal(t, test.page, s.feed(options), name)
	}
}
