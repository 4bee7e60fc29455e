package odatatest_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"image/png"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/odatatest"
)

// edmx is what these tests read of a $metadata document.
type edmx struct {
	XMLName xml.Name
	Schemas []struct {
		XMLName     xml.Name
		Namespace   string `xml:",attr"`
		EntityTypes []struct {
			Name       string         `xml:",attr"`
			HasStream  string         `xml:"http://schemas.microsoft.com/ado/2007/08/dataservices/metadata HasStream,attr"`
			Keys       []edmxRef      `xml:"Key>PropertyRef"`
			Properties []edmxProperty `xml:"Property"`
			Navigation []struct {
				Name, Relationship, FromRole, ToRole string `xml:",attr"`
			} `xml:"NavigationProperty"`
		} `xml:"EntityType"`
		ComplexTypes []struct {
			Name       string         `xml:",attr"`
			Properties []edmxProperty `xml:"Property"`
		} `xml:"ComplexType"`
		Associations []struct {
			Name string `xml:",attr"`
			Ends []struct {
				Role, Type, Multiplicity string `xml:",attr"`
			} `xml:"End"`
		} `xml:"Association"`
		Sets []struct {
			Name, EntityType string `xml:",attr"`
		} `xml:"EntityContainer>EntitySet"`
	} `xml:"DataServices>Schema"`
}

type edmxRef struct {
	Name string `xml:",attr"`
}

type edmxProperty struct {
	Name            string `xml:",attr"`
	Type            string `xml:",attr"`
	Nullable        bool   `xml:",attr"`
	ConcurrencyMode string `xml:",attr"`
	Target          string `xml:"http://schemas.microsoft.com/ado/2007/08/dataservices/metadata FC_TargetPath,attr"`
	Keep            string `xml:"http://schemas.microsoft.com/ado/2007/08/dataservices/metadata FC_KeepInContent,attr"`
}

func (c *client) metadata(mount string) edmx {
	c.t.Helper()
	var m edmx
	ok(c.t, xml.Unmarshal(c.get(mount+"$metadata").body, &m))
	return m
}

func TestMetadataDescribesWhatIsServed(t *testing.T) {
	for _, mount := range []string{odatatest.NorthwindPath, odatatest.SAPPath} {
		for _, prefixes := range []string{"false", "true"} {
			t.Run(mount+" prefixes "+prefixes, func(t *testing.T) {
				c := start(t, odatatest.Options{Rows: 20})
				c.set("prefixes", prefixes)
				m := c.metadata(mount)
				types := map[string][]string{}
				associations := map[string]string{}
				var sets []string
				seen := map[string]bool{}
				for _, s := range m.Schemas {
					for _, e := range s.EntityTypes {
						if len(e.Keys) == 0 {
							t.Errorf("%s has no key", e.Name)
						}
						for _, p := range e.Properties {
							types[s.Namespace+"."+e.Name] = append(types[s.Namespace+"."+e.Name], p.Name)
							seen[p.Type] = true
						}
					}
					for _, a := range s.Associations {
						associations[s.Namespace+"."+a.Name] = a.Ends[0].Role + " " + a.Ends[1].Role
					}
				}
				for _, s := range m.Schemas {
					for _, e := range s.EntityTypes {
						for _, n := range e.Navigation {
							if roles := associations[n.Relationship]; roles != n.FromRole+" "+n.ToRole &&
								roles != n.ToRole+" "+n.FromRole {
								t.Errorf("%s.%s: association %s has roles %q", e.Name, n.Name, n.Relationship, roles)
							}
						}
					}
					for _, set := range s.Sets {
						sets = append(sets, set.Name)
						for _, row := range c.atomFeed(mount + set.Name).rows[:min(1, c.service.Count(set.Name))] {
							for name := range row {
								if !slices.Contains(types[set.EntityType], name) {
									t.Errorf("%s has a property %s that $metadata does not know", set.Name, name)
								}
							}
						}
					}
				}
				for _, k := range []string{"Binary", "Boolean", "Byte", "DateTime", "DateTimeOffset", "Decimal",
					"Double", "Guid", "Int16", "Int32", "Int64", "SByte", "Single", "String", "Time"} {
					if !seen["Edm."+k] {
						t.Errorf("no property of type Edm.%s", k)
					}
				}
				c.checkServiceDocuments(mount, sets)
			})
		}
	}
}

func (c *client) checkServiceDocuments(mount string, sets []string) {
	c.t.Helper()
	fromJSON := read[struct{ D struct{ EntitySets []string } }](c, mount)
	var fromXML struct {
		XMLName     xml.Name `xml:"http://www.w3.org/2007/app service"`
		Collections []struct {
			Href  string `xml:"href,attr"`
			Title string `xml:"http://www.w3.org/2005/Atom title"`
		} `xml:"http://www.w3.org/2007/app workspace>collection"`
	}
	ok(c.t, xml.Unmarshal(c.get(mount, "Accept", "application/xml").body, &fromXML))
	var hrefs []string
	for _, collection := range fromXML.Collections {
		hrefs = append(hrefs, collection.Href)
	}
	if !slices.Equal(sets, fromJSON.D.EntitySets) || !slices.Equal(sets, hrefs) {
		c.t.Errorf("$metadata has %q, the service documents %q and %q", sets, fromJSON.D.EntitySets, hrefs)
	}
}

