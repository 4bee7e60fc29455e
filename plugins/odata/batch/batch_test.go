package batch_test

import (
	"bytes"
	"fmt"
	"mime/multipart"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/plugins/odata/batch"
	"github.com/culvert-project/culvert/wit"
)

const samples = "../../../testdata/samples/batch/"

// outline returns a document as text: S for a changeset, with the first lines of its messages.
func outline(d batch.Document) string {
	var parts []string
	for _, p := range d.Parts {
		var lines []string
		for _, m := range p.Messages {
			line := m.Line
			if m.ID != "" {
				line += " #" + m.ID
			}
			if !m.Complete {
				line += " (cut)"
			}
			lines = append(lines, line)
		}
		text := strings.Join(lines, " | ")
		if p.Changeset {
			text = "S[" + text + "]"
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, "\n")
}

func TestSamples(t *testing.T) {
	files, err := filepath.Glob(samples + "*")
	require.True(t, err == nil && len(files) >= 11, "found %d files, %v", len(files), err)
	expected := map[string]string{
		"cap_Batch-DELETE.txt":          "DELETE Header(guid'{{ID}}') HTTP/1.1",
		"cap_Batch-Draft-MERGE.txt":     "S[MERGE Header(ID=guid'{{ID}}',IsActiveEntity=false) HTTP/1.1]",
		"cap_Batch-PATCH-ContentId.txt": "S[PATCH Header({{ID}}) HTTP/1.1 #1 | MERGE HeaderItem({{ItemID}}) HTTP/1.1]",
		"cap_Batch-POST-Changeset.txt":  "S[POST Header HTTP/1.1 #1 | POST $1/Items HTTP/1.1]",
		"cap_Batch-POST-ContentId.txt":  "S[POST Header HTTP/1.1 #1 | POST $1/Items HTTP/1.1]",
		"cap_Batch-GET-Multi.txt": "GET Header HTTP/1.1\nGET Header?$skip=0&$top=100&$orderby=name " +
			"asc&$select=stock,name,name&$inlinecount=allpages HTTP/1.1\nGET Header2 HTTP/1.1\n" +
			"GET Header?$filter=name eq 'Test'&$top=10 HTTP/1.1\nGET Header?$expand=Items&$select=name,stock&$top=50 " +
			"HTTP/1.1\nGET Header/$count HTTP/1.1",
		"olingo_BatchResponseWithLinesInBodyWin.batch": "HTTP/1.1 500 Internal Server Error",
		"olingo_batchContentIdReferencing.batch": "S[POST Employees HTTP/1.1 #1 | PUT " +
			"$1/EmployeeName HTTP/1.1 #2]",
		"olingo_batchRequest.batch": "GET /service/Customers('ALFKI') HTTP/1.1\nS[POST " +
			"/service/Customers HTTP/1.1 | PUT /service/Customers('ALFKI') HTTP/1.1]\nGET service/Products HTTP/1.1",
		"olingo_batchResponse.batch": "S[HTTP/1.1 204 No Content #1 | HTTP/1.1 201 Created " +
			"#2]\nHTTP/1.1 200 OK #2",
		"olingo_batchWithPost.batch": "GET http://localhost/odata/Employees('2')/EmployeeName?$format=json " +
			"HTTP/1.1\nS[PUT Employees('2')/EmployeeName HTTP/1.1 #changeRequest1]\n" +
			"GET Employees('2')/EmployeeName?$format=json HTTP/1.1",
	}
	for _, file := range files {
		stored, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, end := range []string{"\n", "\r\n"} {
			text := strings.ReplaceAll(string(stored), "\n", end)
			d, ok := batch.Parse("", []byte(text))
			if diff := cmp.Diff(expected[filepath.Base(file)], outline(d)); !ok || !d.Complete || diff != "" {
				t.Errorf("%s with line ends %q: ok %t, complete %t\n%s", file, end, ok, d.Complete, diff)
			}
		}
	}
}

// Responses of real services, with their oddities.
func TestResponsesOfServices(t *testing.T) {
	for _, c := range []struct{ name, contentType, text, want string }{
		{"quoted boundary", `multipart/mixed; charset=utf-8; boundary="a b"`,
			"--a b\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n\r\n--a b--\r\n",
			"HTTP/1.1 204 No Content"},
		{"lower case and no final line end", "multipart/mixed; boundary=b",
			"--b\r\ncontent-type: application/http\r\ncontent-length: 27\r\n\r\nHTTP/1.1 204 No " +
				"Content\r\n\r\n\r\n--b--", "HTTP/1.1 204 No Content"},
		{"preamble and epilogue", "multipart/mixed; boundary=b",
			"This is\r\n--bb\r\na message\r\n--b\r\n\r\nHTTP/1.1 201 Created\r\n\r\n{}\r\n--b--\r\n--b\r\nmore",
			"HTTP/1.1 201 Created"},
		{"a failed changeset as a bare part", "multipart/mixed; boundary=b",
			"--b\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 400 Bad Request\r\nContent-Length: " +
				"2\r\n\r\n{}\r\n--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\nContent-Type: " +
				"application/http\r\n\r\nHTTP/1.1 201 Created\r\n\r\n\r\n--c--\r\n\r\n--b--",
			"HTTP/1.1 400 Bad Request\nS[HTTP/1.1 201 Created]"},
		{"a changeset that is not closed", "multipart/mixed; boundary=b",
			"--b\nContent-Type: multipart/mixed;boundary=c\n\n--c\nContent-Type: application/http\n\nHTTP/1.1 201 " +
				"Created\n\n\n--b\nContent-Type: application/http\n\nHTTP/1.1 200 OK\n\n--b--",
			"S[HTTP/1.1 201 Created]\nHTTP/1.1 200 OK"},
		{"one boundary begins with the other", "multipart/mixed; boundary=b", "--b\r\nContent-Type: multipart/mixed; " +
			"boundary=b_1\r\n\r\n--b_1\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 201 " +
			"Created\r\n\r\n\r\n--b_1--\r\n--b--", "S[HTTP/1.1 201 Created]"},
		{"boundaries inside a body", "multipart/mixed; boundary=b",
			"--b\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 400 Bad\r\nContent-Length: " +
				"8\r\n\r\nx\r\n--b\r\n\r\n--b--", "HTTP/1.1 400 Bad"},
		{"a wrong length", "multipart/mixed; boundary=b", "--b\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 400 " +
			"Bad\r\nContent-Length: 3\r\n\r\n{\"a\":1}\r\n--b--", "HTTP/1.1 400 Bad"},
		{"cut inside a status line", "multipart/mixed; boundary=b",
			"--b\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 20", " (cut)"},
		{"cut behind a changeset's first answer", "multipart/mixed; boundary=b",
			"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\nContent-Type: " +
				"application/http\r\n\r\nHTTP/1.1 201 Created\r\n\r\n\r\n--c\r\nContent-Ty",
			"S[HTTP/1.1 201 Created |  (cut)]"},
		{"nothing", "multipart/mixed; boundary=b", "--b--", ""},
	} {
		d, _ := batch.Parse(c.contentType, []byte(c.text))
		assert.Equal(t, c.want, outline(d), c.name)
	}
	d, _ := batch.Parse("multipart/mixed; boundary=b", []byte("--b\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 "+
		"400 Bad\r\nContent-Length: 8\r\n\r\nx\r\n--b\r\n\r\n--b--"))
	assert.Equal(t, "x\r\n--b\r\n", string(d.Parts[0].Messages[0].Body), "a body that looks like a boundary")
	_, ok := batch.Parse("application/json", []byte(`{"error":{}}`))
	assert.True(t, !ok, "expected JSON not to be a batch")
}

func TestStatus(t *testing.T) {
	for line, want := range map[string]uint16{"HTTP/1.1 204 No Content": 204, "HTTP/1.0 201": 201, "HTTP/2 200 OK": 200,
		"HTTP/1.1  400 Bad": 400, "HTTP/1.1 20": 0, "HTTP/1.1 2O1 Created": 0, "201 Created": 0,
		"ICY 200 OK": 0, "": 0, "HTTP/1.1 099 x": 0, "HTTP/1.1 +12 x": 0} {
		d, _ := batch.Parse("", []byte("--b\r\n\r\n"+line+"\r\n\r\n\r\n--b--"))
		assert.Equal(t, want, d.Parts[0].Messages[0].Status(), line)
	}
}

func request() []batch.Part {
	headers := []wit.Header{{Name: "Accept", Value: "application/json"}, {Name: "Content-Type",
		Value: "application/json"}}
	return []batch.Part{
		{Changeset: true, Operations: []batch.Operation{{Method: "POST", Target: "Orders", Headers: headers,
			Body: []byte(`{"ID":1}`)},
			{Method: "DELETE", Target: "Orders(2)", Headers: headers[:1]}}},
		{Operations: []batch.Operation{{Method: "GET", Target: "Orders(3)?x=y"}}},
		{Changeset: true, Operations: []batch.Operation{{Method: "MERGE", Target: "Orders(4)",
			Body: []byte("line\r\n--batch_\r\n\r\n")}}},
	}
}

func TestAppend(t *testing.T) {
	body, boundary := batch.Append(nil, request())
	suffix := strings.TrimPrefix(boundary, "batch_")
	want := strings.ReplaceAll(strings.ReplaceAll(`--batch_X
Content-Type: multipart/mixed; boundary=changeset_X_1

--changeset_X_1
Content-Type: application/http
Content-Transfer-Encoding: binary
Content-ID: 1

POST Orders HTTP/1.1
Accept: application/json
Content-Type: application/json
Content-Length: 8

{"ID":1}
--changeset_X_1
Content-Type: application/http
Content-Transfer-Encoding: binary
Content-ID: 2

DELETE Orders(2) HTTP/1.1
Accept: application/json


--changeset_X_1--

--batch_X
Content-Type: application/http
Content-Transfer-Encoding: binary

GET Orders(3)?x=y HTTP/1.1


--batch_X
Content-Type: multipart/mixed; boundary=changeset_X_3

--changeset_X_3
Content-Type: application/http
Content-Transfer-Encoding: binary
Content-ID: 4

MERGE Orders(4) HTTP/1.1
Content-Length: 18

line
--batch_


--changeset_X_3--

--batch_X--
`, "\n", "\r\n"), "X", suffix)
	assert.Equal(t, want, string(body))
	assert.True(t, len(boundary) <= 70, "expected a boundary of at most 70 characters, found %s", boundary)
	again, _ := batch.Append(nil, request())
	assert.True(t, bytes.Equal(body, again), "expected equal texts of equal batches")
	// The standard library reads it.
	r := multipart.NewReader(bytes.NewReader(body), boundary)
	for i := range 3 {
		_, err := r.NextRawPart()
		assert.NoError(t, err, "part", i)
	}
	d, ok := batch.Parse("multipart/mixed; boundary="+boundary, body)
	if want := "S[POST Orders HTTP/1.1 #1 | DELETE Orders(2) HTTP/1.1 #2]\nGET Orders(3)?x=y " +
		"HTTP/1.1\nS[MERGE Orders(4) HTTP/1.1 #4]"; !ok || !d.Complete || outline(d) != want {
		t.Errorf("expected %s, found %s", want, outline(d))
	}
}

// If a response is cut off, each complete message equals one of the whole document.
func TestCutOff(t *testing.T) {
	whole := []byte("--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\nContent-Type: " +
		"application/http\r\n\r\nHTTP/1.1 201 Created\r\nLocation: x\r\nContent-Length: 2\r\n\r\n{}\r\n" +
		"--c\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 204 No " +
		"Content\r\n\r\n\r\n--c--\r\n\r\n--b\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 400 Bad " +
		"Request\r\n\r\n{\"error\":1}\r\n--b--\r\n")
	lines := []string{"HTTP/1.1 201 Created", "HTTP/1.1 204 No Content", "HTTP/1.1 400 Bad Request"}
	for end := range len(whole) {
		d, _ := batch.Parse("multipart/mixed; boundary=b", whole[:end])
		n := 0
		for _, p := range d.Parts {
			for _, m := range p.Messages {
				assert.True(t, !m.Complete || (n < len(lines) && m.Line == lines[n]),
					"%d bytes: message %d is %q", end, n, m.Line)
				n++
			}
		}
		assert.True(t, !d.Complete || end >= len(whole)-2, "%d bytes: expected an incomplete document", end)
	}
}

// The time is linear in the size. Otherwise this test takes too long.
func TestLarge(t *testing.T) {
	for name, unit := range map[string]string{"lines": "\n", "almost a boundary": "--bx\n", "headers": "a: b\n",
		"opening": "--b\n", "nested": "--b\nContent-Type: multipart/mixed; boundary=c\n\n--c\n\nHTTP/1.1 200 " +
			"OK\nContent-Length: 7\n\n",
		"dashes": "--", "lengths": "--b\n\nHTTP/1.1 200 OK\nContent-Length: 90\n\n\n\n\n"} {
		t.Run(name, func(t *testing.T) {
			batch.Parse("multipart/mixed; boundary=b", []byte("--b\n"+strings.Repeat(unit, 4<<20/len(unit))))
		})
	}
}

func FuzzParse(f *testing.F) {
	files, err := filepath.Glob(samples + "*")
	require.NoError(f, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(f, err)
		f.Add("multipart/mixed; boundary=b", text)
	}
	f.Add("multipart/mixed; boundary=b", []byte("--b\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n\r\n--b--"))
	f.Fuzz(func(t *testing.T, contentType string, text []byte) {
		d, _ := batch.Parse(contentType, text)
		size := 0
		for _, p := range d.Parts {
			for _, m := range p.Messages {
				size += len(m.Body)
			}
		}
		assert.True(t, size <= len(text), "found bodies of %d bytes in a document of %d", size, len(text))
	})
}

func FuzzAppend(f *testing.F) {
	f.Add([]byte(`{"ID":1}`), []byte("a\r\n--batch_x\r\n"), true)
	f.Fuzz(func(t *testing.T, one, two []byte, changeset bool) {
		parts := []batch.Part{{Changeset: changeset, Operations: []batch.Operation{{Method: "POST", Target: "A",
			Body: one},
			{Method: "PUT", Target: "B", Body: two}}}}
		body, boundary := batch.Append(nil, parts)
		d, ok := batch.Parse(fmt.Sprintf("multipart/mixed; boundary=%q", boundary), body)
		var bodies [][]byte
		for _, p := range d.Parts {
			for _, m := range p.Messages {
				bodies = append(bodies, m.Body)
			}
		}
		assert.True(t, ok && d.Complete && len(bodies) == 2 && bytes.Equal(bodies[0], one) &&
			bytes.Equal(bodies[1], two), "expected %q and %q, found %q", one, two, bodies)
	})
}

// Headers are found with blanks around their names, and with continuation lines.
func TestHeaders(t *testing.T) {
	d, _ := batch.Parse("multipart/mixed; boundary=b",
		[]byte("--b\r\ncontent-id :  7 \r\n\r\nHTTP/1.1 201 Created\r\n\tfirst: 1\r\nLocation:http://x/A(1)\r\n"+
			"Locations: none\r\nsap-message: one\r\n  two "+
			"\r\n\tthree\r\nempty:\r\nalone\r\nsap-message: again\r\n\r\n\r\n--b--"))
	m := &d.Parts[0].Messages[0]
	for name, want := range map[string]string{"FIRST": "1", "location": "http://x/A(1)", "Locations": "none",
		"SAP-Message": "one two three", "empty": "", "alone": "", "locatio": "", "nothing": ""} {
		assert.Equal(t, want, m.Header(name), name)
	}
	want := []wit.Header{{Name: "first", Value: "1"}, {Name: "Location", Value: "http://x/A(1)"}, {Name: "Locations",
		Value: "none"},
		{Name: "sap-message", Value: "one two three"}, {Name: "empty"}, {Name: "alone"}, {Name: "sap-message",
			Value: "again"}}
	diff := cmp.Diff(want, m.Headers())
	assert.True(t, diff == "" && m.ID == "7" && m.Complete, "id %q, complete %t\n%s", m.ID, m.Complete, diff)
}
