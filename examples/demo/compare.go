package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// maxShown is the maximum number of differences that are printed.
const maxShown = 10

// comparison counts and prints differences.
type comparison struct{ differences int }

// differ counts a difference, and prints the first ones.
func (c *comparison) differ(format string, args ...any) {
	c.differences++
	if c.differences <= maxShown {
		fmt.Fprintf(os.Stderr, "differs: "+format+"\n", args...)
	}
}

// compare compares the topics, and what was written back, with the service.
func (d *demo) compare(elapsed time.Duration) error {
	c := &comparison{}
	rows := 0
	for _, set := range []string{"Orders", "Products", "Order_Details", "Suppliers"} {
		n, err := d.compareTopic(c, set)
		if err != nil {
			return err
		}
		fmt.Printf("%-20s %8d rows in the service, %8d records in the topic\n", set, d.service.Count(set), n)
		rows += n
	}
	d.compareCopies(c)
	fmt.Printf("%-20s %8d rows in the service, %8d written back\n", "Order_DetailCopies",
		d.service.Count("Order_Details"), d.service.Count("Order_DetailCopies"))
	if c.differences > 0 {
		return fmt.Errorf("%d differences", c.differences)
	}
	fmt.Printf("all equal: %d records read, %d written back, in %.1f s\n", rows, d.service.Count("Order_DetailCopies"),
		elapsed.Seconds())
	return nil
}

// compareCopies compares the set that was read with the set that was written back.
func (d *demo) compareCopies(c *comparison) {
	copies := map[string]map[string]string{}
	d.service.Each("Order_DetailCopies", func(key string, fields map[string]string) { copies[key] = fields })
	d.service.Each("Order_Details", func(key string, want map[string]string) {
		if got, ok := copies[key]; !ok {
			c.differ("Order_DetailCopies%s is missing", key)
		} else if !maps.Equal(got, want) {
			c.differ("Order_DetailCopies%s is %v, Order_Details has %v", key, got, want)
		}
		delete(copies, key)
	})
	for key := range copies {
		c.differ("Order_DetailCopies%s is not in Order_Details", key)
	}
	for entity, n := range d.service.Ledger().Writes {
		if n.Created > 1 {
			c.differ("%s was written %d times", entity, n.Created)
		}
	}
}

// compareTopic compares each record of a topic, read by `culvert consume`, with the entity of its key.
func (d *demo) compareTopic(c *comparison, set string) (records int, err error) {
	out, err := exec.Command(d.culvert, "consume", set, "--data", d.data).Output()
	if err != nil {
		return 0, fmt.Errorf("culvert consume %s: %w", set, err)
	}
	got := map[string]map[string]any{}
	for line := range bytes.Lines(out) {
		var r struct{ Key, Value map[string]any }
		decoder := json.NewDecoder(bytes.NewReader(line))
		decoder.UseNumber()
		if err := decoder.Decode(&r); err != nil {
			return 0, fmt.Errorf("culvert consume %s: %w: %s", set, err, line)
		}
		records++
		key := recordKey(payload(r.Key))
		if _, ok := got[key]; ok {
			c.differ("topic %s: key %s came twice", set, key)
		}
		got[key] = payload(r.Value)
	}
	d.service.Each(set, func(key string, want map[string]string) {
		// the service's keys are (10248) or (OrderID=10248,ProductID=11): the ordered values identify them
		id := entityKey(key)
		record, ok := got[id]
		if !ok {
			c.differ("topic %s: %s%s is missing", set, set, key)
			return
		}
		for name, value := range want {
			if !fieldEquals(record, name, value) {
				c.differ("topic %s: %s%s/%s is %v, the service has %q", set, set, key, name, record[name], value)
			}
		}
		delete(got, id)
	})
	for key := range got {
		c.differ("topic %s: key %s is not in the service", set, key)
	}
	return records, nil
}

// payload returns the value in a converter's envelope with a schema.
func payload(v map[string]any) map[string]any {
	if inner, ok := v["payload"].(map[string]any); ok && v["schema"] != nil {
		return inner
	}
	return v
}

// recordKey joins the values of a record's key in the order of their names.
func recordKey(key map[string]any) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(key)) {
		parts = append(parts, fmt.Sprint(key[name]))
	}
	return strings.Join(parts, "/")
}

// entityKey returns the values in a key of the service as recordKey joins them.
func entityKey(key string) string {
	var parts []string
	for _, part := range strings.Split(strings.Trim(key, "()"), ",") {
		parts = append(parts, strings.Trim(part[strings.Index(part, "=")+1:], "'"))
	}
	return strings.Join(parts, "/")
}

// renamedFields contains the fields that the demo's transforms rename.
var renamedFields = map[string]string{"Freight": "FreightCost"}

// fieldEquals compares a field of a record with the service's text for it.
func fieldEquals(record map[string]any, name, want string) bool {
	v, ok := record[name]
	if !ok {
		v = record[renamedFields[name]]
	}
	switch got := v.(type) {
	case string:
		return got == want
	case bool:
		return fmt.Sprint(got) == want
	case json.Number:
		if t, err := time.Parse("2006-01-02T15:04:05.999", want); err == nil {
			ms, err := got.Int64()
			return err == nil && ms == t.UnixMilli()
		}
		a, ok := new(big.Rat).SetString(got.String())
		b, isNumber := new(big.Rat).SetString(want)
		return ok && isNumber && a.Cmp(b) == 0
	}
	return false
}
