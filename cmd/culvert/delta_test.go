package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/culvert-project/culvert/examples/demo-service/service"
)

// tracked is the settings of a connector that reads changes of Products, by delta links of SAP Gateway's or ODP's.
func tracked(name, address, path, set string, more ...string) []string {
	lines := source(name, address)
	return append(append(lines, "sap.odata#00.service="+path, "sap.odata#00.entityset="+set, "sap.odata#00.topic="+name,
		"sap.odata#00.track-changes=1", "sap.odata#00.exec-period=1"), more...)
}

// folded is a topic of Products folded by key: the names by the number. Records and tombstones of deleted ones take
// them away.
func folded(p *place, topic string) map[string]string {
	names := map[string]string{}
	for _, r := range p.records(topic) {
		key := fmt.Sprintf("%.0f", r["key"].(map[string]any)["ProductID"])
		value, _ := r["value"].(map[string]any)
		if value == nil || value["RECORDMODE"] == "D" || value["ODQ_CHANGEMODE"] == "D" {
			delete(names, key)
			continue
		}
		names[key], _ = value["ProductName"].(string)
	}
	return names
}

// writer changes Products until it is told to stop.
func writer(t *testing.T, address string, seed uint64, stop <-chan struct{}) {
	r := rand.New(rand.NewPCG(seed, 1))
	send := func(method, path string, body any) {
		raw, _ := json.Marshal(body)
		q, err := http.NewRequest(method, "http://"+address+service.SAPPath+path, bytes.NewReader(raw))
		if err != nil {
			t.Error(err)
			return
		}
		q.Header.Set("Content-Type", "application/json")
		q.Header.Set("If-Match", "*")
		answer, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Error(err)
			return
		}
		answer.Body.Close()
	}
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		default:
		}
		id := strconv.Itoa(1 + r.IntN(300))
		switch r.IntN(4) {
		case 0:
			send("POST", "Products", map[string]any{"ProductID": int(seed)*1_000_000 + n,
				"ProductName": fmt.Sprint("New ", seed, " ", n), "Discontinued": false})
		case 1:
			send("DELETE", "Products("+id+")", nil)
		default:
			send("MERGE", "Products("+id+")", map[string]any{"ProductName": fmt.Sprint("Changed ", seed, " ", n)})
		}
	}
}

// A property that the service gains right after the worker read its metadata (P23) is in the first record that has it,
// which comes once, and the task goes on.
func TestAPropertyThatComesRightAfterTheStart(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	s, address := demo(t, service.Options{Rows: 60, PageSize: 20,
		Switches: service.Switches{Hide: "Products/UnitsOnOrder"}})
	broker := p.start("broker", "--data", p.data, "--listen", "127.0.0.1:0")
	broker.eventually("an address", func() bool { return strings.Contains(broker.stdout.String(), "\n") })
	worker := p.file("worker.properties", "bootstrap.servers=embedded", "listeners=", "offset.flush.interval.ms=20",
		"key.converter.schemas.enable=false", "value.converter.schemas.enable=false")
	c := p.start("run", "--data", p.data, "--plugins", plugins(t), worker,
		p.file("late.properties", tracked("late", address, service.SAPPath, "Products")...))
	c.eventually("changes that were asked for", func() bool { return s.Ledger().Deltas > 0 })
	if err := s.Set("hide", ""); err != nil {
		t.Fatal(err)
	}
	write := edits{e: &exactly{s: s}}
	for _, name := range []string{"First", "Second"} {
		if !write.send("MERGE", "Products(3)", map[string]any{"ProductName": name}) {
			t.Fatal("the service refused a change")
		}
		c.eventually(name, func() bool { return folded(p, "late")["3"] == name })
	}
	with, without := 0, 0
	for _, r := range p.records("late") {
		switch value := r["value"].(map[string]any); {
		case r["key"].(map[string]any)["ProductID"] != 3.0:
		case value["UnitsOnOrder"] != nil:
			with++
		default:
			without++
		}
	}
	if with != 2 || without != 1 {
		t.Errorf("expected product 3 once without the property and twice with it, found %d and %d times", without, with)
	}
	c.signal(syscall.SIGTERM)
	if r := c.wait(); r.code != 0 {
		t.Errorf("exit %d\n%s", r.code, r.stderr)
	}
}

// T2: rows are created, changed and deleted by several writers while three connectors read the changes, in Atom, in
// JSON with tombstones, and from an ODP service with one generation of tokens; the worker is killed again and again.
// Afterwards each topic, folded by key, equals the service, ODP has begun one extraction, and no token was too old.
func TestChangesUnderLoad(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	s, address := demo(t, service.Options{Rows: 3000, PageSize: 70})
	broker := p.start("broker", "--data", p.data, "--listen", "127.0.0.1:0")
	broker.eventually("an address", func() bool { return strings.Contains(broker.stdout.String(), "\n") })
	worker := p.file("worker.properties", "bootstrap.servers=embedded", "listeners=", "offset.flush.interval.ms=20",
		"key.converter.schemas.enable=false", "value.converter.schemas.enable=false")
	topics := []string{"atom", "json", "odp"}
	files := []string{worker,
		p.file("atom.properties", tracked("atom", address, service.SAPPath, "Products")...),
		p.file("json.properties", tracked("json", address, service.SAPPath, "Products", "sap.odata#00.format=json",
			"sap.odata#00.deletes=tombstone", "sap.odata.user.name=other")...),
		p.file("odp.properties", tracked("odp", address, service.ODPPath, "FactsOfProducts")...)}
	start := func() *command {
		return p.start(append([]string{"run", "--data", p.data, "--plugins", plugins(t)}, files...)...)
	}
	c := start()
	c.eventually("changes that were asked for by all", func() bool { return s.Ledger().Deltas >= 2*len(topics) })
	stop := make(chan struct{})
	var writers sync.WaitGroup
	for seed := range uint64(4) {
		writers.Go(func() { writer(t, address, seed+1, stop) })
	}
	for range rounds() / 2 {
		before := s.Ledger().Deltas
		c.eventually("more changes that were asked for", func() bool { return s.Ledger().Deltas > before+len(topics) })
		c.signal(syscall.SIGKILL)
		c.wait()
		c = start()
	}
	close(stop)
	writers.Wait()
	want := map[string]string{}
	s.Each("Products", func(_ string, fields map[string]string) { want[fields["ProductID"]] = fields["ProductName"] })
	differ := func(topic string) string {
		found := folded(p, topic)
		for key, name := range want {
			if found[key] != name {
				return fmt.Sprintf("%s: product %s is %q, expected %q", topic, key, found[key], name)
			}
		}
		if len(found) != len(want) {
			return fmt.Sprintf("%s: %d products, expected %d", topic, len(found), len(want))
		}
		return ""
	}
	for _, topic := range topics {
		c.eventually("topic "+topic+" that equals the service", func() bool {
			said := differ(topic)
			if said != "" && c.process.ProcessState != nil {
				t.Fatal(said, c.stderr.String())
			}
			return said == ""
		})
	}
	l := s.Ledger()
	if l.Jobs != 1 || l.Refused536 != 0 {
		t.Errorf("%d extractions, %d tokens that were too old", l.Jobs, l.Refused536)
	}
	t.Logf("%d pages, %d of changes, %d rows, %d products", l.Pages, l.Deltas, l.Rows, len(want))
	c.signal(syscall.SIGTERM)
	if r := c.wait(); r.code != 0 {
		t.Errorf("exit %d\n%s", r.code, r.stderr)
	}
}
