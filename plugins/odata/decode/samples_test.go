package decode

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

const address = "Street Edm.String?\nCity Edm.String?\nState Edm.String?\nZipCode Edm.String?\nCountry Edm.String?\n}\n"

const employee = `
EmployeeId Edm.String key
EmployeeName Edm.String? target=SyndicationTitle
ManagerId Edm.String?
RoomId Edm.String?
TeamId Edm.String?
Location complex? {
  City complex? {
    PostalCode Edm.String?
    CityName Edm.String?
  }
  Country Edm.String?
}
Age Edm.Int16?
EntryDate Edm.DateTime?
ImageUrl Edm.String?
`

const room = `
Id Edm.String key
Name Edm.String?
Seats Edm.Int16?
Version Edm.Int16?
`

const ticket = `
Ticket Edm.String key
TicketCategory Edm.String?
TicketName Edm.String?
TicketGrouping Edm.String?
TicketUUID Edm.Guid?
CorrespondenceLanguage Edm.String?
CreatedByUser Edm.String?
CreationDate Edm.DateTime?
CreationTime Edm.Time?
LastChangeDate Edm.DateTime? date
LastChangeTime Edm.Time?
LastChangedByUser Edm.String?
TicketIsBlocked Edm.Boolean?
TicketType Edm.String?
ETag Edm.String?
`

// samples are real bodies with schemas written by hand from their metadata, or from the bodies if the metadata are
// missing. The numbers of rows and errors were counted by eye. testdata/decode/samples contains the expected results,
// from a second decoder that uses encoding/json and encoding/xml.
var samples = []struct {
	file   string
	layout string
	rows   int
	faults int
	nested map[string]string
}{
	{"atom/odatademo_v2_ProductsFeed.xml", `
ID Edm.Int32 key
Name Edm.String? target=SyndicationTitle
Description Edm.String? target=SyndicationSummary
ReleaseDate Edm.DateTime
DiscontinuedDate Edm.DateTime? date
Rating Edm.Int32
Price Edm.Decimal(0,6)
Supplier one? {
ID Edm.Int32
Name Edm.String? target=SyndicationTitle
Address complex {
` + address + `
Concurrency Edm.Int32
}
`, 9, 0, nil},
	{"atom/olingo_feed_employees_full.xml", employee, 6, 0, nil},
	{"atom/olingo_expanded_team.xml", `
Id Edm.String key
Name Edm.String?
isScrumTeam Edm.Boolean?
nt_Employees many? {
` + employeeItems + `
}
`, 1, 0, nil},
	{"atom/cap_Atom-POST.txt", "ID Edm.Guid key\nname Edm.String?\ndescription Edm.String?\nItems many? {\nID " +
		"Edm.Guid\nname Edm.String?\ndescription Edm.String?\n}\n", 1, 0, nil},
	{"atom/cap_Atom-PUT.txt", "ID Edm.Guid key\nname Edm.String?\ndescription Edm.String?\n", 1, 0, nil},
	{"delta/olingo_feed_with_deleted_entries.xml", room, 1, 0, nil},
	{"delta/olingo_feed_with_delta_link.xml", employee, 1, 0, nil},
	{"delta/olingo_JsonWithDeletedEntries.json", room, 1, 0, nil},
	{"json/northwind_v2_Category.json",
		"CategoryID Edm.Int32 key\nCategoryName Edm.String\nDescription Edm.String?\nPicture Edm.Binary?\n", 8, 0, nil},
	{"json/northwind_v2_Product.json", `
ProductID Edm.Int32 key
ProductName Edm.String
SupplierID Edm.Int32?
CategoryID Edm.Int32?
QuantityPerUnit Edm.String?
UnitPrice Edm.Decimal?(19,4)
UnitsInStock Edm.Int16?
UnitsOnOrder Edm.Int16?
ReorderLevel Edm.Int16?
Discontinued Edm.Boolean
`, 20, 0, nil},
	{"json/olingo_JsonBuildingWithInlineRoomsAndNextLinkAndCount.json",
		"Id Edm.String key\nName Edm.String?\nImage Edm.Binary?\nnb_Rooms many {\n" + roomItems + "}\n",
		1, 0, map[string]string{"nextLink": `{"d":{"results":[]}}`}},
	{"json/olingo_JsonRoom.json", room, 1, 0, nil},
	{"json/olingo_JsonTeamsWithCount.json", "Id Edm.String key\nName Edm.String?\nisScrumTeam Edm.Boolean?\n", 2, 0,
		nil},
	// the first ticket has "ABC" as a time
	{"json/sap_c4c_Ticket_Collection_V2.json", ticket, 1, 1, nil},
	{"json/sap_c4c_Ticket_Function_V2.json", ticket, 1, 0, nil},
	{"json/sap_c4c_Ticket_Single_V2.json", ticket, 1, 0, nil},
}

// items of an expanded feed have no keys of their own
var (
	employeeItems = string(bytes.ReplaceAll([]byte(employee), []byte(" key"), nil))
	roomItems     = string(bytes.ReplaceAll([]byte(room), []byte(" key"), nil))
)

