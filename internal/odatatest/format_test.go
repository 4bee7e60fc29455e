package odatatest_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/odatatest"
)

// edmx is what these tests read of a $metadata document.
type edmx struct {
	Schemas []struct {
		EntityTypes []struct {
			Properties []struct {
				Name string `xml:",attr"`
				Type string `xml:",attr"`
			} `xml:"Property"`
		} `xml:"EntityType"`
	} `xml:"DataServices>Schema"`
}

func (c *client) metadata(mount string) edmx {
	c.t.Helper()
	var m edmx
	ok(c.t, xml.Unmarshal(c.get(mount+"$metadata").body, &m))
	return m
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
