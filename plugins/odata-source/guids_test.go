package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/feedreader"
	"github.com/culvert-project/culvert/wit"
)

// guidService has entities whose key is a GUID, and writes it in a different case in each kind of document. GUIDs are
// case-insensitive, so all spellings are the same entity.
type guidService struct {
	// rows contains the current rows. The next delta link reports changed and deleted.
	rows    []string
	changed []string
	deleted []string
	// loaded, address, delta and tombstone write a GUID in a row of a load, in the address of any row, in a row of
	// changes and in a deleted entry.
	loaded    func(string) string
	address   func(string) string
	delta     func(string) string
	tombstone func(string) string
	atom      bool
	token     int
}

// noAddress leaves out the address of a row.
func noAddress(string) string { return "" }

func (s *guidService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "$metadata") {
		fmt.Fprint(w,
			`<Schema Namespace="N"><EntityType Name="T"><Key><PropertyRef Name="N"/><PropertyRef Name="ID"/></Key>`+
				`<Property Name="N" Type="Edm.Int32" Nullable="false"/><Property Name="ID" Type="Edm.Guid" Nullable="false"/>`+
				`<Property Name="Text" Type="Edm.String"/></EntityType>`+
				`<EntityContainer Name="C"><EntitySet Name="X" EntityType="N.T"/>`+
				`<EntitySet Name="SubscriptionCollection" EntityType="N.T"/></EntityContainer></Schema>`)
		return
	}
	if _, key, isEntity := strings.Cut(r.URL.Path, "/X("); isEntity {
		_, key, _ = strings.Cut(key, "guid'")
		key, _, _ = strings.Cut(key, "'")
		pos := slices.IndexFunc(s.rows, func(id string) bool { return strings.EqualFold(id, key) })
		if pos < 0 {
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"error":{"code":"X/1","message":{"value":"no such entity"}}}`)
			return
		}
		fmt.Fprintf(w, `{"d":%s}`, s.row(s.rows[pos], s.loaded))
		return
	}
	w.Header().Set("Preference-Applied", edm.V2.TrackChanges)
	rows := s.rows
	spell := s.loaded
	deleted := []string(nil)
	if strings.Contains(r.URL.RawQuery, "deltatoken") {
		rows = s.changed
		spell = s.delta
		deleted = s.deleted
		s.changed = nil
		s.deleted = nil
	}
	s.token++
	link := "X?!deltatoken='" + strconv.Itoa(s.token) + "'"
	var entries []string
	for _, id := range rows {
		entries = append(entries, s.row(id, spell))
	}
	for _, id := range deleted {
		address := "http://127.0.0.1:8080/s/X(N=1,ID=guid'" + s.tombstone(id) + "')"
		if s.atom {
			entries = append(entries, `<at:deleted-entry xmlns:at="http://purl.org/atompub/tombstones/1.0" ref="`+
				address+`" when="2026-01-02T03:04:05Z"/>`)
		} else {
			entries = append(entries, `{"@odata.context":"$metadata#X/$deletedEntity","id":"`+address+`"}`)
		}
	}
	if s.atom {
		fmt.Fprintf(w, `<feed%s>%s<link rel="delta" href="%s"/></feed>`, atomSpaces, strings.Join(entries, ""), link)
		return
	}
	fmt.Fprintf(w, `{"d":{"__count":"%d","results":[%s],"__delta":"%s"}}`, len(rows), strings.Join(entries, ","), link)
}

func (s *guidService) row(id string, spell func(string) string) string {
	address := s.address(id)
	if address != "" {
		address = "http://127.0.0.1:8080/s/X(N=1,ID=guid'" + address + "')"
	}
	if s.atom {
		return `<entry><id>` + address + `</id><content type="application/xml"><m:properties><d:N>1</d:N><d:ID>` +
			spell(id) + `</d:ID><d:Text>` + strconv.Itoa(s.token) + `</d:Text></m:properties></content></entry>`
	}
	raw, _ := json.Marshal(map[string]any{"N": 1, "ID": spell(id), "Text": strconv.Itoa(s.token)})
	if address == "" {
		return string(raw)
	}
	return `{"__metadata":{"uri":"` + address + `"},` + string(raw[1:])
}

// topicGuids returns the GUIDs of the topic folded by key. They equal the service's if each delete and change has the
// same key as its row.
func (f *follower) topicGuids() (ids []string) {
	for _, v := range f.state {
		ids = append(ids, strings.ToLower(fmt.Sprint(v["ID"])))
	}
	slices.Sort(ids)
	return ids
}

// guids returns four keys: one of digits only, the others with letters.
func guids() []string {
	return []string{"00000000-0000-0000-0000-000000000001", "0050568e-0000-1ee0-a000-0000000000aB",
		"0050568E-0000-1EE0-A000-0000000000C2", "0050568e-0000-1ee0-a000-0000000000d3"}
}

