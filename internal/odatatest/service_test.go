package odatatest_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/odatatest"
)

// client talks to a service as a stranger would: by HTTP, encoding/json and encoding/xml.
type client struct {
	t       *testing.T
	service *odatatest.Service
	origin  string
	http    *http.Client
	headers map[string]string
}

func start(t *testing.T, o odatatest.Options) *client {
	t.Helper()
	s := odatatest.New(o)
	l, err := s.Start("127.0.0.1:0")
	ok(t, err)
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	jar, err := cookiejar.New(nil)
	ok(t, err)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &client{t: t, service: s, origin: l.URL, http: &http.Client{Jar: jar, Transport: transport},
		headers: map[string]string{}}
}

func (c *client) set(name, value string) {
	c.t.Helper()
	ok(c.t, c.service.Set(name, value))
}

// reply is an answer read to its end; err is what came in place of the end.
type reply struct {
	status int
	header http.Header
	body   []byte
	err    error
}

// do sends a request to a path below the origin or a whole address; headers are name, value pairs.
func (c *client) do(method, address, body string, headers ...string) reply {
	c.t.Helper()
	if strings.HasPrefix(address, "/") {
		address = c.origin + address
	}
	request, err := http.NewRequest(method, strings.ReplaceAll(address, " ", "%20"), strings.NewReader(body))
	ok(c.t, err)
	for name, text := range c.headers {
		request.Header.Set(name, text)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := c.http.Do(request)
	if err != nil {
		return reply{err: err}
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	return reply{response.StatusCode, response.Header, raw, err}
}

// expect is do where a status is expected.
func (c *client) expect(status int, method, address, body string, headers ...string) reply {
	c.t.Helper()
	r := c.do(method, address, body, headers...)
	if r.err != nil || r.status != status {
		c.t.Errorf("%s %s %s: expected %d, found %d %v\n%s", method, address, body, status, r.status, r.err, r.body)
	}
	return r
}

// read reads the JSON of an address.
func read[T any](c *client, address string) (document T) {
	c.t.Helper()
	ok(c.t, json.Unmarshal(c.get(address, "Accept", "application/json").body, &document))
	return document
}

func (c *client) get(address string, headers ...string) reply {
	c.t.Helper()
	r := c.do("GET", address, "", headers...)
	if r.err != nil || r.status != 200 {
		c.t.Fatalf("GET %s: %d %v\n%.300s", address, r.status, r.err, r.body)
	}
	return r
}

// entity is one row read from JSON or Atom: plain texts by name; null is "(null)".
type entity map[string]string

// feed is one page in either format.
type feed struct {
	rows  []entity
	next  string
	count string
}

func (c *client) jsonFeed(address string) feed {
	c.t.Helper()
	var document struct {
		D struct {
			Results []map[string]any `json:"results"`
			Next    string           `json:"__next"`
			Count   string           `json:"__count"`
		} `json:"d"`
	}
	d := json.NewDecoder(bytes.NewReader(c.get(address, "Accept", "application/json").body))
	d.UseNumber()
	if err := d.Decode(&document); err != nil {
		c.t.Fatalf("%s: %v", address, err)
	}
	f := feed{next: document.D.Next, count: document.D.Count}
	for _, row := range document.D.Results {
		e := entity{}
		for name, content := range row {
			switch v := content.(type) {
			case nil:
				e[name] = "(null)"
			case map[string]any:
			default:
				e[name] = fmt.Sprint(v)
			}
		}
		f.rows = append(f.rows, e)
	}
	return f
}

type atomEntry struct {
	ETag    string     `xml:"http://schemas.microsoft.com/ado/2007/08/dataservices/metadata etag,attr"`
	ID      string     `xml:"id"`
	Title   string     `xml:"title"`
	Updated string     `xml:"updated"`
	Author  string     `xml:"author>name"`
	Links   []atomLink `xml:"link"`
	Beside  atomFields `xml:"properties"`
	Content struct {
		Type   string     `xml:"type,attr"`
		Src    string     `xml:"src,attr"`
		Inside atomFields `xml:"properties"`
	} `xml:"content"`
}

type atomLink struct {
	Rel    string `xml:"rel,attr"`
	Href   string `xml:"href,attr"`
	Inline *struct {
		Feed  *atomFeed  `xml:"feed"`
		Entry *atomEntry `xml:"entry"`
	} `xml:"http://schemas.microsoft.com/ado/2007/08/dataservices/metadata inline"`
}

type atomFields struct {
	Fields []struct {
		XMLName xml.Name
		Type    string `xml:"http://schemas.microsoft.com/ado/2007/08/dataservices/metadata type,attr"`
		Null    string `xml:"http://schemas.microsoft.com/ado/2007/08/dataservices/metadata null,attr"`
		Text    string `xml:",chardata"`
	} `xml:",any"`
}

type atomFeed struct {
	XMLName xml.Name
	Base    string      `xml:"http://www.w3.org/XML/1998/namespace base,attr"`
	Count   string      `xml:"http://schemas.microsoft.com/ado/2007/08/dataservices/metadata count"`
	Entries []atomEntry `xml:"entry"`
	Links   []atomLink  `xml:"link"`
}

func (f *atomFeed) next() string {
	for _, l := range f.Links {
		if l.Rel == "next" {
			return l.Href
		}
	}
	return ""
}

func (e *atomEntry) fields() entity {
	row := entity{}
	for _, f := range append(e.Content.Inside.Fields, e.Beside.Fields...) {
		row[f.XMLName.Local] = f.Text
		if f.Null == "true" {
			row[f.XMLName.Local] = "(null)"
		}
	}
	return row
}

func (c *client) atom(address string) atomFeed {
	c.t.Helper()
	var f atomFeed
	raw := c.get(address, "Accept", "application/atom+xml").body
	if err := xml.Unmarshal(raw, &f); err != nil {
		c.t.Fatalf("%s: %v\n%.300s", address, err, raw)
	}
	return f
}

func (c *client) atomFeed(address string) feed {
	c.t.Helper()
	document := c.atom(address)
	f := feed{next: document.next(), count: document.Count}
	for i := range document.Entries {
		f.rows = append(f.rows, document.Entries[i].fields())
	}
	return f
}

// walk follows next links to the end.
func (c *client) walk(read func(string) feed, address string) []entity {
	c.t.Helper()
	var rows []entity
	for pages := 0; address != ""; pages++ {
		if pages > 10000 {
			c.t.Fatal("next links do not end")
		}
		f := read(address)
		rows = append(rows, f.rows...)
		if f.next == "" {
			return rows
		}
		base, err := url.Parse(c.origin + odatatest.NorthwindPath)
		ok(c.t, err)
		next, err := base.Parse(f.next)
		ok(c.t, err)
		address = next.String()
	}
	return rows
}

func TestWriteNeedsTokenOfItsSession(t *testing.T) {
	c := start(t, odatatest.Options{Rows: 10, User: "u", Password: "p", Switches: odatatest.Switches{CSRF: true}})
	const body = `{"OrderID":1,"ProductID":2,"UnitPrice":"3.5000","Quantity":4,"Discount":0}`
	inbox := odatatest.SAPPath + "Order_DetailCopies"
	c.headers["Content-Type"] = "application/json"
	if r := c.expect(401, "POST", inbox, body); !strings.HasPrefix(r.header.Get("WWW-Authenticate"), "Basic ") {
		t.Fatalf("without logon: %v", r.header)
	}
	c.headers["Authorization"] = "Basic dTpw"
	if r := c.expect(403, "POST", inbox, body); r.header.Get("X-CSRF-Token") != "Required" {
		t.Fatalf("without token: %v", r.header)
	}
	token := c.get(odatatest.SAPPath, "X-CSRF-Token", "Fetch").header.Get("X-CSRF-Token")
	r := c.expect(201, "POST", inbox, body, "X-CSRF-Token", token, "Accept", "application/json")
	equal(t, c.origin+inbox+"(OrderID=1,ProductID=2)", r.header.Get("Location"))
	var created struct{ D map[string]any }
	if err := json.Unmarshal(r.body, &created); err != nil || created.D["UnitPrice"] != "3.5000" ||
		created.D["Quantity"] != 4.0 {
		t.Fatalf("created entity: %v\n%s", err, r.body)
	}
	c.http.Jar, _ = cookiejar.New(nil)
	c.expect(403, "POST", inbox, body, "X-CSRF-Token", token) // of another session
	l := c.service.Ledger()
	if w := l.Writes["Order_DetailCopies(OrderID=1,ProductID=2)"]; w.Created != 1 || len(l.Writes) != 1 {
		t.Errorf("writes: %+v", l.Writes)
	}
	if l.Logons != 2 || l.SessionsOpened != 2 || l.TokenRefusals != 2 {
		t.Errorf("ledger: %+v", l)
	}
}

// equal expects values that do not differ; about says what they are.
func equal[T any](t testing.TB, want, found T, about ...any) {
	t.Helper()
	if diff := cmp.Diff(want, found); diff != "" {
		t.Errorf("%s (-expected +found)\n%s", fmt.Sprint(about...), diff)
	}
}

// ok ends a test at an error that it is not about.
func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
