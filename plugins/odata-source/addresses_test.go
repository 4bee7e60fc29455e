package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/plugins/odata/delta"
	"github.com/culvert-project/culvert/plugins/odata/entry"
	"github.com/culvert-project/culvert/wit"
)

// A row whose address has another key than its properties fails the feed where deleted entities are told by their
// addresses; one whose address is only written in another way does not. The rows before it are usual ones, so that it
// is read by the fast path too, and the pieces are of all sizes.
func TestAddressesHaveTheirRowsKeys(t *testing.T) {
	const text, both = "K:Edm.String", "K:Edm.String N:Edm.Int32"
	for _, c := range []struct {
		keys string
		// usual is a row and its predicate with %d for a number; odd are the row and the predicate in question.
		usual, usualAt, odd, oddAt string
		differs                    bool
	}{
		{text, `"K":"A%d"`, `('A%d')`, `"K":"007"`, `('7')`, true},
		{text, `"K":"A%d"`, `('A%d')`, `"K":"7"`, `('007')`, true},
		{text, `"K":"A%d"`, `('A%d')`, `"K":"a "`, `('a')`, true},
		{text, `"K":"A%d"`, `('A%d')`, `"K":"alfki"`, `('ALFKI')`, true},
		{text, `"K":"A%d"`, `('A%d')`, `"K":"A"`, `('BA')`, true},
		{text, `"K":"A%d"`, `('A%d')`, `"K":"A"`, `(K='B')`, true},
		{text, `"K":"A%d"`, `('A%d')`, `"K":"a+b"`, `('a%20b')`, true},
		{text, `"K":"A%d"`, `('A%d')`, `"K":"A"`, `(K='A')`, false},
		{text, `"K":"A%d"`, `('A%d')`, `"K":"A"`, `('%41')`, false},
		{text, `"K":"A%d"`, `('A%d')`, `"K":"a b/é'(c),d=&"`, `('a%20b%2F%C3%A9''(c)%2Cd%3D%26')`, false},
		{text, `"K":"A%d"`, `('A%d')`, `"K":"O'N"`, `('O%27%27N')`, false},
		{text, `"K":"A%d"`, `('A%d')`, `"K":""`, `('')`, false},
		{text, `"K":"A%d"`, `('A%d')`, `"K":"A"`, ``, false},
		{text, `"K":"A%d"`, `('A%d')`, `"K":"A"`, `(Other='B')`, false},
		{both, `"K":"A","N":%d`, `(K='A',N=%d)`, `"K":"A","N":7`, `(N=7,K='A')`, false},
		{both, `"K":"A","N":%d`, `(K='A',N=%d)`, `"K":"A","N":7`, `(N=8,K='A')`, true},
		{both, `"K":"A","N":%d`, `(K='A',N=%d)`, `"K":"A","N":7`, `(K='A',N=07)`, false},
		{"K:Edm.Int64", `"K":"%d"`, `(%dL)`, `"K":"7"`, `(7)`, false},
		{"K:Edm.Int64", `"K":"%d"`, `(%dL)`, `"K":"7"`, `(70L)`, true},
		{"K:Edm.Decimal", `"K":"%d.50"`, `(%d.50M)`, `"K":"7.5"`, `(7.500m)`, false},
		{"K:Edm.Decimal", `"K":"%d.50"`, `(%d.50M)`, `"K":"7.5"`, `(75m)`, true},
		{"K:Edm.Double", `"K":"%d.5"`, `(%d.5d)`, `"K":"7.50E0"`, `(7.5)`, false},
		{"K:Edm.Boolean", `"K":true`, `(true)`, `"K":false`, `(true)`, true},
		{"K:Edm.Binary", `"K":"AP8="`, `(X'00FF')`, `"K":"AP8="`, `(binary'00ff')`, false},
		{"K:Edm.Guid", `"K":"00000000-0000-0000-0000-0000000000%02d"`, `(guid'00000000-0000-0000-0000-0000000000%02d')`,
			`"K":"00000000-0000-0000-0000-00000000000a"`, `(guid'00000000-0000-0000-0000-00000000000b')`, true},
		{"K:Edm.DateTime", `"K":"/Date(86400%d000)/"`, `(datetime'1970-01-02T00:00:00')`,
			`"K":"/Date(86400000)/"`, `(datetime'1970-01-02T00%3A00%3A00.000')`, false},
		{"K:Edm.DateTime", `"K":null`, ``, `"K":"/Date(86400000)/"`, `(datetime'1970-01-03T00:00:00')`, true},
		{"K:Edm.DateTimeOffset", `"K":null`, ``, `"K":"/Date(86400000)/"`,
			`(datetimeoffset'1970-01-02T01:00:00%2B01:00')`, false},
		{"K:Edm.Time", `"K":"PT1H"`, `(time'PT1H')`, `"K":"PT01H00M00S"`, `(time'PT60M')`, false},
	} {
		for _, atom := range []bool{false, true} {
			for _, piece := range []int{97, 1 << 20} {
				rows, page := 25, ""
				if strings.Contains(c.usual, "null") || strings.Contains(c.usual, "86400%d") {
					rows = 0
				}
				for i := range rows + 1 {
					row, at := c.odd, c.oddAt
					if i < rows {
						number := fmt.Sprint(10 + i)
						numbered := strings.NewReplacer("%d", number, "%02d", number)
						row, at = numbered.Replace(c.usual), numbered.Replace(c.usualAt)
					}
					page += addressedRow(atom, row, at)
				}
				err := readAddressed(t, c.keys, atom, page, piece)
				f, isFault := err.(*wit.Fault)
				if err != nil && !isFault || c.differs != isFault || isFault && (f.Kind != wit.FaultData ||
					!strings.Contains(f.Message, "another key") || !strings.Contains(f.Message, "track-changes")) {
					t.Errorf("%s at %s, atom %v, pieces of %d: expected differs %v, found %v", c.odd, c.oddAt, atom,
						piece,
						c.differs, err)
				}
			}
		}
	}
}