// TestGuidsInAnotherCase: a deleted entry may contain its GUID in any case. The record's key is the key of its row,
// otherwise the row would stay in Kafka forever.
func TestGuidsInAnotherCase(t *testing.T) {
	lower := strings.ToLower
	upper := strings.ToUpper
	for _, test := range []struct {
		name      string
		loaded    func(string) string
		address   func(string) string
		delta     func(string) string
		tombstone func(string) string
	}{
		{name: "tombstones in upper case", loaded: lower, address: lower, delta: lower, tombstone: upper},
		{name: "tombstones in lower case", loaded: upper, address: upper, delta: upper, tombstone: lower},
		{name: "addresses and tombstones in upper case", loaded: lower, address: upper, delta: lower, tombstone: upper},
		{name: "rows without address", loaded: lower, address: noAddress, delta: lower, tombstone: upper},
	} {
		for _, atom := range []bool{false, true} {
			for _, deletes := range []string{"record", "tombstone"} {
				t.Run(fmt.Sprintf("%s, Atom %v, %s", test.name, atom, deletes), func(t *testing.T) {
					service := &guidService{
						rows:      guids(),
						loaded:    test.loaded,
						address:   test.address,
						delta:     test.delta,
						tombstone: test.tombstone,
						atom:      atom,
					}
					follower := followSet(t, service, deltaSetOf("/s", "X", "sap.odata#00.deletes="+deletes)...)
					service.changed = slices.Clone(service.rows[1:])
					for _, isRowToo := range []bool{false, true} {
						follower.start() // by an instance that has only the offset
						require.NoError(t, follower.catchUp(poll))
						if got := follower.topicGuids(); !slices.EqualFunc(got, service.rows, strings.EqualFold) {
							t.Fatalf("expected %v, found %v: %v", service.rows, got, follower.state)
						}
						service.changed = []string{service.rows[0]}
						service.deleted = []string{service.rows[len(service.rows)-1]}
						if isRowToo { // so it is read again
							service.changed = append(service.changed, service.deleted...)
						}
						service.rows = service.rows[:len(service.rows)-1]
						require.NoError(t, follower.catchUp(poll))
						if got := follower.topicGuids(); !slices.EqualFunc(got, service.rows, strings.EqualFold) {
							t.Fatalf("deleted: expected %v, found %v", service.rows, got)
						}
					}
				})
			}
		}
	}
}

// TestGuidsOfOldOffsets: a feed whose offset does not contain the case of GUIDs yet learns it from its next row.
func TestGuidsOfOldOffsets(t *testing.T) {
	lower := strings.ToLower
	upper := strings.ToUpper
	for _, c := range []struct {
		name       string
		rows       func(string) string
		tombstones func(string) string
	}{
		{name: "tombstones in upper case", rows: lower, tombstones: upper},
		{name: "tombstones in lower case", rows: upper, tombstones: lower},
	} {
		t.Run(c.name, func(t *testing.T) {
			service := &guidService{rows: guids(), loaded: c.rows, address: c.rows, delta: c.rows,
				tombstone: c.tombstones}
			follower := followSet(t, service, deltaSetOf("/s", "X", "sap.odata#00.format=json")...)
			follower.stored = slices.DeleteFunc(follower.stored,
				func(field wit.OffsetEntry) bool { return field.Name == feedreader.GuidField })
			service.changed = slices.Clone(service.rows)
			require.NoError(t, follower.catchUp(poll))
			service.deleted = slices.Clone(service.rows[1:])
			service.rows = service.rows[:1]
			follower.start()
			require.NoError(t, follower.catchUp(poll))
			assert.Equal(t, service.rows, follower.topicGuids())
		})
	}
}

// TestGuidsInNotifications: a notification contains the GUID of a changed or deleted entity in another case than its
// row.
func TestGuidsInNotifications(t *testing.T) {
	for _, test := range []struct{ rows, notified func(string) string }{
		{rows: strings.ToLower, notified: strings.ToUpper},
		{rows: strings.ToUpper, notified: strings.ToLower},
	} {
		service := &guidService{rows: guids(), loaded: test.rows, address: test.rows}
		follower := followSet(t, service, setOf("/s", "X", notifySettings...)...)
		deleted := service.rows[3]
		changed := service.rows[2]
		service.rows = service.rows[:3]
		for _, id := range []string{deleted, changed} {
			n := wit.Notification{Method: "POST", Target: "/c/X",
				Body: []byte(`{"d":{"__metadata":{"uri":"X(N=1,ID=guid'` + test.notified(id) + `')"}}}`)}
			wakes, err := follower.p.HandleNotification(follower.opened.Context, n)
			require.True(t, err == nil && len(wakes) == 1, "expected one trigger, found %v, %v", wakes, err)
			require.NoError(t, follower.catchUp(wit.PollReason{Trigger: &wakes[0].Token}))
		}
		got := follower.topicGuids()
		assert.True(t, len(got) == 3 && !slices.Contains(got, deleted), "expected %v, found %v", service.rows, got)
	}
}
