package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/wit"
)

// Additional key fields follow the key properties, in deleted and re-read entities too, and rows go to the configured
// partition.
func TestAdditionalKeyFields(t *testing.T) {
	for _, format := range []string{"atom", "json"} {
		service := odatatest.New(odatatest.Options{Rows: 20, PageSize: 7})
		follower := followSet(t, service, deltaSet("Customers", "sap.odata#00.format="+format,
			"sap.odata#00.deletes=both", "sap.odata.key.extra=system=PRD, client=100",
			"sap.odata#00.topic.partition=3")...)
		follower.checkTopic(service, "Customers", "CustomerID", "CompanyName")
		deleted := ""
		service.Each("Customers", func(key string, _ map[string]string) { deleted = key })
		write(t, service, "DELETE", "Customers"+deleted, nil)
		require.NoError(t, follower.catchUp(poll))
		follower.checkTopic(service, "Customers", "CustomerID", "CompanyName")
		for _, e := range follower.log {
			assert.True(t, strings.HasSuffix(e.key, " PRD 100]"),
				"%s: expected the additional fields, found %s", format, e.key)
		}
		assert.True(t, len(follower.partitions) == 1 && follower.partitions[3] == len(follower.log),
			"%s: expected %d records in partition 3, found %v", format, len(follower.log), follower.partitions)
		const suffix = " key.extra=system=PRD, client=100"
		if fingerprint := follower.opened.Feeds[0].Fingerprint; !strings.HasSuffix(fingerprint, suffix) {
			t.Errorf("expected a fingerprint that ends in %q, found %q", suffix, fingerprint)
		}
	}
}

// The requests of a load contain the service's own key only, without the additional fields.
func TestAdditionalKeyFieldsAreNotRequested(t *testing.T) {
	s := odatatest.New(odatatest.Options{Switches: odatatest.Switches{PageSize: 300, SkipToken: "offset"}})
	l := loadSet(t, s, append(set("00", "Order_Details"), "sap.odata#00.key.extra=system=PRD")...)
	l.checkComplete(s, "Order_Details")
	requests := strings.Join(l.targets, "\n")
	assert.True(t, strings.Contains(requests, "%20and%20ProductID%20ge%20") && !strings.Contains(requests, "system"),
		"expected requests by ProductID and without system, found\n%s", requests)
}

// Metadata older than the configured age are read again at the next page. A property that was added in the meantime is
// in the schema before a row contains it. Without the setting they are read once.
func TestMetadataAreReadAgain(t *testing.T) {
	s := &ignoringService{keys: keysFrom(1, 30), pageSize: 10, filters: true}
	hasNewProperty := false
	service := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if hasNewProperty && strings.HasSuffix(r.URL.Path, "$metadata") {
			fmt.Fprint(w, strings.Replace(numberKeyMetadata, `</EntityType>`,
				`<Property Name="Added" Type="Edm.String"/></EntityType>`, 1))
			return
		}
		s.ServeHTTP(w, r)
	})
	for _, test := range []struct {
		setting string
		stale   bool
	}{
		{setting: "sap.odata.metadata.refresh.ms=60000", stale: true},
		{setting: "sap.odata.metadata.refresh.ms=0"},
	} {
		hasNewProperty = false
		load := newLoad(t, service, setOf("/s", "X", test.setting)...)
		offset, err := load.readPages(0, nil, 1)
		require.NoError(t, err)
		hasNewProperty = true
		_, err = load.p.Next(load.opened.Context, 0, offset, onward, readAt+59_999)
		assert.NoError(t, err, test.setting, "the next page")
		_, err = load.p.Next(load.opened.Context, 0, offset, onward, readAt+60_000)
		stale := faultOf(err).Kind == wit.ErrorStale
		require.True(t, stale == test.stale, "%s: expected stale %v, found %v", test.setting, test.stale, err)
		if !test.stale {
			continue
		}
		second := newLoad(t, service, setOf("/s", "X", test.setting)...)
		assert.True(t, second.opened.Feeds[0].Fingerprint == load.opened.Feeds[0].Fingerprint,
			"expected the fingerprint %s, found %s", load.opened.Feeds[0].Fingerprint,
			second.opened.Feeds[0].Fingerprint)
		second.readAll(offset)
		if nodes := second.opened.Feeds[0].Value.Nodes; len(second.rows) != 20 || len(nodes[0].Fields) != 2 {
			t.Errorf("expected 20 more rows with the new property, found %d of %v", len(second.rows), nodes[0].Fields)
		}
	}
}

// A delta feed that was stopped between two pages also requests the changes after those that it was reading. A change
// before the start is read before the feed is idle, as in a run that ends by itself. A feed that starts idle sends one
// request.
func TestRestartedDeltaReadsLaterChanges(t *testing.T) {
	for _, changes := range []bool{false, true} {
		service := odatatest.New(odatatest.Options{Rows: 60, PageSize: 7})
		follower := newFollower(t, service, deltaSet("Customers")...)
		reason := start
		if changes {
			require.NoError(t, follower.catchUp(start))
			service.Each("Customers", func(key string, _ map[string]string) {
				write(t, service, "MERGE", "Customers"+key, map[string]any{"CompanyName": "first"})
			})
			reason = poll
		}
		step, err := follower.p.Next(follower.opened.Context, 0, follower.stored, reason, follower.now)
		require.NoError(t, err)
		more, err := follower.page(step.Fetch)
		require.True(t, err == nil && more, "expected more pages, found %v (%v)", more, err)
		read := fmt.Sprint(follower.log[len(follower.log)-1].value["CustomerID"])
		write(t, service, "MERGE", "Customers('"+read+"')", map[string]any{"CompanyName": "changed before the start"})
		follower.start()
		require.NoError(t, follower.catchUp(start))
		follower.checkTopic(service, "Customers", "CustomerID", "CompanyName")
		requests := len(follower.targets)
		follower.start()
		require.NoError(t, follower.catchUp(start))
		if n := len(follower.targets) - requests; n != 2 {
			t.Errorf("expected $metadata and one request for changes, found %v", follower.targets[requests:])
		}
	}
}
