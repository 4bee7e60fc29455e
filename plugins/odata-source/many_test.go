package main

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/plugins/odata/feedreader"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
)

// TestManySets: the metadata of a service are read once for all of its sets, and set numbers may have three digits.
func TestManySets(t *testing.T) {
	service := odatatest.New(odatatest.Options{Rows: 4})
	var settings []string
	for i := range 200 {
		number := fmt.Sprintf("%03d", i)
		settings = append(settings, set(number, "Orders")...)
		settings = append(settings, "sap.odata#"+number+".id="+strconv.Itoa(i),
			"sap.odata#"+number+".filter#000.property=OrderID", "sap.odata#"+number+".filter#000.option=gt",
			"sap.odata#"+number+".filter#000.low="+strconv.Itoa(i))
	}
	load := newLoad(t, service, settings...)
	assert.True(t, len(load.targets) == 1 && len(load.opened.Feeds) == 200,
		"expected one request and 200 feeds, found %d and %d", len(load.targets), len(load.opened.Feeds))
	layout, err := load.p.Plan(sourceconfig.V2.Class, configuration(settings...), 7)
	require.True(t, err == nil && len(layout.Tasks) == 7, "expected 7 tasks, found %d, %v", len(layout.Tasks), err)
	sets := 0
	for _, task := range layout.Tasks {
		sets += len(sourceconfig.V2.EntitySets(sourceconfig.V2.Table.Values(task)))
	}
	assert.Equal(t, 200, sets, "sets in all tasks")
	_, err = load.run(199, nil)
	assert.NoError(t, err)
}

// TestInstancesCacheFewDecoders: an instance that reads two hundred sets keeps decoders for a few of them. A set that
// is read again gets its own decoder.
func TestInstancesCacheFewDecoders(t *testing.T) {
	service := odatatest.New(odatatest.Options{Rows: 4})
	var settings []string
	for i := range 3 * feedreader.MaxPooled {
		number := fmt.Sprintf("%03d", i)
		settings = append(settings, set(number, "Orders")...)
		settings = append(settings, "sap.odata#"+number+".id="+number)
	}
	load := newLoad(t, service, settings...)
	for f := range 3 * feedreader.MaxPooled {
		_, err := load.run(uint32(f), nil)
		require.NoError(t, err)
		// Each set has a decoder of its rows, and one of its keys.
		require.Equal(t, min(2*(f+1), feedreader.MaxPooled), len(load.p.pages.Decoders), "after feed", f, "decoders")
	}
	last := load.p.pages.Decoders[feedreader.MaxPooled-1]
	_, err := load.run(3*feedreader.MaxPooled-1, nil)
	require.NoError(t, err)
	decoder := load.p.pages.Decoders[feedreader.MaxPooled-1]
	assert.True(t, decoder == last, "expected the decoder %p for a set that is read again, found %p", last, decoder)
	assert.Equal(t, 1, len(load.p.pages.Readers), "cached decoder for pages read one after another")
}
