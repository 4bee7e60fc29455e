//go:build real

package real

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
)

// TestRealOData4Olingo reads a service that is built with Apache Olingo 5, and its changes.
func TestRealOData4Olingo(t *testing.T) {
	t.Parallel()
	s := startOlingo4(t, manyRows)
	t.Run("Read", s.testOlingoRead)
	t.Run("Changes", s.testChanges)
}

// testOlingoRead reads a whole set and parts of it.
func (s *odata4Service) testOlingoRead(t *testing.T) {
	s.compare(t, []odata4Part{
		{set: "Products", topic: "products"},
		{set: "Products(2)/Items", typ: "Items", topic: "contained"},
		{set: "Products", topic: "cursor", resource: "Products?$select=ID,Name", settings: []string{
			"cursor.property=Changed", "select=Name"}},
		{set: "Products", topic: "nested", resource: "Products?$select=ID,Name&$filter=ID%20lt%203000&" +
			"$expand=Items($select=ProductID,Pos,Text)", settings: []string{"expand=Items", "select=Name,Items/Text",
			"filter#0.property=ID", "filter#0.option=lt", "filter#0.low=3000"}},
	})
}

// change changes rows as testdata/peers/olingo4/Service.java describes it.
func (s *odata4Service) change(t *testing.T, options string) {
	t.Helper()
	r, err := http.Get("http://" + s.address + "/change?" + options)
	require.NoError(t, err)
	r.Body.Close()
	require.Equal(t, http.StatusOK, r.StatusCode, "change", options)
}

// trackedPart is a part of Products whose changes a connector reads.
type trackedPart struct {
	topic    string
	settings []string
	resource string // what the plain HTTP client reads
	rows     int    // of the first load
	lastKind string // header of the last record after inserts that the filter does not select
}

// testChanges reads changes of rows, of rows that a filter selects, and of expanded rows. They are without Address,
// because Olingo fails where changes have null for a structure. It writes no expanded rows among changes, so that these
// rows are read again.
func (s *odata4Service) testChanges(t *testing.T) {
	p := e2etest.NewPlace(t)
	const filtered = 2000 // rows
	below := []string{"filter#0.property=ID", "filter#0.option=le", "filter#0.low=" + strconv.Itoa(filtered),
		"deletes=tombstone"}
	parts := []trackedPart{
		{topic: "rows", settings: []string{"select=Name,Big,Tags"}, resource: "Products?$select=ID,Name,Big,Tags",
			rows: manyRows, lastKind: "changed"},
		{topic: "filtered", settings: append(below, "select=Name"), resource: "Products?$select=ID,Name&" +
			"$filter=ID%20le%202000", rows: filtered, lastKind: "left"},
		{topic: "expanded", settings: append(below, "expand=Items", "select=Name,Items/Text"),
			resource: "Products?$select=ID,Name&$filter=ID%20le%202000&$expand=Items($select=ProductID,Pos,Text)",
			rows:     filtered, lastKind: "left"},
	}
	var files []string
	for _, part := range parts {
		files = append(files, s.trackedFile(p, part.topic, part.settings...))
	}
	p.MustRunOnce(files...)
	s.change(t, "insert=25001-25003")
	p.MustRunOnce(files...)
	for i, part := range parts {
		records := p.Documents(part.topic, "--data", p.Data)
		require.Equal(t, part.rows+3, len(records), part.topic, "records after inserts")
		headers := fmt.Sprint(records[len(records)-1]["headers"])
		assert.Contains(t, headers, "key:sap.odata.change value:"+part.lastKind)
		parts[i].rows += 3
	}
	// Two pages of changes. Deleted rows of the second one are read again, since the first one may have had them, too.
	s.change(t, "update=1-1500&delete=1601-1610&link=1700-1&unlink=1702-1")
	parts[2].rows += 2 // whose links were changed
	p.MustRunOnce(files...)
	for _, part := range parts {
		records := p.Documents(part.topic, "--data", p.Data)
		assert.Equal(t, part.rows+1510, len(records), part.topic, "records after changes")
		entities, _ := s.rows(t, part.resource)
		compareRows(t, part.topic, s.rowsByKey(t, "Products", entities), s.lastRows(t, records))
	}
	s.change(t, "forget") // the service answers 410
	r := p.RunOnce(files[1])
	r.WantCode(1).WantLastLine("sap.odata#00.delta.lost = reload")
	p.MustRunOnce(s.trackedFile(p, "filtered", append(parts[1].settings, "delta.lost=reload")...))
	p.CheckRecordCount("filtered", parts[1].rows+1510+filtered-10)
}

// trackedFile writes the file of a connector that reads changes of Products into the topic of its name.
func (s *odata4Service) trackedFile(p *e2etest.Place, topic string, settings ...string) string {
	set := append([]string{"Products", topic, "track-changes=1", "exec-period=60"}, settings...)
	return p.File(topic+".properties", append(s.reader(topic, set), "sap.odata.headers.enable=1")...)
}

// lastRows returns the last row of each key, without deleted ones.
func (s *odata4Service) lastRows(t *testing.T, records []map[string]any) map[string]capRow {
	t.Helper()
	rows := map[string]capRow{}
	for _, record := range records {
		key := s.key("Products", s.row(t, "Products", payload(t, record, "key"), textOfRecord))
		delete(rows, key)
		value, _ := record["value"].(map[string]any)
		if value != nil && value["RECORDMODE"] != "D" {
			rows[key] = s.row(t, "Products", value, textOfRecord)
		}
	}
	return rows
}
