package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/examples/demo-service/service"
)

// A forged offset would have another connector skip rows: what the worker keeps in topics is no target of rows, whoever
// chose the topic, on whatever cluster and with whatever errors.tolerance.
func TestRowsNeverGoToTopicsOfTheWorker(t *testing.T) {
	t.Parallel()
	rowsNeverGoToTopicsOfTheWorker(t, embedded(t).Addr(), "__consumer_offsets", "__transaction_state")
}

// empty are topics that nobody else writes to either.
func rowsNeverGoToTopicsOfTheWorker(t *testing.T, broker string, empty ...string) {
	p := newPlace(t)
	s, address := demo(t, service.Options{Rows: 60, PageSize: 20})
	_, port, _ := strings.Cut(broker, ":")
	worker := p.file("worker.properties", "bootstrap.servers="+broker, "listeners=", "config.storage.topic=my-configs",
		"status.storage.topic=my-states", "offset.storage.topic=my-offsets")
	victim := p.file("victim.properties", source("victim", address, "Order_Details")...)
	files := []string{worker, victim}
	targets := map[string]string{"same": "my-offsets", "capitals": "My-Offsets", "configs": "my-configs",
		"states": "my-states",
		"groups": "__consumer_offsets", "transactions": "__transaction_state"}
	for name, target := range targets {
		files = append(files, p.file(name+".properties", append(source(name, address, "Products"),
			"errors.tolerance=all",
			"producer.override.bootstrap.servers=localhost:"+port, "admin.override.bootstrap.servers=localhost:"+port,
			"transforms=route", "transforms.route.type=org.apache.kafka.connect.transforms.RegexRouter",
			"transforms.route.regex=.*", "transforms.route.replacement="+target)...))
	}
	r := p.run(append([]string{"run", "--once", "--plugins", plugins(t, "smt"), "--data", p.data}, files...)...)
	if r.code != 1 {
		t.Fatalf("expected exit 1, found %d\n%s", r.code, r.stderr)
	}
	for name, target := range targets {
		if want := fmt.Sprintf("connector %s, task 0: FAILED: ", name); !strings.Contains(r.stderr, want) {
			t.Errorf("expected %q in\n%s", want, r.stderr)
		}
		if !strings.Contains(r.stderr, "topic "+target+" holds ") {
			t.Errorf("expected topic %s to be refused by name in\n%s", target, r.stderr)
		}
	}
	offsets := p.run("consume", "my-offsets", "--bootstrap-servers", broker)
	for line := range strings.Lines(offsets.stdout) {
		var record struct{ Key []any }
		if err := json.Unmarshal([]byte(line), &record); err != nil || len(record.Key) != 2 ||
			record.Key[0] != "victim" {
			t.Errorf("expected offsets of the victim alone, found %s", line)
		}
	}
	for _, topic := range append(empty, "my-configs", "my-states", "My-Offsets") {
		if r := p.run("consume", topic, "--bootstrap-servers", broker); r.stdout != "" {
			t.Errorf("expected nothing in %s, found %s", topic, r.stdout)
		}
	}
	rows := p.run("consume", "Order_Details", "--bootstrap-servers", broker)
	if got := strings.Count(rows.stdout, "\n"); got != s.Count("Order_Details") {
		t.Errorf("expected the honest connector's %d rows, found %d", s.Count("Order_Details"), got)
	}
}

// Where no transform can change it, the topic is known before anything runs.
func TestValidateRefusesTopicsOfTheWorker(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	_, address := demo(t, service.Options{Rows: 5})
	lines := source("orders", address, "Orders", "Products")
	for i := range lines {
		lines[i] = strings.Replace(lines[i], ".topic=Products", ".topic=connect-offsets", 1)
	}
	file := p.file("orders.properties", lines...)
	want := fmt.Sprintf("%s:%d: sap.odata#01.topic: topic connect-offsets holds ", file, len(lines))
	if r := p.run("validate", "--plugins", plugins(t), "--data", p.data, file); r.code != 1 && r.code != 2 ||
		!strings.Contains(r.stdout+r.stderr, want) {
		t.Errorf("expected a failure with %q, found %d and\n%s%s", want, r.code, r.stdout, r.stderr)
	}
}
