package main

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/culvert-project/culvert/examples/demo-service/service"
)

// TestManySets: the metadata of a service are fetched once, however many sets of it are read, and numbers may have
// three digits.
func TestManySets(t *testing.T) {
	s := service.New(service.Options{Rows: 4})
	pluginSettings, settings := settings, []string(nil)
	for i := range 200 {
		number := fmt.Sprintf("%03d", i)
		settings = append(settings, set(number, "Orders")...)
		settings = append(settings, "sap.odata#"+number+".id="+strconv.Itoa(i), "sap.odata#"+number+".filter#000.property=OrderID",
			"sap.odata#"+number+".filter#000.option=gt", "sap.odata#"+number+".filter#000.low="+strconv.Itoa(i))
	}
	l := newLoad(t, s, settings...)
	if len(l.targets) != 1 || len(l.opened.Feeds) != 200 {
		t.Errorf("expected one request and 200 feeds, found %d and %d", len(l.targets), len(l.opened.Feeds))
	}
	layout, err := l.p.Plan(Component, configuration(settings...), 7)
	if err != nil || len(layout.Tasks) != 7 {
		t.Fatalf("%d tasks, %v", len(layout.Tasks), err)
	}
	sets := 0
	for _, task := range layout.Tasks {
		sets += len(entries(pluginSettings.Values(task)))
	}
	if sets != 200 {
		t.Errorf("the tasks have %d sets", sets)
	}
	if _, err := l.run(199, nil); err != nil {
		t.Error(err)
	}
}