func TestSamples(t *testing.T) {
	for _, test := range samples {
		t.Run(filepath.Base(test.file), func(t *testing.T) {
			t.Parallel()
			doc := []byte(sample(t, test.file))
			schema := parseSchema(t, test.layout)
			out, err := decodePieces(newDecoder(schema, doc), doc, cuts{size: len(doc) + 1}, test.nested)
			require.NoError(t, err)
			if len(out.Rows) != test.rows || len(out.RowErrors) != test.faults || len(out.Page.Unknown) > 0 {
				t.Errorf("expected %d rows and %d faults, found %d and %d; unknown %v\n%s", test.rows, test.faults,
					len(out.Rows), len(out.RowErrors), out.Page.Unknown, render(t, schema, out))
			}
			got := describeAll(t, schema, out, nil)
			file := filepath.Join(testdata, "decode", "samples", filepath.Base(test.file)+".txt")
			if *update {
				require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
			}
			if want, err := os.ReadFile(file); err != nil || got != string(want) {
				t.Fatalf("%v\ngot  %s\nwant %s", err, excerpt(got, string(want)), excerpt(string(want), got))
			}
			eachCut(t, schema, doc, test.nested, got)
		})
	}
}

// Every sample in the folders has a test.
func TestEverySampleIsTested(t *testing.T) {
	tested := map[string]bool{"json/olingo_svcDoc.json": true, "atom/olingo_svcDoc.xml": true} // TestNoRows
	for _, s := range samples {
		tested[s.file] = true
	}
	for _, folder := range []string{"atom", "json", "delta"} {
		files, err := os.ReadDir(filepath.Join(testdata, "samples", folder))
		require.True(t, err == nil && len(files) != 0, "no samples in %s: %v", folder, err)
		for _, f := range files {
			name := folder + "/" + f.Name()
			assert.True(t, tested[name], "%s has no test", name)
		}
	}
}

// The error for a document without rows names the kind of document.
func TestNoRows(t *testing.T) {
	schema := parseSchema(t, room)
	logon, _ := os.ReadFile(filepath.Join(testdata, "decode", "logon.html"))
	const maintenance = `<html><head><title>System in maintenance
until 9</title></head><body>x</body></html>`
	refusal := `<?xml version="1.0" encoding="utf-8"?>` +
		`<error xmlns="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata"><code>SY/530</code>` +
		`<message xml:lang="en">RFC destination is down</message><innererror>` + strings.Repeat("<a>b</a>", 2000) +
		`</innererror></error>`
	for _, test := range []struct {
		decoder Decoder
		doc     string
		isHTML  bool
		kind    string // of document that the error names
		message string // part of the service's error
	}{
		{decoder: NewJSON(schema), doc: string(logon), isHTML: true, kind: "HTML"},
		{decoder: NewAtom(schema), doc: string(logon), isHTML: true, kind: "HTML"},
		{decoder: NewJSON(schema), doc: "<html>" + string(make([]byte, 3000)), isHTML: true, kind: "HTML"},
		{decoder: NewJSON(schema), doc: maintenance, isHTML: true, kind: "HTML",
			message: "found HTML: System in maintenance until 9 at byte 0"},
		{decoder: NewAtom(schema), doc: maintenance, isHTML: true, kind: "HTML",
			message: "found HTML: System in maintenance until 9 at byte 0"},
		{decoder: NewAtom(schema), doc: "<!DOCTYPE html>" + maintenance, isHTML: true, kind: "HTML",
			message: "System in maintenance until 9"},
		{decoder: NewJSON(schema), doc: refusal, kind: "an error document",
			message: "document: SY/530: RFC destination is down at byte 0"},
		{decoder: NewAtom(schema), doc: refusal, kind: "an error document",
			message: "document: SY/530: RFC destination is down"},
		{decoder: NewJSON(schema), doc: `<feed xmlns="http://www.w3.org/2005/Atom"/>`, kind: "XML or other markup"},
		{decoder: NewAtom(schema), doc: `{"d":[]}`, kind: "JSON"},
		{decoder: NewJSON(schema), doc: "Service Unavailable: pool is empty", kind: "text",
			message: `expected '{' at the start of JSON, found text: "Service Unavailable: pool is empty" at byte 0`},
		{decoder: NewAtom(schema), doc: "Service Unavailable", kind: "text", message: `text: "Service Unavailable"`},
		{decoder: NewJSON(schema), doc: "\x1f\x8b\x08\x00\x00", message: "found gzip: the body is compressed once more"},
		{decoder: NewAtom(schema), doc: "\x1f\x8b\x08\x00\x00", message: "found gzip: the body is compressed once more"},
		{decoder: NewJSON(schema), doc: sample(t, "json/olingo_svcDoc.json"), kind: "a service document"},
		{decoder: NewAtom(schema), doc: sample(t, "atom/olingo_svcDoc.xml"), kind: "element service"},
		{decoder: NewJSON(schema), doc: `{"error":` + sample(t, "error/sap_odata_v2_error_object.json") + `}`},
	} {
		for _, size := range []int{1, 7, len(test.doc)} {
			test.decoder.Reset()
			_, err := decodePieces(test.decoder, []byte(test.doc), cuts{size: size}, nil)
			var e *PageError
			assert.True(t, errors.As(err, &e) && e.HTML == test.isHTML && (test.kind == "" || e.Found == test.kind),
				"%.40q in pieces of %d: expected %q, HTML %v, found %v", test.doc, size, test.kind, test.isHTML, err)
			assert.True(t, strings.Contains(fmt.Sprint(err), test.message),
				"%.40q in pieces of %d: expected %q, found %v", test.doc, size, test.message, err)
		}
	}
}

func sample(t testing.TB, file string) string {
	doc, err := os.ReadFile(filepath.Join(testdata, "samples", file))
	require.NoError(t, err)
	return string(doc)
}