// plainJSON gives the Atom text of a value in verbose JSON, worked out apart from the service's code.
func plainJSON(t *testing.T, edm string, content any) string {
	t.Helper()
	text := fmt.Sprint(content)
	switch edm {
	case "Edm.DateTime", "Edm.DateTimeOffset":
		ms, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(text, "/Date("), ")/"),
			"+0000"), 10, 64)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.999")
	case "Edm.Single", "Edm.Double":
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		return fmt.Sprint(f)
	}
	return text
}

func plainAtom(t *testing.T, edm, text string) string {
	t.Helper()
	switch edm {
	case "Edm.DateTimeOffset":
		at, err := time.Parse(time.RFC3339Nano, text)
		ok(t, err)
		return at.UTC().Format("2006-01-02T15:04:05.999")
	case "Edm.Single", "Edm.Double":
		f, err := strconv.ParseFloat(text, 64)
		ok(t, err)
		return fmt.Sprint(f)
	}
	return text
}

func TestEveryTypeInBothFormats(t *testing.T) {
	for _, mount := range []string{odatatest.NorthwindPath, odatatest.SAPPath} {
		c := start(t, odatatest.Options{})
		types := map[string]string{}
		for _, s := range c.metadata(mount).Schemas {
			for _, e := range s.EntityTypes {
				for _, p := range e.Properties {
					types[p.Name] = p.Type
				}
			}
		}
		var document struct {
			D struct{ Results []map[string]any }
		}
		d := json.NewDecoder(bytes.NewReader(c.get(mount+"AllTypes", "Accept", "application/json").body))
		d.UseNumber()
		ok(t, d.Decode(&document))
		atom := c.atomFeed(mount + "AllTypes").rows
		if len(atom) != len(document.D.Results) || len(atom) < 200 {
			t.Fatalf("%d rows in Atom, %d in JSON", len(atom), len(document.D.Results))
		}
		distinct := map[string]map[string]bool{}
		for i, row := range document.D.Results {
			for name, content := range row {
				if strings.HasPrefix(name, "__") || name == "Place" {
					continue
				}
				got, want := "(null)", atom[i][name]
				if content != nil {
					got, want = plainJSON(t, types[name], content), plainAtom(t, types[name], want)
				}
				if got != want {
					t.Errorf("row %d, %s: %q in JSON, %q in Atom", i, name, got, want)
				}
				if distinct[name] == nil {
					distinct[name] = map[string]bool{}
				}
				distinct[name][want] = true
			}
		}
		for name, values := range map[string][]string{
			"Long":  {"9223372036854775807", "-9223372036854775808", "9007199254740993", "(null)"},
			"Small": {"-128", "127"}, "Tiny": {"255"},
			"Moment": {"0001-01-01T00:00:00", "9999-12-31T23:59:59", "1969-12-31T23:59:59.999", "1582-10-04T00:00:00"},
			"Text": {"", "trailing blank ", "000042", "O'Neil", "a<b>&c;", "carriage\r\nreturn", "\u2028separator",
				"(null)"},
			"Exact":   {"9999999999999999999999999999999", "-9999999999999999999999999999999"},
			"Clock":   {"PT00H00M00.5S", "PT23H59M59S"},
			"Precise": {"1.7976931348623157e+308", "5e-324"},
		} {
			for _, v := range values {
				if !distinct[name][v] {
					t.Errorf("%s never has the value %q", name, v)
				}
			}
		}
	}
}

func TestMappedPropertiesStandInAtomElementsOnly(t *testing.T) {
	c := start(t, odatatest.Options{})
	fromJSON := c.jsonFeed(odatatest.NorthwindPath + "Notes").rows
	document := c.atom(odatatest.NorthwindPath + "Notes")
	nulls := 0
	for i := range document.Entries {
		e := &document.Entries[i]
		inside := e.fields()
		for name, atomText := range map[string]string{"Title": e.Title, "Author": e.Author,
			"Changed": strings.TrimSuffix(e.Updated, "Z")} {
			text, given := inside[name]
			want := fromJSON[i][name]
			if name == "Changed" && want != "(null)" {
				want = plainJSON(t, "Edm.DateTime", want)
			}
			if want == "(null)" {
				nulls++
				if text != "(null)" {
					t.Errorf("note %d: %s is null but %q in the content", i, name, text)
				}
			} else if given || atomText != want {
				t.Errorf("note %d: %s: %q in Atom, %q in the content, %q in JSON", i, name, atomText, text, want)
			}
		}
		if summary, given := inside["Summary"]; !given || summary != fromJSON[i]["Summary"] {
			t.Errorf("note %d: Summary is to stay in the content, found %q", i, summary)
		}
	}
	if nulls == 0 {
		t.Error("no note has a null in a mapped property")
	}
}

