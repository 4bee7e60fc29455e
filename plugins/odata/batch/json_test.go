package batch_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/plugins/odata/batch"
	"github.com/culvert-project/culvert/wit"
)

const samples4 = "../../../testdata/samples/json4/"

// statuses returns the statuses of a document's messages with their ids, one part a word.
func statuses(d batch.Document) string {
	var words []string
	for _, part := range d.Parts {
		var texts []string
		for i := range part.Messages {
			m := &part.Messages[i]
			text := strconv.Itoa(int(m.Status()))
			if m.ID != "" {
				text = m.ID + ":" + text
			}
			texts = append(texts, text)
		}
		words = append(words, "["+strings.Join(texts, ",")+"]")
	}
	if !d.Complete {
		words = append(words, "cut")
	}
	return strings.Join(words, " ")
}

// Batches of two changesets of two inserts, of which the last one failed, were answered by SAP CAP and Olingo.
func TestSamplesOfV4(t *testing.T) {
	for name, want := range map[string]string{
		"cap_batch.json":          "[1:204,2:204] [3:204,4:204]",
		"cap_batch-failed.json":   "[1:204,2:204] [4:500]",
		"cap_batch.txt":           "[1:204,2:204] [3:204,4:204]",
		"cap_batch-failed.txt":    "[1:204,2:204] [4:500]",
		"olingo_batch.txt":        "[1:204,2:204] [3:204,4:204]",
		"olingo_batch-failed.txt": "[1:204,2:204] [409]",
	} {
		body, err := os.ReadFile(samples4 + name)
		require.NoError(t, err)
		document, ok := batch.Parse("", body)
		problem := ""
		if strings.HasSuffix(name, ".json") {
			document, ok, problem = batch.ParseJSON(body, []int{2, 2})
			assert.Equal(t, "Bags(1", document.Parts[0].Messages[0].Header("Location")[:6], name, "location")
		}
		assert.True(t, ok && problem == "" && statuses(document) == want, "%s: expected %s, found %s %s", name, want,
			statuses(document), problem)
	}
}

func TestParseJSON(t *testing.T) {
	const one = `{"id":"1","status":201,"headers":{"location":"X(1)"}}`
	result := func(id string, status int) string { return fmt.Sprintf(`{"id":%q,"status":%d}`, id, status) }
	for _, test := range []struct {
		name    string
		counts  []int
		results string // the items of responses, or a document that starts with {
		want    string // statuses, or a part of the problem
	}{
		{"in any order", []int{1, 1, 1}, result("3", 204) + "," + one + "," + result("2", 400), "[1:201] [2:400] [3:204]"},
		{"numbers as ids", []int{1}, `{"id":1,"status":"201"}`, "[1:201]"},
		{"members in any order", []int{1}, `{"x":[{}],"body":{"a":1},"status":201,"id":"1"}`, "[1:201]"},
		{"failed group", []int{3, 1}, one + "," + result("2", 409) + "," + result("3", 424) + "," + result("4", 204),
			"[2:409] [4:204]"},
		{"dependent group", []int{2, 1}, result("1", 424) + "," + result("2", 424) + "," + result("3", 204),
			"[1:424] [3:204]"},
		{"group lacks a result", []int{2, 1}, one + "," + result("3", 204), "[] [3:204]"},
		{"result is missing", []int{1, 1, 1}, one + "," + result("3", 204), "[1:201] [] [3:204]"},
		{"stopped at a failure", []int{1, 1, 1}, one + "," + result("2", 400), "[1:201] [2:400]"},
		{"no results", []int{1, 1}, "", "[] []"},
		{"no status", []int{1}, `{"id":"1"}`, "[1:0]"},
		{"cut off", []int{1, 1}, `{"responses":[` + one + `,{"id":"2","sta`, "[1:201] [] cut"},
		{"cut off behind the results", []int{1}, `{"responses":[` + one + `]`, "[1:201] cut"},
		{"more behind the document", []int{1}, `{"responses":[` + one + `]} {}`, "[1:201] cut"},
		{"unknown id", []int{1, 1}, one + "," + result("3", 201), `expected results with the ids 1 to 2, found the id "3"`},
		{"no id", []int{1}, `{"status":201}`, `found the id ""`},
		{"another form of an id", []int{1}, result("01", 201), `found the id "01"`},
		{"doubled id", []int{1, 1}, one + "," + one, `expected one result for each id, found two with the id "1"`},
		{"another document", []int{1}, `{"error":{"code":"1"}}`, "no batch"},
		{"a page", []int{1}, `{<html>`, "no batch"},
	} {
		body := test.results
		if !strings.HasPrefix(body, `{"responses"`) && !strings.HasPrefix(body, `{"error"`) && !strings.HasPrefix(body, "{<") {
			body = `{"responses":[` + body + "]}"
		}
		document, isBatch, problem := batch.ParseJSON([]byte(body), test.counts)
		found := statuses(document)
		switch {
		case !isBatch:
			found = "no batch"
		case problem != "":
			found = problem
		}
		assert.True(t, strings.Contains(found, test.want), "%s: expected %s, found %s", test.name, test.want, found)
	}
}

