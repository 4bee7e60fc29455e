package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/wit"
)

// Further fields stand behind those of each key, deleted entities' and re-read ones' included, and rows go to the
// partition that is asked for.
func TestFurtherFieldsOfKeys(t *testing.T) {
	for _, format := range []string{"atom", "json"} {
		s := odatatest.New(odatatest.Options{Rows: 20, PageSize: 7})
		f := loaded(t, s, tracked00("Customers", "sap.odata#00.format="+format, "sap.odata#00.deletes=both",
			"sap.odata.key.extra=system=PRD, client=100", "sap.odata#00.topic.partition=3")...)
		f.equals(s, "Customers", "CustomerID", "CompanyName")
		deleted := ""
		s.Each("Customers", func(key string, _ map[string]string) { deleted = key })
		write(t, s, "DELETE", "Customers"+deleted, nil)
		noError(t, f.catchUp(poll))
		f.equals(s, "Customers", "CustomerID", "CompanyName")
		for _, e := range f.log {
			if !strings.HasSuffix(e.key, " PRD 100]") {
				t.Errorf("%s: expected the further fields, found %s", format, e.key)
			}
		}
		if len(f.partitions) != 1 || f.partitions[3] != len(f.log) {
			t.Errorf("%s: %d records, found in partitions %v", format, len(f.log), f.partitions)
		}
		if print := f.opened.Feeds[0].Fingerprint; !strings.HasSuffix(print, " key.extra=system=PRD, client=100") {
			t.Error(print)
		}
	}
}

// The service knows nothing of the further fields: pages are asked for by its own key.
func TestFurtherFieldsAreNotAskedFor(t *testing.T) {
	s := odatatest.New(odatatest.Options{Switches: odatatest.Switches{PageSize: 300, SkipToken: "offset"}})
	l := whole(t, s, append(set("00", "Order_Details"), "sap.odata#00.key.extra=system=PRD")...)
	l.same(s, "Order_Details")
	if all := strings.Join(l.targets, "\n"); !strings.Contains(all, "%20and%20ProductID%20gt%20") ||
		strings.Contains(all, "system") {
		t.Error(all)
	}
}

// Metadata are read again when they are as old as the settings say, at the next page, and a property that was added
// meanwhile is there before a row brings it. Without the setting they are read once.
func TestMetadataAreReadAgain(t *testing.T) {
	s := &stubborn{keys: upFrom(1, 30), page: 10, heeds: true}
	grown := false
	service := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if grown && strings.HasSuffix(r.URL.Path, "$metadata") {
			fmt.Fprint(w, strings.Replace(stubbornMetadata, `</EntityType>`,
				`<Property Name="Added" Type="Edm.String"/></EntityType>`, 1))
			return
		}
		s.ServeHTTP(w, r)
	})
	for _, c := range []struct {
		setting string
		stale   bool
	}{{"sap.odata.metadata.refresh.ms=60000", true}, {"sap.odata.metadata.refresh.ms=0", false}} {
		grown = false
		l := newLoad(t, service, of("/s", "X", c.setting)...)
		offset, err := l.some(0, nil, 1)
		noError(t, err)
		grown = true
		if _, err := l.p.Next(l.opened.Context, 0, offset, onward, readAt+59_999); err != nil {
			t.Errorf("%s: expected the page behind, found %v", c.setting, err)
		}
		_, err = l.p.Next(l.opened.Context, 0, offset, onward, readAt+60_000)
		if stale := faultOf(err).Kind == wit.ErrorStale; stale != c.stale {
			t.Fatalf("%s: expected stale %v, found %v", c.setting, c.stale, err)
		}
		if !c.stale {
			continue
		}
		again := newLoad(t, service, of("/s", "X", c.setting)...)
		if again.opened.Feeds[0].Fingerprint != l.opened.Feeds[0].Fingerprint {
			t.Error("the offset belongs to another feed now")
		}
		again.all(offset)
		if nodes := again.opened.Feeds[0].Value.Nodes; len(again.rows) != 20 || len(nodes[0].Fields) != 2 {
			t.Errorf("expected the 20 rows behind, with the new property, found %d of %v", len(again.rows),
				nodes[0].Fields)
		}
	}
}

// A delta feed that was stopped between two pages asks for the changes since, behind those that it was reading: what
// was changed before the start is there when it comes to rest, as with a run that ends by itself. Started at rest, it
// asks once.
func TestChangesSinceAStartInTheMiddle(t *testing.T) {
	for _, changes := range []bool{false, true} {
		s := odatatest.New(odatatest.Options{Rows: 60, PageSize: 7})
		f := newFollower(t, s, tracked00("Customers")...)
		cause := start
		if changes {
			noError(t, f.catchUp(start))
			s.Each("Customers", func(key string, _ map[string]string) {
				write(t, s, "MERGE", "Customers"+key, map[string]any{"CompanyName": "first"})
			})
			cause = poll
		}
		step, err := f.p.Next(f.opened.Context, 0, f.stored, cause, f.now)
		noError(t, err)
		if more, err := f.page(step.Fetch); err != nil || !more {
			t.Fatalf("expected more pages, found %v (%v)", more, err)
		}
		read := fmt.Sprint(f.log[len(f.log)-1].value["CustomerID"])
		write(t, s, "MERGE", "Customers('"+read+"')", map[string]any{"CompanyName": "changed before the start"})
		f.start()
		noError(t, f.catchUp(start))
		f.equals(s, "Customers", "CustomerID", "CompanyName")
		asked := len(f.targets)
		f.start()
		noError(t, f.catchUp(start))
		if n := len(f.targets) - asked; n != 2 {
			t.Errorf("expected $metadata and one request for changes, found %v", f.targets[asked:])
		}
	}
}