func addressedRow(atom bool, row, at string) string {
	if !atom {
		if at != "" {
			at = `"__metadata":{` + []string{`"type":"N.T","uri":"http:\/\/h\/s\/X`, `"uri":"http://h/s/X`,
				`"id":"X('')","uri":"http://h/s/X`, `"id":"X\u0028'')","uri":"http://h/s/X`}[len(row)%4] + at + `"},`
		}
		return `{` + at + row + `}`
	}
	var b strings.Builder
	b.WriteString(`<entry>`)
	escape := strings.NewReplacer("&", "&amp;")
	if at != "" {
		if len(row)%2 == 0 {
			b.WriteString(`<id>http://h/s/X` + escape.Replace(at) + `</id>`)
		} else {
			b.WriteString(`<title>t</title><id>http://h/s/X` + strings.ReplaceAll(escape.Replace(at), "'",
				"&#39;") + `</id>`)
		}
	}
	b.WriteString(`<content type="application/xml"><m:properties>`)
	for member := range strings.SplitSeq(row, `,"`) {
		name, value, _ := strings.Cut(strings.TrimPrefix(member, `"`), `":`)
		b.WriteString(`<d:` + name + `>` + escape.Replace(strings.Trim(value, `"`)) + `</d:` + name + `>`)
	}
	b.WriteString(`</m:properties></content></entry>`)
	return b.String()
}

// readAddressed reads a page of delta mode in pieces.
func readAddressed(t *testing.T, keys string, atom bool, page string, piece int) error {
	t.Helper()
	if atom {
		const services = "http://schemas.microsoft.com/ado/2007/08/dataservices"
		page = `<feed xmlns="http://www.w3.org/2005/Atom" xmlns:m="` + services + `/metadata" xmlns:d="` + services +
			`">` +
			page + `<link rel="delta" href="X?!deltatoken=1"/></feed>`
	} else {
		page = `{"d":{"results":[` + strings.ReplaceAll(page, `}{"`, `},{"`) + `],"__delta":"X?!deltatoken=1"}}`
	}
	refs, properties := "", ""
	for key := range strings.SplitSeq(keys, " ") {
		name, typ, _ := strings.Cut(key, ":")
		refs += `<PropertyRef Name="` + name + `"/>`
		properties += `<Property Name="` + name + `" Type="` + typ + `" Nullable="false" Precision="10" Scale="3"/>`
	}
	metadata := `<Schema Namespace="N"><EntityType Name="T"><Key>` + refs + `</Key>` + properties + `</EntityType>` +
		`<EntityContainer Name="C"><EntitySet Name="X" EntityType="N.T"/></EntityContainer></Schema>`
	p := &plugin{}
	const at = 1_700_000_000_000
	opened, err := p.Open(entry.Component, configuration(append(set("00", "X"), "sap.odata#00.track-changes=1",
		"sap.odata#00.exec-period=60")...), nil,
		[]wit.Response{{Status: 200, Body: []byte(metadata), At: at}})
	if err != nil {
		t.Fatal(err)
	}
	step, err := p.Next(opened.Ready.Context, 0, nil, start, at)
	if err != nil {
		t.Fatal(err)
	}
	number, err := p.Begin(opened.Ready.Context, 0, step.Fetch.Position, wit.Response{Status: 200, At: at,
		Headers: []wit.Header{{Name: "Preference-Applied", Value: delta.TrackChanges}}})
	if err != nil {
		t.Fatal(err)
	}
	for page != "" {
		n := min(piece, len(page))
		portion, err := p.Decode(number, "", 200, []byte(page[:n]), n == len(page))
		if err != nil {
			return err
		}
		for _, f := range portion.Faults {
			t.Fatal(f.Fault.Message)
		}
		page = page[n:]
	}
	return nil
}