func TestMediaEntities(t *testing.T) {
	c := start(t, odatatest.Options{})
	document := read[struct {
		D struct {
			Results []struct {
				Size     int
				Metadata struct {
					Source string `json:"media_src"`
					Type   string `json:"content_type"`
				} `json:"__metadata"`
			}
		}
	}](c, odatatest.SAPPath+"Pictures")
	entries := c.atom(odatatest.SAPPath + "Pictures").Entries
	for i, p := range document.D.Results {
		r := c.get(p.Metadata.Source)
		if _, err := png.Decode(bytes.NewReader(r.body)); err != nil || len(r.body) != p.Size ||
			r.header.Get("Content-Type") != p.Metadata.Type {
			t.Errorf("%s: %v, %d bytes of %d, %s", p.Metadata.Source, err, len(r.body), p.Size,
				r.header.Get("Content-Type"))
		}
		e := entries[i]
		if len(e.Content.Inside.Fields) != 0 || len(e.Beside.Fields) != 3 ||
			c.origin+odatatest.SAPPath+e.Content.Src != p.Metadata.Source {
			t.Errorf("entry %d: %d properties in the content, %d beside it, src %q", i, len(e.Content.Inside.Fields),
				len(e.Beside.Fields), e.Content.Src)
		}
	}
	if len(document.D.Results) == 0 {
		t.Error("no pictures")
	}
}

func TestKeysLeadBackToTheirRows(t *testing.T) {
	c := start(t, odatatest.Options{Rows: 5})
	for _, e := range c.atom(odatatest.NorthwindPath + "Codes").Entries {
		equal(t, e.fields()["Code"], read[struct{ D struct{ Code string } }](c, e.ID).D.Code, e.ID)
	}
}

func TestFormatByOptionAndHeader(t *testing.T) {
	c := start(t, odatatest.Options{Rows: 5})
	tests := []struct {
		format, accept, want string
		status               int
	}{
		{"", "", "application/atom+xml", 200},
		{"", "*/*", "application/atom+xml", 200},
		{"", "application/json", "application/json", 200},
		{"", "application/json;odata=verbose", "application/json", 200},
		{"json", "application/atom+xml", "application/json", 200},
		{"atom", "application/json", "application/atom+xml", 200},
		{"", "application/atom+xml,application/json;q=0.5", "application/atom+xml", 200},
		{"", "audio/ogg", "application/xml", 406},
		{"", "text/html,application/xhtml+xml,application/xml;q=0.9", "application/atom+xml", 200},
	}
	for _, test := range tests {
		query := ""
		if test.format != "" {
			query = "?$format=" + test.format
		}
		r := c.do("GET", odatatest.NorthwindPath+"Orders"+query, "", "Accept", test.accept)
		if r.status != test.status || !strings.HasPrefix(r.header.Get("Content-Type"), test.want) ||
			r.header.Get("DataServiceVersion") == "" {
			t.Errorf("%+v: %d %s", test, r.status, r.header.Get("Content-Type"))
		}
	}
}

func TestAnswersOfTheTwoMounts(t *testing.T) {
	c := start(t, odatatest.Options{Rows: 1})
	tests := []struct{ path, format, want string }{
		{odatatest.NorthwindPath, "json", `"Discount":0,"Order"`}, {odatatest.SAPPath, "json", `"Discount":"0","Order"`},
		{odatatest.NorthwindPath, "atom", `<d:Discount m:type="Edm.Single">0</d:Discount>`}, {odatatest.SAPPath, "atom",
			`<d:Discount>0</d:Discount>`},
		{odatatest.NorthwindPath, "json", `{"results":[{"__metadata":{"uri":"`}, {odatatest.SAPPath, "json",
			`{"results":[{"__metadata":{"id":"`},
	}
	for _, test := range tests {
		if body := string(c.get(test.path + "Order_Details?$format=" + test.format).body); !strings.Contains(body,
			test.want) {
			t.Errorf("%s as %s: expected %s in\n%s", test.path, test.format, test.want, body)
		}
	}
}

func TestEachGivesWhatHTTPGives(t *testing.T) {
	c := start(t, odatatest.Options{Rows: 30})
	for _, set := range []string{"Order_Details", "Codes", "Customers"} {
		rows := c.atomFeed(odatatest.SAPPath + set).rows
		i := 0
		c.service.Each(set, func(key string, fields map[string]string) {
			want := map[string]string{}
			for name, text := range rows[i] {
				if text != "(null)" {
					want[name] = text
				}
			}
			equal(t, want, fields, set, key)
			i++
		})
		if i != len(rows) {
			t.Errorf("%s: %d of %d rows", set, i, len(rows))
		}
	}
}

func TestBinaryIsBase64(t *testing.T) {
	c := start(t, odatatest.Options{})
	for _, row := range c.jsonFeed(odatatest.SAPPath + "AllTypes?$filter=Raw ne null").rows {
		raw, err := base64.StdEncoding.DecodeString(row["Raw"])
		ok(t, err)
		if r := c.do("GET", odatatest.SAPPath+"AllTypes("+row["ID"]+")/Raw/$value", ""); r.status != 200 ||
			!bytes.Equal(r.body, raw) {
			t.Errorf("row %s: %x at $value, %x in JSON", row["ID"], r.body, raw)
		}
	}
}