func TestHeadersInJSON(t *testing.T) {
	document, _, _ := batch.ParseJSON([]byte(`{"responses":[{"id":"1","status":201,"headers":{"ETag":"W/\"1\"",`+
		`"":"x"," y":"z","a\nb: c":"d\r\nlocation: X","location":"Y(1)","n":5}}]}`), []int{1})
	message := &document.Parts[0].Messages[0]
	for name, want := range map[string]string{"etag": `W/"1"`, "Location": "Y(1)", "a b": "c: d  location: X", "N": "5",
		"sap-message": ""} {
		assert.Equal(t, want, message.Header(name), name)
	}
	assert.Equal(t, 4, len(message.Headers()), "headers")
}

func TestAppendJSON(t *testing.T) {
	headers := []wit.Header{{Name: "If-Match", Value: `W/"1"`}}
	parts := []batch.Part{
		{Changeset: true, Operations: []batch.Operation{{Method: "POST", Target: "A", Body: []byte(`{"ID":1}`)}}},
		{Changeset: true, Operations: []batch.Operation{
			{Method: "PATCH", Target: "A", Key: "('ä\"')", Headers: headers, Body: []byte(`{}`)},
			{Method: "PATCH", Target: "A", Key: "('ä\"')", Headers: headers, Body: []byte(`{"B":2}`)}}},
		{Operations: []batch.Operation{{Method: "GET", Target: "A", Key: "(3)", Query: "$select=ID"}}},
	}
	want := `{"requests":[{"id":"1","method":"POST","url":"A","body":{"ID":1}},` +
		`{"id":"2","atomicityGroup":"g2","method":"PATCH","url":"A('ä\"')","headers":{"if-match":"W/\"1\""},"body":{}},` +
		`{"id":"3","atomicityGroup":"g2","method":"PATCH","url":"A('ä\"')","headers":{"if-match":"W/\"1\""},"body":{"B":2}},` +
		`{"id":"4","method":"GET","url":"A(3)?$select=ID"}]}`
	assert.Equal(t, want, string(batch.AppendJSON(nil, parts)), "body")
}

// Any text is read without a panic. The results of a complete document are those that encoding/json reads, and a text
// that is cut off has the same results as the whole one, or fewer.
func FuzzParseJSON(f *testing.F) {
	for _, name := range []string{"cap_batch.json", "cap_batch-failed.json"} {
		body, err := os.ReadFile(samples4 + name)
		require.NoError(f, err)
		f.Add(body, 2, len(body)/2)
	}
	f.Add([]byte(`{"responses":[{"id":"2","status":424},{"id":1,"status":201,"headers":{"a":"b"},"body":"x\n"}]}`), 1, 40)
	f.Fuzz(func(t *testing.T, body []byte, size, cut int) {
		size = 1 + abs(size)%3
		counts := []int{size, 1, size}
		whole, isBatch, problem := batch.ParseJSON(body, counts)
		part, _, _ := batch.ParseJSON(body[:abs(cut)%(len(body)+1)], counts)
		if !isBatch || problem != "" {
			return
		}
		assert.True(t, !whole.Complete || bytes.HasSuffix(bytes.TrimSpace(body), []byte("}")),
			"expected no complete document of %q", body)
		for i := range part.Parts {
			if len(part.Parts[i].Messages) == 0 || i >= len(whole.Parts) || len(whole.Parts[i].Messages) != size {
				continue
			}
			for j := range part.Parts[i].Messages {
				assert.True(t, part.Parts[i].Messages[j].Status() != 0 || whole.Parts[i].Messages[j].Status() == 0,
					"the results differ where %q is cut off", body)
			}
		}
		checkAgainstLibrary(t, body, whole)
	})
}

func abs(n int) int { return max(n, -(n + 1)) }

// checkAgainstLibrary compares the statuses of a complete document with those that encoding/json reads, if names are
// not repeated or spelled in another case.
func checkAgainstLibrary(t *testing.T, body []byte, document batch.Document) {
	t.Helper()
	var members map[string]json.RawMessage
	var results []map[string]json.RawMessage
	if !document.Complete || json.Unmarshal(body, &members) != nil || strings.Count(string(body), `"responses"`) != 1 ||
		json.Unmarshal(members["responses"], &results) != nil || strings.Count(string(body), `"id"`) != len(results) ||
		strings.Count(string(body), `"status"`) != len(results) || strings.Contains(string(body), `\u`) {
		return
	}
	byID := map[string]string{}
	for _, result := range results {
		byID[strings.Trim(string(result["id"]), `"`)] = strings.Trim(string(result["status"]), `"`)
	}
	for _, part := range document.Parts {
		for i := range part.Messages {
			m := &part.Messages[i]
			assert.True(t, m.Status() == 0 || byID[m.ID] == strconv.Itoa(int(m.Status())) ||
				strings.TrimLeft(byID[m.ID], "0") == strconv.Itoa(int(m.Status())),
				"%s: expected status %s, found %d", m.ID, byID[m.ID], m.Status())
		}
	}
}
