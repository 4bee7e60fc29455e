package odatatest_test

import (
	"encoding/json"
	"testing"

	"github.com/culvert-project/culvert/internal/odatatest"
)

func TestETags(t *testing.T) {
	c := start(t, odatatest.Options{Rows: 3})
	address := odatatest.SAPPath + "Suppliers(2)"
	r := c.get(address, "Accept", "application/json")
	etag := r.header.Get("ETag")
	var row struct {
		D struct {
			Metadata struct{ ETag string } `json:"__metadata"`
		}
	}
	if err := json.Unmarshal(r.body, &row); err != nil || etag != `W/"1"` || row.D.Metadata.ETag != etag {
		t.Fatalf("ETag %s in the header, %s in the body, %v", etag, row.D.Metadata.ETag, err)
	}
	if e := c.atom(odatatest.SAPPath + "Suppliers").Entries[1].ETag; e != etag {
		t.Errorf("m:etag %s", e)
	}
	c.expect(304, "GET", address, "", "If-None-Match", etag)
	for _, step := range []struct {
		method, match string
		status        int
	}{{"MERGE", "", 428}, {"MERGE", `W/"7"`, 412}, {"MERGE", etag, 204}, {"MERGE", etag, 412}, {"PUT", "*", 204},
		{"DELETE", `W/"2"`, 412}, {"DELETE", `W/"3"`, 204}} {
		var headers = []string{"Content-Type", "application/json"}
		if step.match != "" {
			headers = append(headers, "If-Match", step.match)
		}
		c.expect(step.status, step.method, address, `{"CompanyName":"n","City":"x"}`, headers...)
	}
}
