package odatatest_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/odatatest"
)

// batchOf writes a request: operations with commas between them are a changeset.
func batchOf(parts ...string) string {
	var b strings.Builder
	one := func(boundary string, id int, text string) {
		line, body, _ := strings.Cut(text, " {")
		fmt.Fprintf(&b, "--%s\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\nContent-ID: "+
			"%d\r\n\r\n%s HTTP/1.1\r\nContent-Type: application/json\r\nIf-Match: *\r\n", boundary, id, line)
		if body != "" {
			fmt.Fprintf(&b, "Content-Length: %d\r\nRequestID: %s\r\nRepeatabilityCreation: 2026-01-01T00:00:00\r\n",
				len(body)+1, body)
			body = "{" + body
		}
		fmt.Fprintf(&b, "\r\n%s\r\n", body)
	}
	id := 0
	for i, p := range parts {
		if strings.HasPrefix(p, "GET ") {
			one("b", 0, p)
			continue
		}
		fmt.Fprintf(&b, "--b\r\nContent-Type: multipart/mixed; boundary=c%d\r\n\r\n", i)
		for _, operation := range strings.Split(p, ";") {
			id++
			one(fmt.Sprintf("c%d", i), id, operation)
		}
		fmt.Fprintf(&b, "--c%d--\r\n\r\n", i)
	}
	return b.String() + "--b--\r\n"
}

func product(id int) string {
	return fmt.Sprintf(`POST ProductCopies {"ProductID":%d,"ProductName":"p","Discontinued":false}`, id)
}

func TestBatch(t *testing.T) {
	for _, c := range []struct {
		name     string
		switches []string
		parts    []string
		// statuses of the answers, S for those of a changeset.
		want string
		left []string
	}{
		{"one operation each", nil, []string{product(1), product(2), "MERGE ProductCopies(1) {\"ReorderLevel\":3}",
			"DELETE ProductCopies(2)", "GET ProductCopies(1)"}, "S201 S201 S204 S204 200", []string{"(1)"}},
		{"a failed changeset is taken back", nil, []string{product(1), product(2) + ";DELETE ProductCopies(1);" +
			product(3) + ";DELETE ProductCopies(9)", product(4)}, "S201 404 S201", []string{"(1)", "(4)"}},
		{"an update is taken back", nil, []string{product(1) + ";PUT $1 {\"ProductName\":\"q\",\"Discontinued\":true}",
			"MERGE ProductCopies(1) {\"ReorderLevel\":7};" + product(1)}, "S201,204 400", []string{"(1)"}},
		{"several operations are refused", []string{"changesets=one"}, []string{product(1) + ";" + product(2),
			product(3)}, "400 S201", []string{"(3)"}},
		{"stops", []string{"batch-stop=true"}, []string{product(1), product(1), product(2)}, "S201 400",
			[]string{"(1)"}},
		{"no reading in a changeset", nil, []string{product(1) + ";READ ProductCopies"}, "405", nil},
		{"done before", []string{"repeatability=true"}, []string{product(1), product(1), product(1) + ";" + product(2)},
			"S201 S201 S201,201", []string{"(1)", "(2)"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, odatatest.Options{Rows: 3})
			for _, line := range c.switches {
				name, value, _ := strings.Cut(line, "=")
				ok(t, s.service.Set(name, value))
			}
			r := s.expect(http.StatusAccepted, "POST", odatatest.SAPPath+"$batch", batchOf(c.parts...), "Content-Type",
				"multipart/mixed; boundary=b")
			var found []string
			set := false
			for line := range strings.SplitSeq(string(r.body), "\r\n") {
				if strings.HasPrefix(line, "Content-Type: multipart/mixed") {
					found, set = append(found, "S"), true
				}
				if rest, ok := strings.CutPrefix(line, "HTTP/1.1 "); ok {
					if !set {
						found = append(found, "")
					} else if found[len(found)-1] != "S" {
						found[len(found)-1] += ","
					}
					found[len(found)-1] += rest[:3]
				}
				if strings.HasPrefix(line, "--") && strings.HasSuffix(line, "--") {
					set = false
				}
			}
			if text := strings.Join(found, " "); text != c.want {
				t.Errorf("expected %s, found %s\n%s", c.want, text, r.body)
			}
			var left []string
			s.service.Each("ProductCopies", func(key string, fields map[string]string) {
				left = append(left, key)
				if fields["ReorderLevel"] == "7" {
					t.Error("the update was not taken back")
				}
			})
			equal(t, c.left, left)
			for entity, w := range s.service.Ledger().Writes {
				if w.Created > 1 {
					t.Errorf("%s was created %d times", entity, w.Created)
				}
			}
		})
	}
}

func TestBatchAsAWhole(t *testing.T) {
	s := start(t, odatatest.Options{Rows: 3})
	send := func(status int, path, contentType string) {
		t.Helper()
		s.expect(status, "POST", path+"$batch", batchOf(product(1)), "Content-Type", contentType)
	}
	const mixed = "multipart/mixed; boundary=b"
	send(http.StatusUnsupportedMediaType, odatatest.SAPPath, "application/json")
	send(http.StatusAccepted, odatatest.NorthwindPath, mixed)
	for _, c := range []struct {
		name, value, off string
		status           int
	}{{"batch-limit", "100", "0", 413}, {"no-batch", "true", "false", 501}} {
		s.set(c.name, c.value)
		send(c.status, odatatest.SAPPath, mixed)
		s.set(c.name, c.off)
	}
	for name, value := range map[string]string{"status": "500", "status-count": "1", "status-when": "after",
		"match": "DELETE"} {
		s.set(name, value)
	}
	s.expect(500, "DELETE", odatatest.SAPPath+"ProductCopies(1)", "") // applied, and answered as failed
	if n := s.service.Count("ProductCopies"); n != 0 {
		t.Errorf("%d left", n)
	}
	l := s.service.Ledger()
	if l.Batches != 1 || len(l.Operations) != 1 || l.Operations[0].Status != 201 {
		t.Errorf("%d batches, operations %+v", l.Batches, l.Operations)
	}
}
